"""Clones that map one observation to one action: a multilayer perceptron, and the mean of several."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from robot_rl.cloned_policy import ClonedPolicy
from robot_rl.cloning_config import CloningConfig
from robot_rl.feeling import Feeling
from robot_rl.networks import CriticEnsemble, mlp
from robot_rl.shown import Shown
from robot_rl.types import Observation


class PerceptronPolicy(ClonedPolicy):
    """Observation → action: the arm by regression, the gripper by a classification of close, hold, open."""

    def __init__(self, config: CloningConfig, state_dim: int, action_dim: int, gripper_index: int | None = None):
        super().__init__(config, state_dim, action_dim, gripper_index)
        self.feeling = Feeling(config.feel)

    def reset(self) -> None:
        self.feeling.reset()

    def flush(self) -> None:
        self.feeling.reset()

    @torch.no_grad()
    def act(self, observation: Observation, deterministic: bool = True) -> np.ndarray:
        """One observation → float32 (action_dim,) in [-1, 1]; the mean action, and what feels around."""
        entries = self.as_batch(observation)
        (arm, grip), state = self(entries), entries["state"]
        arm = self.feeling.added_to(arm[0], state[0])
        if self.space is None:
            return arm.numpy()
        allowed = grip.masked_fill(self.space.forbidden(state), -torch.inf)
        return torch.cat([arm, self.space.target(state, allowed.argmax(-1))]).numpy()

    def validation_loss(self, shown: Shown) -> Tensor:
        """The training loss of what acts, which draws nothing."""
        arm, grip = self(shown.observation)
        return self.error(arm, grip, shown)

    def error(self, arm: Tensor, grip: Tensor, shown: Shown) -> Tensor:
        """Mean squared error of arm actions (..., n, arm_dim) plus a tenth of the cross-entropy of gripper logits
        (..., n, 3), where n steps were ``shown``."""
        action = shown.action[:, 0]
        loss = ((arm - action[:, : self.arm_dim]) ** 2).mean()
        if self.space is not None:
            # By the state as it was: noise on the commanded gripper would make a hold of a change.
            choice = self.space.choice(shown.observation["state"], action[:, -1])
            choices = choice.expand(grip.shape[:-1]).flatten()
            loss = loss + 0.1 * nn.functional.cross_entropy(grip.flatten(0, -2), choices)
        return loss


class MlpPolicy(PerceptronPolicy):
    """One perceptron."""

    def __init__(self, config: CloningConfig, state_dim: int, action_dim: int, gripper_index: int | None = None):
        super().__init__(config, state_dim, action_dim, gripper_index)
        self.trunk = mlp(self.feature_dim, config.width, config.depth)
        self.arm = nn.Linear(config.width, self.arm_dim)
        self.grip = nn.Linear(config.width, 3)

    def forward(self, observation: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Observations (n, ...) → arm actions (n, arm_dim) and gripper logits (n, 3)."""
        features = self.trunk(self.features(observation))
        return torch.tanh(self.arm(features)), self.grip(features)

    def loss(self, seen: Mapping[str, Tensor], shown: Shown, generator: torch.Generator | None = None) -> Tensor:
        """:meth:`error`."""
        arm, grip = self(seen)
        return self.error(arm, grip, shown)


class EnsemblePolicy(PerceptronPolicy):
    """The mean of perceptrons that differ in their first weights (deep ensembles, arXiv 1612.01474). What one of them
    has learned of what its people did by chance is not in the others, and is averaged out."""

    def __init__(self, config: CloningConfig, state_dim: int, action_dim: int, gripper_index: int | None = None):
        super().__init__(config, state_dim, action_dim, gripper_index)
        size = config.ensemble
        self.members = CriticEnsemble(self.feature_dim, self.arm_dim + 3, size.members, size.width, size.depth)

    def forward(self, observation: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Observations (n, ...) → means of the members' arm actions (n, arm_dim) and gripper log-odds (n, 3)."""
        arm, grip = self.each(observation)
        return arm.mean(0), grip.log_softmax(-1).mean(0)

    def each(self, observation: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Each member's arm actions (members, n, arm_dim) and gripper logits (members, n, 3)."""
        arm, grip = self.members(self.features(observation)).split([self.arm_dim, 3], dim=-1)
        return torch.tanh(arm), grip

    def loss(self, seen: Mapping[str, Tensor], shown: Shown, generator: torch.Generator | None = None) -> Tensor:
        """:meth:`error`, each member by itself."""
        arm, grip = self.each(seen)
        return self.error(arm, grip, shown)
