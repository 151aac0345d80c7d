"""Batches that are mixed of several replay buffers (symmetric sampling, RLPD: arXiv 2302.02948, sec. 4.1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from robot_rl.batch import Batch, Stored
from robot_rl.own_successes import OwnSuccesses
from robot_rl.replay_buffer import ReplayBuffer
from robot_rl.reward import Returns


@dataclass(frozen=True)
class Mixture:
    """Buffers with fractions of each batch. A buffer without a complete step leaves its share to the others."""

    buffers: Sequence[ReplayBuffer | OwnSuccesses]
    fractions: Sequence[float]

    def sample(self, rng: np.random.Generator, count: int, returns: Returns, parts: int = 1) -> Iterator[Batch[Stored]]:
        """``parts`` batches of ``count`` transitions, each mixed by the fractions. All are drawn at once."""
        usable = [(b, f) for b, f in zip(self.buffers, self.fractions, strict=True) if f > 0 and b.steps > 1]
        if not usable:
            raise ValueError("the replay buffers hold no complete step yet: collect before updating")
        total = sum(f for _, f in usable)
        counts = [round(count * f / total) for _, f in usable]
        counts[0] += count - sum(counts)
        drawn = [
            buffer.gather(buffer.draw(rng, n * parts), returns).split(parts)
            for (buffer, _), n in zip(usable, counts, strict=True)
            if n > 0
        ]
        return (Batch.concatenate(batches) for batches in zip(*drawn, strict=True))
