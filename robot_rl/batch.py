"""A batch of transitions, as the replay gives it and the learner takes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

if TYPE_CHECKING:
    import torch

Array = TypeVar("Array")
Made = TypeVar("Made")


class Rows:
    """Rows of large arrays, images, that are not gathered yet: they are copied once, to where they are needed."""

    def __init__(self, *parts: tuple[np.ndarray, np.ndarray]):
        """``parts`` are arrays and the indices (int64) of their rows, in order."""
        self.parts = parts

    def __len__(self) -> int:
        return sum(len(at) for _, at in self.parts)

    def __getitem__(self, which: slice) -> Rows:
        """Of one part."""
        ((array, at),) = self.parts
        return Rows((array, at[which]))

    def gathered(self, pinned: bool = False) -> torch.Tensor:
        """A tensor of all rows; ``pinned`` in memory that a GPU fetches from."""
        import torch  # who only reads configurations has none

        sources = [torch.from_numpy(array) for array, _ in self.parts]
        out = torch.empty((len(self), *sources[0].shape[1:]), dtype=sources[0].dtype, pin_memory=pinned)
        places = out.split([len(at) for _, at in self.parts])
        for source, (_, at), place in zip(sources, self.parts, places, strict=True):
            torch.index_select(source, 0, torch.from_numpy(at), out=place)
        return out


Stored = np.ndarray | Rows
"""What the replay gives."""


@dataclass
class Batch(Generic[Array]):
    """``n`` transitions of up to n steps each: what the replay gives, or tensors in an update."""

    observation: dict[str, Array]
    action: Array
    """Executed actions, float32 (n, action_dim)."""
    base_action: Array
    reward: Array
    """Σ γ^i r over the steps taken, float32 (n,)."""
    discount: Array
    """What multiplies the bootstrap value: γ^k, or 0 after termination."""
    next_observation: dict[str, Array]
    next_base_action: Array
    shown: Array
    """bool (n,): an example to imitate: a person drove the step, demonstrating, or correcting with a hand that did not
    rest, or it is drawn as a success of the policy's own."""

    def __len__(self) -> int:
        return len(self.reward)  # type: ignore[arg-type]

    def split(self: Batch[Stored], parts: int) -> list[Batch[Stored]]:
        """``parts`` batches of equal size, in order."""
        size = len(self) // parts
        return [self.map(lambda array, i=i: array[i * size : (i + 1) * size]) for i in range(parts)]

    @staticmethod
    def concatenate(batches: Sequence[Batch[Stored]]) -> Batch[Stored]:
        """One batch of all, in order."""
        first, *others = batches
        return first.map(_joined, *others) if others else first

    def map(self, call: Callable[..., Made], *others: Batch[Array]) -> Batch[Made]:
        """``call`` on every array of this batch and the same arrays of ``others``."""
        values: dict[str, Any] = {}
        for name, mine in vars(self).items():
            theirs = [getattr(other, name) for other in others]
            if isinstance(mine, dict):
                values[name] = {entry: call(array, *(t[entry] for t in theirs)) for entry, array in mine.items()}
            else:
                values[name] = call(mine, *theirs)
        return Batch(**values)


def _joined(*stored: Stored) -> Stored:
    if isinstance(stored[0], Rows):
        return Rows(*(part for rows in stored for part in rows.parts))  # type: ignore[union-attr]
    return np.concatenate(stored)  # type: ignore[arg-type]
