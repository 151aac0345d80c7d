"""Behaviour cloning: the multilayer perceptron, the choice among architectures, and the training of any of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from robot_rl.act import ActPolicy
from robot_rl.chunks import Normalizer, Shown, policy_version, shown_chunks
from robot_rl.cloning_config import CloningConfig
from robot_rl.fitting import Fit, FitConfig
from robot_rl.flow import FlowPolicy
from robot_rl.gripper import GripperSpace
from robot_rl.image_encoder import CameraEncoders
from robot_rl.networks import mlp
from robot_rl.types import Episode, Observation


class ClonedPolicy(nn.Module):
    """Observation → action: the arm by regression, the gripper by a classification of close, hold, open."""

    horizon = 1

    def __init__(
        self,
        config: CloningConfig,
        state_dim: int,
        action_dim: int,
        gripper_index: int | None = None,
        cameras: Mapping[str, int] | None = None,
    ):
        super().__init__()
        self.config, self.action_dim = config, action_dim
        self.arm_dim = action_dim - (gripper_index is not None)
        self.space = None if gripper_index is None else GripperSpace(gripper_index)
        self.normalize = Normalizer(state_dim)
        self.cameras = CameraEncoders(cameras or {})
        self.trunk = mlp(state_dim + self.cameras.size, config.width, config.depth)
        self.arm = nn.Linear(config.width, self.arm_dim)
        self.grip = nn.Linear(config.width, 3)

    @property
    def version(self) -> str:
        """Hash of weights, statistics and settings."""
        return policy_version(self, self.config)

    def reset(self) -> None:
        """Nothing is remembered."""

    def flush(self) -> None:
        """Nothing is planned."""

    @torch.no_grad()
    def act(self, observation: Observation, deterministic: bool = True) -> np.ndarray:
        """One observation → float32 (action_dim,) in [-1, 1]; always the mean action."""
        names = ("state", *self.cameras.each)
        entries = {name: torch.from_numpy(np.asarray(observation[name]))[None] for name in names}
        state = entries["state"] = entries["state"].to(torch.float32)
        arm, grip = self(entries)
        if self.space is None:
            return arm[0].numpy()
        allowed = grip.masked_fill(self.space.forbidden(state), -torch.inf)
        return torch.cat([arm, self.space.target(state, allowed.argmax(-1))[:, None]], dim=-1)[0].numpy()

    def forward(self, observation: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Observations (n, ...) → arm actions (n, arm_dim) and gripper logits (n, 3)."""
        features = self.normalize(observation["state"])
        features = self.trunk(torch.cat([features, self.cameras(observation)], dim=-1))
        return torch.tanh(self.arm(features)), self.grip(features)

    def fit_normalizers(self, shown: Shown) -> None:
        """Freeze the statistics to those of ``shown``; without effect once done."""
        self.normalize.fit(shown.observation["state"])

    def validation_loss(self, shown: Shown) -> Tensor:
        """The training loss: it is deterministic."""
        return self.loss(shown)

    def loss(self, shown: Shown, generator: torch.Generator | None = None) -> Tensor:
        """Mean squared error of the arm plus a tenth of the gripper's cross-entropy."""
        arm, grip = self(shown.observation)
        action = shown.action[:, 0]
        loss = ((arm - action[:, : self.arm_dim]) ** 2).mean()
        if self.space is not None:
            choice = self.space.choice(shown.observation["state"], action[:, -1])
            loss = loss + 0.1 * nn.functional.cross_entropy(grip, choice)
        return loss


Cloned: TypeAlias = ClonedPolicy | ActPolicy | FlowPolicy
"""What behaviour cloning makes: each a :class:`robot_rl.base_policy.BasePolicy`."""

ARCHITECTURES: dict[str, Callable[..., Cloned]] = {"mlp": ClonedPolicy, "act": ActPolicy, "flow": FlowPolicy}


def make_cloned_policy(
    config: CloningConfig,
    state_dim: int,
    action_dim: int,
    gripper_index: int | None = None,
    cameras: Mapping[str, int] | None = None,
    seed: int = 0,
) -> Cloned:
    """An untrained policy of ``config.arch``; ``cameras`` maps names to the side of their images, px. ``seed`` is that
    of its weights, and no other generator is touched. Raises ValueError for an unknown architecture."""
    if config.arch not in ARCHITECTURES:
        raise ValueError(f"no architecture '{config.arch}' to clone into: there are {', '.join(ARCHITECTURES)}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ARCHITECTURES[config.arch](config, state_dim, action_dim, gripper_index, cameras)


def shown_by_person(episodes: Sequence[Episode]) -> tuple[np.ndarray, np.ndarray]:
    """States (n, state_dim) and executed actions (n, action_dim) of all steps that a person drove."""
    shown = shown_chunks(episodes, 1)
    return shown.observation["state"].numpy(), shown.action[:, 0].numpy()


def split_by_episode(
    episodes: Sequence[Episode], horizon: int, fraction: float, rng: np.random.Generator
) -> tuple[Shown, Shown]:
    """Training and validation. Whole episodes are held out, so neighbouring steps cannot leak; where nobody drove in
    them (or there is one episode only), validation repeats the training data."""
    order = rng.permutation(len(episodes))
    held_out = min(max(1, round(fraction * len(episodes))), len(episodes) - 1)
    shown = shown_chunks([episodes[i] for i in order[held_out:]], horizon)
    try:
        return shown, shown_chunks([episodes[i] for i in order[:held_out]], horizon)
    except ValueError:
        return shown, shown


def train_cloned_policy(
    policy: Cloned, episodes: Sequence[Episode], seed: int, steps: int | None = None, folder: Path | None = None
) -> dict[str, float]:
    """Fit ``policy`` in place to what people did in ``episodes``, keep the weights of the lowest validation loss, and
    return the losses. Deterministic by ``seed``. With ``folder`` an interrupted training goes on there, bit for bit."""
    config = policy.config
    split_rng = np.random.default_rng(seed)
    train, valid = split_by_episode(episodes, policy.horizon, config.validation_fraction, split_rng)
    policy.fit_normalizers(train)
    if isinstance(policy, FlowPolicy):
        policy.distilled.fill_(False)
    fit_config = FitConfig(
        steps or config.steps, config.batch_size, config.learning_rate, config.weight_decay, config.patience
    )
    start = partial(_fit, policy, train, valid, seed)
    result = start(policy.loss, policy.validation_loss, fit_config, folder and folder / "fit")
    if isinstance(policy, FlowPolicy) and config.flow.distill_steps:
        student = policy.start_distillation()
        shorter = FitConfig(**{**vars(fit_config), "steps": steps or config.flow.distill_steps})
        where = folder and folder / "distillation"
        distilled = start(policy.distillation_loss, policy.distillation_error, shorter, where, student)
        result |= {"distillation_loss": distilled["validation_loss"]}
    return result


def _fit(
    policy: Cloned,
    train: Shown,
    valid: Shown,
    seed: int,
    loss: Callable[[Shown, torch.Generator], Tensor],
    validate: Callable[[Shown], Tensor],
    config: FitConfig,
    folder: Path | None,
    parameters: Sequence[nn.Parameter] | None = None,
) -> dict[str, float]:
    """One stage of training: ``loss`` over augmented samples, ``validate`` over the held-out ones as they are."""
    std, noise = policy.normalize.std, policy.config.noise

    def training(rows: Tensor, generator: torch.Generator) -> Tensor:
        return loss(train.rows(rows).augmented(noise, std, generator), generator)

    def validation() -> float:
        return float(validate(valid))

    return Fit(policy, training, validation, len(train), config, seed, folder, parameters).run()
