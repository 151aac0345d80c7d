"""Chunks of actions: what a policy that predicts several steps at once is taught, and how its predictions are played.

Chunk rules (ALGORITHMS.md, rule 5): a chunk begins afresh with an episode (``reset``) and where control passes to or
from a person (``flush``); its unplayed rest is dropped, never carried over.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor, nn

from hardware.interfaces import Source
from hardware.recording import to_json
from robot_rl.base_policy import weights_version
from robot_rl.cloning_config import ChunkConfig, CloningConfig
from robot_rl.gripper import GripperSpace
from robot_rl.image_encoder import CameraEncoders, random_shift
from robot_rl.types import Episode, Observation

STD_FLOOR = 0.05
"""An entry that hardly varied in the demonstrations must not be blown up when it varies later."""


class Normalizer(nn.Module):
    """(x − mean) / std. The statistics are fitted once, floored, and frozen: they are part of the weights' hash."""

    mean: Tensor
    std: Tensor
    fitted: Tensor

    def __init__(self, size: int, shared_scale: bool = False):
        """``shared_scale`` divides all entries by one number, so that what hardly varies keeps counting little."""
        super().__init__()
        self.shared_scale = shared_scale
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("std", torch.ones(size))
        self.register_buffer("fitted", torch.tensor(False))

    def fit(self, values: Tensor) -> None:
        """Take the statistics of ``values`` (n, size); does nothing after the first time."""
        if not self.fitted:
            self.mean.copy_(values.mean(0))
            variance = values.var(0, correction=0)
            variance = variance.mean().expand_as(variance) if self.shared_scale else variance
            self.std.copy_(variance.sqrt().clamp(min=STD_FLOOR))
            self.fitted.fill_(True)

    def forward(self, values: Tensor) -> Tensor:
        return (values - self.mean) / self.std

    def inverse(self, values: Tensor) -> Tensor:
        return values * self.std + self.mean


@dataclass(frozen=True)
class Shown:
    """``n`` steps that people drove, each with the actions that followed it."""

    observation: dict[str, Tensor]
    """Entries (n, ...)."""
    action: Tensor
    """Executed actions from the step on, float32 (n, horizon, action_dim)."""
    valid: Tensor
    """bool (n, horizon): the person still drove, and the episode still ran. Elsewhere the action is 0."""

    def __len__(self) -> int:
        return len(self.action)

    def rows(self, rows: Tensor) -> Shown:
        """The steps ``rows`` (int64, (m,))."""
        picked = {name: values[rows] for name, values in self.observation.items()}
        return Shown(picked, self.action[rows], self.valid[rows])

    def augmented(self, noise: float, std: Tensor, generator: torch.Generator) -> Shown:
        """With Gaussian noise of ``noise`` × ``std`` on the state, and images shifted at random."""
        state = self.observation["state"]
        moved = {k: random_shift(v, generator) for k, v in self.observation.items() if v.dtype == torch.uint8}
        noisy = state + noise * torch.randn(state.shape, generator=generator) * std
        return Shown({**self.observation, **moved, "state": noisy}, self.action, self.valid)


def shown_chunks(episodes: Sequence[Episode], horizon: int) -> Shown:
    """What people showed in ``episodes``. A chunk never crosses the end of a correction or of an episode. Raises
    ValueError where no person drove."""
    observations: list[Observation] = []
    chunks, valid = [], []
    for episode in episodes:
        human = np.array([step.source in (Source.HUMAN, Source.DEMO) for step in episode.steps], bool)
        actions = np.stack([step.executed_action for step in episode.steps]) if len(human) else np.zeros((0, 1))
        for start in np.flatnonzero(human):
            ahead = human[start : start + horizon]
            count = len(ahead) if ahead.all() else int(ahead.argmin())
            chunk = np.zeros((horizon, actions.shape[1]), np.float32)
            chunk[:count] = actions[start : start + count]
            observations.append(episode.steps[start].observation)
            chunks.append(chunk)
            valid.append(np.arange(horizon) < count)
    if not chunks:
        raise ValueError("these episodes hold no step that a person drove: record demonstrations first")
    stacked = {name: torch.from_numpy(np.stack([o[name] for o in observations])) for name in observations[0]}
    return Shown(stacked, torch.from_numpy(np.stack(chunks)), torch.from_numpy(np.stack(valid)))


class ChunkPlayer:
    """Plays predicted chunks one action at a time: in turn, or averaged over all that speak of the present step."""

    def __init__(self, config: ChunkConfig, gripper: bool):
        self.config, self.gripper = config, gripper
        self._chunks: list[np.ndarray] = []
        self._ages: list[int] = []

    def flush(self) -> None:
        """Drop what has not been played."""
        self._chunks, self._ages = [], []

    @property
    def starts_chunk(self) -> bool:
        """Whether the next action needs a prediction."""
        return not self._chunks or self.config.ensemble_decay is not None or self._ages[0] >= self.config.execute

    def next(self, predict: Callable[[], np.ndarray]) -> np.ndarray:
        """The next action, float32 (action_dim,); ``predict`` gives a chunk (horizon, action_dim) from now on."""
        if self.starts_chunk:
            if self.config.ensemble_decay is None:
                self.flush()
            self._chunks.append(predict())
            self._ages.append(0)
        action = self._chunks[0][self._ages[0]] if len(self._chunks) == 1 else self._average()
        self._ages = [age + 1 for age in self._ages]
        while self._ages and self._ages[0] >= len(self._chunks[0]):
            self._chunks.pop(0)
            self._ages.pop(0)
        return action

    def _average(self) -> np.ndarray:
        """Temporal ensembling: the oldest prediction weighs 1, each younger one exp(-decay) of the one before."""
        assert self.config.ensemble_decay is not None
        weights = np.exp(-self.config.ensemble_decay * np.arange(len(self._chunks)))
        said = np.stack([chunk[age] for chunk, age in zip(self._chunks, self._ages, strict=True)])
        action = (weights / weights.sum()) @ said
        if self.gripper:
            action[-1] = np.round(action[-1])
        return action.astype(np.float32)


class ChunkPolicy(nn.Module):
    """What ``act`` and ``flow`` share: normalisers, cameras, the gripper as a classification of the target that each
    step leaves (close, none, open), and the playing of chunks."""

    def __init__(
        self,
        config: CloningConfig,
        state_dim: int,
        action_dim: int,
        gripper_index: int | None = None,
        cameras: Mapping[str, int] | None = None,
    ):
        super().__init__()
        if not 1 <= config.chunk.execute <= config.chunk.horizon:
            raise ValueError(
                f"a chunk of {config.chunk.horizon} steps cannot have {config.chunk.execute} of them played: "
                f"give --cloning.chunk.execute 1 to {config.chunk.horizon}"
            )
        self.config, self.action_dim, self.horizon = config, action_dim, config.chunk.horizon
        self.arm_dim = action_dim - (gripper_index is not None)
        self.space = None if gripper_index is None else GripperSpace(gripper_index)
        self.normalize = Normalizer(state_dim)
        self.normalize_action = Normalizer(self.arm_dim, shared_scale=True)
        self.cameras = CameraEncoders(cameras or {})
        self.player = ChunkPlayer(config.chunk, self.space is not None)

    @abstractmethod
    def parts(self, observation: Mapping[str, Tensor], noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Arm actions (n, horizon, arm_dim) as normalised, and gripper logits (n, horizon, 3), for observations
        (n, ...)."""

    def predict(self, observation: Mapping[str, Tensor], noise: Tensor | None = None) -> Tensor:
        """Chunks float32 (n, horizon, action_dim) in [-1, 1] for observations (n, ...)."""
        return self.whole(*self.parts(observation, noise))

    def whole(self, arm: Tensor, logits: Tensor) -> Tensor:
        """Chunks of whole actions, clipped, from :meth:`parts`."""
        arm = self.normalize_action.inverse(arm).clamp(-1.0, 1.0)
        return arm if self.space is None else torch.cat([arm, logits.argmax(-1, keepdim=True) - 1.0], dim=-1)

    def validation_loss(self, shown: Shown) -> Tensor:
        """Squared error of the steps that would be played, and the gripper's cross-entropy. Training losses tell less:
        they rise on held-out episodes while what would be done still improves."""
        arm, logits = self.parts(shown.observation)
        played = slice(self.config.chunk.execute)
        error = (self.normalize_action.inverse(arm)[:, played] - shown.action[:, played, : self.arm_dim]) ** 2
        return masked_mean(error, shown.valid[:, played]) + self.gripper_loss(logits, shown)

    def fit_normalizers(self, shown: Shown) -> None:
        """Freeze the statistics to those of ``shown``; without effect once done."""
        self.normalize.fit(shown.observation["state"])
        self.normalize_action.fit(shown.action[..., : self.arm_dim][shown.valid])

    def reset(self) -> None:
        """An episode begins."""
        self.player.flush()

    def flush(self) -> None:
        """Control passed to or from a person: what was planned before no longer holds."""
        self.player.flush()

    @property
    def starts_chunk(self) -> bool:
        """Whether the next :meth:`act` predicts anew (and would use a noise)."""
        return self.player.starts_chunk

    @property
    def version(self) -> str:
        """Hash of weights, statistics and settings."""
        return policy_version(self, self.config)

    @torch.no_grad()
    def _chunk(self, observation: Observation, noise: np.ndarray | None = None) -> np.ndarray:
        entries = {name: torch.from_numpy(np.asarray(observation[name]))[None] for name in self.entries}
        entries["state"] = entries["state"].to(torch.float32)
        given = None if noise is None else torch.from_numpy(np.asarray(noise, np.float32)).reshape(1, self.horizon, -1)
        return self.predict(entries, given)[0].numpy()

    @property
    def entries(self) -> tuple[str, ...]:
        """Entries of the observation that are looked at."""
        return ("state", *self.cameras.each)

    def gripper_loss(self, logits: Tensor, shown: Shown) -> Tensor:
        """Cross-entropy of the shown gripper targets over the valid steps, weighted; 0 without a gripper."""
        if self.space is None:
            return logits.new_zeros(())
        wanted = shown.action[..., -1].round().long() + 1
        error = nn.functional.cross_entropy(logits.flatten(0, 1), wanted.flatten(), reduction="none")
        return self.config.chunk.gripper_weight * masked_mean(error, shown.valid.flatten())


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of ``values`` where ``mask``, which has their shape or lacks the last dimension."""
    mask = mask if mask.dim() == values.dim() else mask[..., None].expand_as(values)
    return (values * mask).sum() / mask.sum().clamp(min=1)


def policy_version(module: nn.Module, config: CloningConfig) -> str:
    """16 hex digits over weights, frozen statistics and settings: equal exactly where the behaviour is."""
    text = to_json(asdict(config)) + weights_version(module)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
