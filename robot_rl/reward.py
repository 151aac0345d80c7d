"""Reward sources: pure functions of the raw fields stored with each step; a preset sums those it wants."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hardware.interfaces import Source
from robot_rl.replay_buffer import ReplayBuffer


@dataclass(frozen=True)
class RewardWeights:
    """How much each source counts. All zero is a configuration error."""

    environment: float = 1.0
    """The environment's own reward; for our tasks 1 on success, else 0."""
    takeover_penalty: float = 0.0
    """λ: subtracted on the policy's step just before the person takes over (RLIF, arXiv 2311.12996, eq. 3)."""

    def __call__(self, buffer: ReplayBuffer, slots: np.ndarray, next_slots: np.ndarray) -> np.ndarray:
        """float32 (n,)."""
        reward = self.environment * buffer.reward[slots]
        if self.takeover_penalty:
            # The label needs one step of look-ahead; it exists once the successor is stored.
            taken = buffer.flags["intervention_start"][next_slots] & (buffer.source[slots] != Source.HUMAN)
            reward = reward - self.takeover_penalty * taken
        return reward.astype(np.float32)
