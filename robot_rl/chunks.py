"""Chunks of actions: policies that predict several steps at once, and how their predictions are played.

Chunk rules (ALGORITHMS.md, rule 5): a chunk begins afresh with an episode (``reset``) and where control passes to or
from a person (``flush``); its unplayed rest is dropped, never carried over.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from robot_rl.cloned_policy import ClonedPolicy, Normalizer
from robot_rl.cloning_config import ChunkConfig, CloningConfig
from robot_rl.shown import Shown, masked_mean
from robot_rl.types import Observation


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


class ChunkPolicy(ClonedPolicy):
    """What ``act`` and ``flow`` share: normalised actions, the gripper as a classification of the target that each step
    leaves (close, none, open), and the playing of chunks."""

    def __init__(self, config: CloningConfig, state_dim: int, action_dim: int, gripper_index: int | None = None):
        super().__init__(config, state_dim, action_dim, gripper_index)
        if not 1 <= config.chunk.execute <= config.chunk.horizon:
            raise ValueError(
                f"a chunk of {config.chunk.horizon} steps cannot have {config.chunk.execute} of them played: "
                f"give --cloning.chunk.execute 1 to {config.chunk.horizon}"
            )
        self.horizon = config.chunk.horizon
        self.normalize_action = Normalizer(self.arm_dim, shared_scale=True)
        self.player = ChunkPlayer(config.chunk, self.space is not None)

    @abstractmethod
    def parts(self, observation: Mapping[str, Tensor], noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Arm actions (n, horizon, arm_dim) as normalised, and gripper logits (n, horizon, 3), for observations
        (n, ...)."""

    def predict(self, observation: Mapping[str, Tensor], noise: Tensor | None = None) -> Tensor:
        """Chunks of whole actions for observations (n, ...): float32 (n, horizon, action_dim) in [-1, 1]."""
        arm, logits = self.parts(observation, noise)
        arm = self.normalize_action.inverse(arm).clamp(-1.0, 1.0)
        return arm if self.space is None else torch.cat([arm, logits.argmax(-1, keepdim=True) - 1.0], dim=-1)

    @torch.no_grad()
    def play(self, observation: Observation, noise: Tensor | None = None) -> np.ndarray:
        """The next action, float32 (action_dim,), of the chunk under way or of one that begins here from ``noise``
        (1, horizon, arm_dim)."""
        return self.player.next(lambda: self.predict(self.as_batch(observation), noise)[0].numpy())

    def reset(self) -> None:
        self.player.flush()

    def flush(self) -> None:
        self.player.flush()

    # -- learning ------------------------------------------------------------------------------------------------------

    def fit_normalizers(self, shown: Shown) -> None:
        super().fit_normalizers(shown)
        self.normalize_action.fit(shown.action[..., : self.arm_dim][shown.valid])

    def validation_loss(self, shown: Shown) -> Tensor:
        """Squared error of the steps that would be played, and the gripper's cross-entropy. Training losses tell less:
        they rise on held-out episodes while what would be done still improves."""
        arm, logits = self.parts(shown.observation)
        played = slice(self.config.chunk.execute)
        error = (self.normalize_action.inverse(arm)[:, played] - shown.action[:, played, : self.arm_dim]) ** 2
        return masked_mean(error, shown.valid[:, played]) + self.gripper_loss(logits, shown)

    def gripper_loss(self, logits: Tensor, shown: Shown) -> Tensor:
        """Cross-entropy of the shown gripper targets over the valid steps, weighted; 0 without a gripper."""
        if self.space is None:
            return logits.new_zeros(())
        wanted = shown.action[..., -1].round().long() + 1
        error = nn.functional.cross_entropy(logits.flatten(0, 1), wanted.flatten(), reduction="none")
        return self.config.chunk.gripper_weight * masked_mean(error, shown.valid.flatten())
