"""How a policy that explores wanders."""

from __future__ import annotations

from math import sqrt

from torch import Tensor


class Exploration:
    """Standard normal noise in time: each step keeps ``memory`` of the last one's, as an Ornstein-Uhlenbeck process
    sampled at the control rate does (DDPG, arXiv 1509.02971), at the same standard deviation whatever the memory.

    Where a hand searches for what it cannot see, noise that forgets each step averages out before the hand has moved.
    """

    def __init__(self, memory: float):
        """Raises ValueError outside 0 to below 1."""
        if not 0.0 <= memory < 1.0:
            raise ValueError(f"--learner.noise-memory is {memory}: give a share from 0 to below 1")
        self.memory = memory
        self.reset()

    def reset(self) -> None:
        """Begin anew with the next step."""
        self._last: Tensor | None = None

    def __call__(self, fresh: Tensor) -> Tensor:
        """Independent noise → what to explore with."""
        if self._last is not None:
            fresh = self.memory * self._last + sqrt(1.0 - self.memory**2) * fresh
        self._last = fresh
        return fresh
