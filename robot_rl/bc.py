"""Behaviour cloning of demonstrations by a multilayer perceptron: the base policy, and the baseline of every table."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from hardware.interfaces import Source
from robot_rl.config import CloningConfig
from robot_rl.gripper import GripperSpace
from robot_rl.networks import mlp
from robot_rl.types import Episode


class ClonedPolicy(nn.Module):
    """Observation → action: the arm by regression, the gripper by a classification of close, hold, open."""

    state_mean: Tensor
    state_std: Tensor

    def __init__(self, config: CloningConfig, state_dim: int, action_dim: int, gripper_index: int | None = None):
        super().__init__()
        self.config, self.action_dim = config, action_dim
        self.arm_dim = action_dim - (gripper_index is not None)
        self.space = None if gripper_index is None else GripperSpace(gripper_index)
        self.register_buffer("state_mean", torch.zeros(state_dim))
        self.register_buffer("state_std", torch.ones(state_dim))
        self.trunk = mlp(state_dim, config.width, config.depth)
        self.arm = nn.Linear(config.width, self.arm_dim)
        self.grip = nn.Linear(config.width, 3)

    @torch.no_grad()
    def act(self, observation: Mapping[str, np.ndarray], deterministic: bool = True) -> np.ndarray:
        """One observation → float32 (action_dim,) in [-1, 1]; always the mean action."""
        state = torch.from_numpy(np.asarray(observation["state"], np.float32))[None]
        arm, grip = self(state)
        if self.space is None:
            return arm[0].numpy()
        allowed = grip.masked_fill(self.space.forbidden(state), -torch.inf)
        return torch.cat([arm, self.space.target(state, allowed.argmax(-1))[:, None]], dim=-1)[0].numpy()

    def forward(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """States (n, state_dim) → arm actions (n, arm_dim) and gripper logits (n, 3)."""
        features = self.trunk((state - self.state_mean) / self.state_std)
        return torch.tanh(self.arm(features)), self.grip(features)

    def loss(self, state: Tensor, action: Tensor, noise: Tensor) -> Tensor:
        """Mean squared error of the arm plus a tenth of the gripper's cross-entropy."""
        arm, grip = self(state + noise * self.state_std)
        loss = ((arm - action[:, : self.arm_dim]) ** 2).mean()
        if self.space is not None:
            loss = loss + 0.1 * nn.functional.cross_entropy(grip, self.space.choice(state, action[:, -1]))
        return loss


def shown_by_person(episodes: Sequence[Episode]) -> tuple[np.ndarray, np.ndarray]:
    """States (n, state_dim) and executed actions (n, action_dim) of all steps that a person drove."""
    steps = [s for e in episodes for s in e.steps if s.source in (Source.HUMAN, Source.DEMO)]
    if not steps:
        raise ValueError("these episodes hold no step that a person drove: record demonstrations first")
    return np.stack([s.observation["state"] for s in steps]), np.stack([s.executed_action for s in steps])


def _tensors(episodes: Sequence[Episode]) -> tuple[Tensor, Tensor]:
    states, actions = shown_by_person(episodes)
    return torch.from_numpy(states), torch.from_numpy(actions)


def train_cloned_policy(
    policy: ClonedPolicy, episodes: Sequence[Episode], seed: int, steps: int | None = None
) -> dict[str, float]:
    """Fit ``policy`` in place to what people did in ``episodes``, keep the weights of the lowest validation loss, and
    return the losses. Validation holds out whole episodes, so neighbouring steps cannot leak."""
    config = policy.config
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    order = rng.permutation(len(episodes))
    held_out = min(max(1, round(config.validation_fraction * len(episodes))), len(episodes) - 1)
    state, action = _tensors([episodes[i] for i in order[held_out:]])
    try:
        valid_state, valid_action = _tensors([episodes[i] for i in order[:held_out]])
    except ValueError:  # the person drove in none of the episodes held out
        valid_state, valid_action = state, action
    policy.state_mean.copy_(state.mean(0))
    policy.state_std.copy_(state.std(0).clamp(min=0.05))
    optimizer = torch.optim.AdamW(
        policy.parameters(), config.learning_rate, weight_decay=config.weight_decay, fused=True
    )
    total = steps or config.steps
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, total)
    best, best_weights, train_loss = float("inf"), copy.deepcopy(policy.state_dict()), 0.0
    for step in range(total):
        rows = torch.from_numpy(rng.integers(0, len(state), config.batch_size))
        noise = config.noise * torch.randn(config.batch_size, state.shape[1], generator=generator)
        loss = policy.loss(state[rows], action[rows], noise)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        if (step + 1) % 100 == 0 or step + 1 == total:
            train_loss = float(loss.detach())
            with torch.no_grad():
                error = float(policy.loss(valid_state, valid_action, torch.zeros(())))
            if error < best:
                best, best_weights = error, copy.deepcopy(policy.state_dict())
    policy.load_state_dict(best_weights)
    return {"train_loss": train_loss, "validation_loss": best}
