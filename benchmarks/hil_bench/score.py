"""What a run cost and brought: pure functions of a run's episodes.

*Attention* is the person's time: showing, driving, putting the scene back, saying what succeeded (hands), and watching
(eyes). *Sustained* success is reached with the first episode from which on the share of successes without help among
the last :data:`WINDOW` episodes never falls below a level again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from benchmarks.hil_bench.tasks import BenchTask

WINDOW = 20
"""Episodes; as :data:`robot_rl.tally.WINDOW`."""


@dataclass(frozen=True)
class History:
    """A training, episode by episode."""

    steps: tuple[int, ...]
    driven: tuple[int, ...]
    """Steps that the person drove."""
    success: tuple[bool, ...]
    hz: float
    watched: bool
    """Whether a person sat there."""
    wall_s: tuple[float, ...] = ()
    """Since the training began, at each episode's end; empty where that was not kept."""
    watched_steps: int | None = None
    """Where the person left with the first episode after so many steps."""

    @staticmethod
    def of(saved: Mapping[str, Any]) -> History:
        """Of what :meth:`saved` gave."""
        return History(**{name: tuple(v) if isinstance(v, list) else v for name, v in saved.items()})

    def saved(self) -> dict[str, Any]:
        return asdict(self)

    def steps_seen(self, episodes: int) -> int:
        """By the person, of the first ``episodes``: those of which they watched the beginning."""
        if not self.watched:
            return 0
        steps = np.array(self.steps[:episodes], int)
        begun = np.cumsum(steps) - steps
        return int(steps[begun < (np.inf if self.watched_steps is None else self.watched_steps)].sum())

    def rates(self) -> list[float]:
        """After each episode: share of the last ones that succeeded with nobody's help."""
        alone = [won and not driven for won, driven in zip(self.success, self.driven, strict=True)]
        return [float(np.mean(alone[max(0, n - WINDOW) : n])) for n in range(1, len(alone) + 1)]


@dataclass(frozen=True)
class Attention:
    """The person's seconds."""

    showing_s: float
    driving_s: float
    resets_s: float
    labels_s: float
    watching_s: float

    @property
    def hands_s(self) -> float:
        """All but watching."""
        return self.showing_s + self.driving_s + self.resets_s + self.labels_s

    @property
    def total_s(self) -> float:
        return self.hands_s + self.watching_s


@dataclass(frozen=True)
class Reached:
    """What it took to reach a level of success."""

    env_steps: int
    robot_s: float
    """Demonstrations and resets included."""
    wall_s: float | None
    attention: Attention


def attention(task: BenchTask, history: History, demos: History, episodes: int | None = None) -> Attention:
    """Of the demonstrations and the first ``episodes`` of training (all if None)."""
    count = len(history.steps) if episodes is None else episodes
    driven = sum(history.driven[:count])
    return Attention(
        showing_s=sum(demos.steps) / demos.hz,
        driving_s=driven / history.hz,
        resets_s=task.person_reset_s * (len(demos.steps) + count),
        labels_s=task.label_s * (len(demos.steps) + count),
        watching_s=(history.steps_seen(count) - driven) / history.hz,
    )


def sustained(task: BenchTask, history: History, demos: History, level: float) -> Reached | None:
    """When success reached ``level`` for good; None where it did not, or too few episodes were left to say so."""
    rates = history.rates()
    below = [n for n, rate in enumerate(rates) if rate < level]
    first = max(max(below, default=-1) + 1, WINDOW - 1)
    if first >= len(rates):
        return None
    count = first + 1
    steps = sum(history.steps[:count])
    driving = (sum(demos.steps) + steps) / history.hz
    return Reached(
        env_steps=steps,
        robot_s=driving + task.robot_reset_s * (len(demos.steps) + count),
        wall_s=history.wall_s[first] if history.wall_s else None,
        attention=attention(task, history, demos, count),
    )


def pareto(points: Sequence[tuple[float, float]]) -> list[int]:
    """Which of the (cost, success) ``points`` no other one beats in both, in order of cost."""
    order = sorted(range(len(points)), key=lambda n: (points[n][0], -points[n][1]))
    best, front = -np.inf, []
    for n in order:
        if points[n][1] > best:
            best = points[n][1]
            front.append(n)
    return front
