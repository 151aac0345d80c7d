"""HG-DAgger (arXiv 1810.02890): the clone drives, the person corrects, and the clone is fitted again to all of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from robot_rl.bc import train_cloned_policy
from robot_rl.checkpoint import Tensors, by_number, numbered
from robot_rl.cloned_policy import ClonedPolicy
from robot_rl.shown import Shown, shows
from robot_rl.types import Episode


class Dagger:
    """Fits ``cloned`` in place every ``every`` environment steps to ``demos`` and the corrections so far."""

    def __init__(self, cloned: ClonedPolicy, demos: Sequence[Episode], every: int, seed: int):
        self.cloned, self.every, self.seed = cloned, every, seed
        self.shown: list[Shown] = cloned.shown_in(demos)
        self.corrections: list[Shown] = []
        """What the person has shown in this run."""
        self.fits = 0
        """How often the policy was fitted again."""
        self.losses: dict[str, float] = {}

    def take(self, episode: Episode) -> None:
        """Keep what a person showed in a finished episode, if anyone did."""
        if shows(episode).any():  # A touch that moves nothing is a takeover too.
            self.corrections += self.cloned.shown_in([episode])

    def due(self, steps: int) -> int:
        """How many fits ``steps`` environment steps ask for, and were not made."""
        return steps // self.every - self.fits

    def fit(self, steps: int) -> None:
        """One fit, after ``steps`` environment steps."""
        self.losses = train_cloned_policy(self.cloned, [*self.shown, *self.corrections], self.seed + steps)
        self.fits += 1

    def state(self) -> tuple[Tensors, dict[str, Any]]:
        """All but the demonstrations, for a checkpoint."""
        corrections = numbered({i: part.tensors() for i, part in enumerate(self.corrections)})
        metadata = {"losses": self.losses, "fits": self.fits, "rng": self.cloned.rng.bit_generator.state}
        return {"policy": self.cloned.state_dict(), "corrections": corrections}, metadata

    def load_state(self, tensors: Tensors, metadata: Mapping[str, Any]) -> None:
        """Inverse of :meth:`state`."""
        self.cloned.load_state_dict(tensors["policy"])
        self.corrections = [Shown.of(part) for part in by_number(tensors["corrections"]).values()]
        self.losses, self.fits = metadata["losses"], metadata["fits"]
        self.cloned.rng.bit_generator.state = metadata["rng"]
