"""When a person takes over, as small rules (no progress, leaving the funnel, a falling value, ...), and how they hand
back."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np


class Situation(NamedTuple):
    """What the person judges by."""

    now: float
    progress: float
    in_funnel: bool


class TakeoverRule:
    """When a person takes over. Never does; subclasses do. ``holds_on``: once driving, drives to the end."""

    holds_on = False

    def reset(self, situation: Situation) -> None:
        """The policy drives again, from here: at the start of an episode and after each hand-back."""

    def alarmed(self, situation: Situation) -> bool:
        """Whether to take over now. Called about ten times a second while the policy drives."""
        return False

    def content(self, situation: Situation) -> bool:
        """Whether, as far as this rule can tell, the policy may have the arm back."""
        return True


class Never(TakeoverRule):
    """Watches only."""


class Always(TakeoverRule):
    """Drives from start to end: a demonstration."""

    holds_on = True

    def alarmed(self, situation: Situation) -> bool:
        return True


@dataclass
class NoProgress(TakeoverRule):
    """Takes over when progress has not grown by ``gain`` for ``seconds``."""

    seconds: float = 3.0
    gain: float = 0.03

    def reset(self, situation: Situation) -> None:
        self._best, self._since = situation.progress, situation.now

    def alarmed(self, situation: Situation) -> bool:
        if situation.progress > self._best + self.gain:
            self._best, self._since = situation.progress, situation.now
        return situation.now - self._since > self.seconds


@dataclass
class LeavingFunnel(TakeoverRule):
    """Takes over when the arm has been out of the funnel for ``seconds``."""

    seconds: float = 0.3

    def reset(self, situation: Situation) -> None:
        self._inside = situation.now

    def alarmed(self, situation: Situation) -> bool:
        if situation.in_funnel:
            self._inside = situation.now
        return situation.now - self._inside > self.seconds

    def content(self, situation: Situation) -> bool:
        return situation.in_funnel


@dataclass
class ValueDrop(TakeoverRule):
    """Takes over when a critic says it got worse: ``value()`` fell by ``drop`` below its best of the last ``window_s``.

    The value-based intervention of RLIF (arXiv 2311.12996, sec. 5) with the value handed in: a reference critic or the
    learner's own may stand behind it. Hands back once half the drop is regained.
    """

    value: Callable[[], float]
    drop: float = 0.1
    window_s: float = 2.0
    _recent: deque[tuple[float, float]] = field(default_factory=deque, init=False, repr=False)
    _lost: float = field(default=-np.inf, init=False, repr=False)

    def reset(self, situation: Situation) -> None:
        self._recent.clear()

    def alarmed(self, situation: Situation) -> bool:
        value, recent = self.value(), self._recent
        recent.append((situation.now, value))
        while recent[0][0] < situation.now - self.window_s:
            recent.popleft()
        best = max(v for _, v in recent)
        self._lost = best - 0.5 * self.drop
        return value < best - self.drop

    def content(self, situation: Situation) -> bool:
        return self.value() >= self._lost


@dataclass
class AnyOf(TakeoverRule):
    """Alarmed as soon as one of ``rules`` is; content when all are."""

    rules: tuple[TakeoverRule, ...]

    def reset(self, situation: Situation) -> None:
        for rule in self.rules:
            rule.reset(situation)

    def alarmed(self, situation: Situation) -> bool:
        alarms = [rule.alarmed(situation) for rule in self.rules]  # not short-circuited: every rule keeps watching
        return any(alarms)

    def content(self, situation: Situation) -> bool:
        return all(rule.content(situation) for rule in self.rules)


RULES: dict[str, Callable[[], TakeoverRule]] = {
    "watchful": lambda: AnyOf((NoProgress(), LeavingFunnel())),
    "no_progress": NoProgress,
    "leaving_funnel": LeavingFunnel,
    "always": Always,
    "never": Never,
}
"""Rules that need nothing else, by name."""


@dataclass(frozen=True)
class Handover:
    """How a person hands back: after ``min_drive_s``, with ``regain`` more progress than at the takeover and everything
    in order; then leaves the policy alone for ``refractory_s``. What needs help again gets more of it: each further
    takeover in an episode asks ``impatience`` times the regain of the one before.

    Soon after the rescue, that is: a person who always finishes makes being stuck look valuable to the critic.
    """

    min_drive_s: float = 1.0
    regain: float = 0.1
    impatience: float = 2.0
    refractory_s: float = 1.0
