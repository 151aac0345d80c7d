"""The steps of a replay buffer in episodes that succeeded with nobody's help: further examples of how it is done."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hardware.interfaces import Source
from robot_rl.batch import Batch, Stored
from robot_rl.replay_buffer import ReplayBuffer
from robot_rl.reward import Returns


class OwnSuccesses:
    """Drawn from like a buffer; nothing is stored twice. They are looked for again after :meth:`refresh`."""

    def __init__(self, buffer: ReplayBuffer):
        self._buffer = buffer
        self._found: np.ndarray | None = None
        """Writing numbers of the steps; None: to be looked for."""

    def refresh(self) -> None:
        """An episode has ended, or is forgotten."""
        self._found = None

    @property
    def steps(self) -> int:
        return len(self._serials())

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """``count`` slots, uniform over the steps. Raises ValueError when there are none."""
        slots = self._serials() % self._buffer.capacity
        if len(slots) == 0:
            raise ValueError("no episode has succeeded with nobody's help yet")
        return rng.choice(slots, count)

    def gather(self, slots: np.ndarray, returns: Returns) -> Batch[Stored]:
        """As the buffer does, all of it to be imitated."""
        batch = self._buffer.gather(slots, returns)
        return replace(batch, shown=np.ones_like(batch.shown))

    def _serials(self) -> np.ndarray:
        """Of the steps that can be drawn now: the ring may have come round since they were found."""
        buffer, n = self._buffer, len(self._buffer)
        if self._found is None:
            episode, person = buffer.first_serial[:n], (Source.HUMAN, Source.DEMO)
            last = (buffer.flags["terminated"][:n] | buffer.flags["truncated"][:n]) & (buffer.next_serial[:n] >= 0)
            won, helped = episode[last & buffer.flags["success"][:n]], episode[np.isin(buffer.source[:n], person)]
            alone = np.setdiff1d(won, helped)
            whole = alone[buffer.serial[alone % buffer.capacity] == alone]  # else help may have been written over
            self._found = buffer.serial[:n][np.isin(episode, whole)]
        slots = self._found % buffer.capacity
        return self._found[(buffer.serial[slots] == self._found) & buffer.sampleable(slots)]
