"""Reward sources: pure functions of the raw fields stored with each step; a preset sums those it wants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hardware.interfaces import Source

if TYPE_CHECKING:
    from robot_rl.replay_buffer import ReplayBuffer

RewardFunction = Callable[["ReplayBuffer", np.ndarray, np.ndarray, float, np.ndarray], np.ndarray]
"""``reward(buffer, slots, next_slots, gamma, ends) -> float32 (n,)``: computed at sampling from stored raw fields."""


@dataclass(frozen=True)
class RewardWeights:
    """How much each source counts; they are summed. All zero is a configuration error."""

    environment: float = 1.0
    """The environment's own reward; for our tasks 1 on success, else 0."""
    key: float = 0.0
    """The operator's verdict: 1 on success, -1 on failure."""
    classifier: float = 0.0
    """The success classifier's: 1 where it sees success."""
    takeover_penalty: float = 0.0
    """λ: subtracted on the policy's step just before the person takes over (RLIF, arXiv 2311.12996, eq. 3)."""
    failure_penalty: float = 0.0
    """Subtracted where an episode terminates without success: where the guard had to stop what the motion did."""
    progress: float = 0.0
    """Of the gain in the task's potential, γΦ' − Φ, which changes no optimal policy (Ng et al. 1999)."""

    def __post_init__(self) -> None:
        if not any((self.environment, self.key, self.classifier, self.takeover_penalty, self.progress)):
            raise ValueError("every reward weight is 0, so there is nothing to learn: set at least one of them")

    def __call__(
        self, buffer: ReplayBuffer, slots: np.ndarray, next_slots: np.ndarray, gamma: float, ends: np.ndarray
    ) -> np.ndarray:
        """float32 (n,). ``ends`` bool (n,): nothing follows the step, so that its successor is worth 0."""
        reward = self.environment * buffer.reward[slots]
        reward = reward + self.key * buffer.inputs["key"][slots]
        reward = reward + self.classifier * buffer.inputs["classifier"][slots]
        if self.takeover_penalty:
            # The label needs one step of look-ahead; it exists once the successor is stored.
            taken = buffer.flags["intervention_start"][next_slots] & (buffer.source[slots] != Source.HUMAN)
            reward = reward - self.takeover_penalty * taken
        if self.failure_penalty:
            failed = buffer.flags["terminated"][slots] & ~buffer.flags["success"][slots]
            reward = reward - self.failure_penalty * failed
        if self.progress:
            # The potential is 0 where the value is, or shaping would pay for ending in one state rather than another.
            after = np.where(ends, 0.0, buffer.inputs["next_potential"][slots])
            reward = reward + self.progress * (gamma * after - buffer.inputs["potential"][slots])
        return reward.astype(np.float32)


def potential_from_pairwise(gains: np.ndarray) -> np.ndarray:
    """Potentials (n + 1,) in [0, 1] from a model's verdicts on ``n`` pairs of neighbouring observations, "how much
    further is the second", of one episode.

    A pairwise reward is no potential: around a loop it need not sum to nothing, and could be farmed. Its clipped sum
    is one.
    """
    return np.clip(np.concatenate([[0.0], np.cumsum(gains)]), 0.0, 1.0).astype(np.float32)


@dataclass(frozen=True)
class Returns:
    """How returns are reckoned, at sampling; nothing of it is baked in when steps are stored."""

    gamma: float
    n_step: int
    reward: RewardFunction
    cut_at_takeover: bool = False
    """Where control passes to the person: bootstrap with 0 instead of the value there."""
    failure_ends: bool = True
    """Whether a termination without success is worth 0 from there on; False bootstraps there, as at a truncation."""
