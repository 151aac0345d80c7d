"""A batch of transitions, as the replay gives it and the learner takes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass
class Batch:
    """``n`` transitions of up to n steps each, as numpy arrays."""

    observation: dict[str, np.ndarray]
    action: np.ndarray
    """Executed actions, float32 (n, action_dim)."""
    base_action: np.ndarray
    reward: np.ndarray
    """Σ γ^i r over the steps taken, float32 (n,)."""
    discount: np.ndarray
    """What multiplies the bootstrap value: γ^k, or 0 after termination."""
    next_observation: dict[str, np.ndarray]
    next_base_action: np.ndarray
    human: np.ndarray
    """bool (n,): a person drove the step, correcting or demonstrating."""

    def __len__(self) -> int:
        return len(self.reward)

    def split(self, parts: int) -> list[Batch]:
        """``parts`` batches of equal size, in order."""
        size = len(self) // parts
        return [self._each(lambda array, i=i: array[i * size : (i + 1) * size]) for i in range(parts)]

    @staticmethod
    def concatenate(batches: Sequence[Batch]) -> Batch:
        """One batch of all, in order."""
        first, *others = batches
        return first._each(lambda *arrays: np.concatenate(arrays), *others) if others else first

    def _each(self, call: Callable[..., np.ndarray], *others: Batch) -> Batch:
        """``call`` on every array of this batch and the same arrays of ``others``."""
        values: dict[str, Any] = {}
        for name, mine in vars(self).items():
            theirs = [getattr(other, name) for other in others]
            if isinstance(mine, dict):
                values[name] = {entry: call(array, *(t[entry] for t in theirs)) for entry, array in mine.items()}
            else:
                values[name] = call(mine, *theirs)
        return Batch(**values)
