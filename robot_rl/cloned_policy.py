"""What every cloned policy has in common: its seam, its frozen normaliser, and how it is told apart from others."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor, nn

from hardware.recording import to_json
from robot_rl.base_policy import weights_version
from robot_rl.cloning_config import CloningConfig
from robot_rl.gripper import GripperSpace
from robot_rl.image_encoder import CameraEncoders
from robot_rl.shown import Shown, shown_in
from robot_rl.types import Episode, Observation

STD_FLOOR = 0.05
"""An entry that hardly varied in the demonstrations must not be blown up when it varies later."""


class Normalizer(nn.Module):
    """(x − mean) / std. The statistics are floored and part of the weights' hash; only a training sets them."""

    mean: Tensor
    std: Tensor

    def __init__(self, size: int, shared_scale: bool = False):
        """``shared_scale`` divides all entries by one number, so that what hardly varies keeps counting little."""
        super().__init__()
        self.shared_scale = shared_scale
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("std", torch.ones(size))

    def fit(self, values: Tensor) -> None:
        """Take the statistics of ``values`` (n, size)."""
        std = values.std(0)
        if self.shared_scale:
            std = std.square().mean().sqrt().expand_as(std)
        self.mean.copy_(values.mean(0))
        self.std.copy_(std.clamp(min=STD_FLOOR))

    def forward(self, values: Tensor) -> Tensor:
        return (values - self.mean) / self.std

    def inverse(self, values: Tensor) -> Tensor:
        return values * self.std + self.mean


@dataclass(frozen=True)
class Stage:
    """One stage of a policy's training."""

    loss: Callable[[Mapping[str, Tensor], Shown, torch.Generator], Tensor]
    """What it minimises, given the augmented observations, and what was shown at them."""
    validation_loss: Callable[[Shown], Tensor]
    """What chooses among weights; draws nothing."""
    steps: int
    """Gradient steps, at most."""
    parameters: Sequence[nn.Parameter] | None = None
    """What it trains; None for all."""
    prefix: str = ""
    """Of its losses' names."""


class ClonedPolicy(nn.Module, ABC):
    """A :class:`~robot_rl.base_policy.BasePolicy` that is fitted to what people showed.

    ``state_dim`` is the length of the observation's ``"state"``; ``gripper_index`` the entry of it that tells the
    commanded gripper, or None when all of the action is continuous.
    """

    horizon = 1
    """Steps that one prediction covers."""

    def __init__(self, config: CloningConfig, state_dim: int, action_dim: int, gripper_index: int | None = None):
        super().__init__()
        self.config, self.action_dim = config, action_dim
        self.arm_dim = action_dim - (gripper_index is not None)
        self.space = None if gripper_index is None else GripperSpace(gripper_index)
        self.normalize = Normalizer(state_dim)
        self.cameras = CameraEncoders(config.cameras)
        self.feature_dim = state_dim + self.cameras.size
        self.rng = np.random.default_rng(0)
        """Where :meth:`act` draws from, where it draws; part of what a run saves."""

    @property
    def version(self) -> str:
        """16 hex digits over weights, frozen statistics and settings: equal exactly where the behaviour is."""
        settings = asdict(self.config)
        if self.config.arch != "ensemble":  # Versions from before a setting must stay: runs go on over them.
            del settings["ensemble"]
        if self.config.feel == 0.0:
            del settings["feel"]
        text = to_json(settings) + weights_version(self)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def reset(self) -> None:
        """An episode begins."""

    def flush(self) -> None:
        """A person drove the last step: what was planned before no longer holds."""

    @abstractmethod
    def act(self, observation: Observation, deterministic: bool = True) -> np.ndarray:
        """One observation → float32 (action_dim,) in [-1, 1]."""

    # -- learning ------------------------------------------------------------------------------------------------------

    @abstractmethod
    def loss(self, seen: Mapping[str, Tensor], shown: Shown, generator: torch.Generator) -> Tensor:
        """What training minimises. ``seen`` are the observations of ``shown``, augmented."""

    @abstractmethod
    def validation_loss(self, shown: Shown) -> Tensor:
        """What chooses among weights; draws nothing."""

    def stages(self) -> Iterator[Stage]:
        """The stages of the training, each to be run before the next is asked for."""
        yield Stage(self.loss, self.validation_loss, self.config.steps)

    def shown_in(self, episodes: Sequence[Episode]) -> list[Shown]:
        """What this policy can learn from ``episodes``, one part each (:func:`robot_rl.shown.shown_in`)."""
        return shown_in(episodes, self.horizon, tuple(self.config.cameras))

    def fit_normalizers(self, shown: Shown) -> None:
        """Set the statistics to those of ``shown``."""
        self.normalize.fit(shown.observation["state"])

    def features(self, observation: Mapping[str, Tensor]) -> Tensor:
        """Observations (n, ...) → the normalised state and what the cameras show, (n, feature_dim)."""
        return torch.cat([self.normalize(observation["state"]), self.cameras(observation)], dim=-1)

    def as_batch(self, observation: Observation) -> dict[str, Tensor]:
        """What the policy looks at of one observation, as a batch of one."""
        state = torch.from_numpy(np.asarray(observation["state"], np.float32))[None]
        return {"state": state} | {name: torch.from_numpy(observation[name])[None] for name in self.config.cameras}
