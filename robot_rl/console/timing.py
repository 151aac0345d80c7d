"""How quick a control loop is: ages, rate and lateness, noted each tick for a few microseconds, told once a second."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

WINDOW_S = 1.0
"""Of the operator's clock: what is shown is the worst, or the mean rate, of the last whole one."""


class Timing(NamedTuple):
    """Of one window."""

    command_age_s: float = 0.0
    """The oldest that the policy's newest command was at any tick, by the robot's clock (the limit: S2)."""
    observation_age_s: float = 0.0
    """The oldest that what the policy last saw was at any tick: its oldest camera frame or arm state."""
    inference_s: float = 0.0
    """The longest that the policy, its base included, took for an action."""
    control_hz: float = 0.0
    """Actions a second of the operator's clock."""
    wanted_hz: float = 0.0
    ticks: int = 0
    """Of the guard."""
    late_ticks: int = 0
    """Of them, those that ended more than a period after they were due."""


@dataclass(slots=True)
class Tick:
    """What a loop knows at one tick."""

    command_age_s: float
    observation_age_s: float
    inference_s: float
    """Of the newest action."""
    actions: int
    """Asked of the policy so far."""
    late: bool


class LoopTimes:
    """Gathers ticks into windows."""

    def __init__(self, wanted_hz: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.newest: Timing | None = None
        """Of the last whole window; None before the first has passed."""
        self._wanted_hz, self._clock = wanted_hz, clock
        self._open = Timing()
        self._began: tuple[float, int] | None = None

    def note(self, tick: Tick) -> None:
        """Take a tick in."""
        now_s, so_far = self._clock(), self._open
        if self._began is None:
            self._began = now_s, tick.actions
        self._open = so_far = Timing(
            command_age_s=max(so_far.command_age_s, tick.command_age_s),
            observation_age_s=max(so_far.observation_age_s, tick.observation_age_s),
            inference_s=max(so_far.inference_s, tick.inference_s),
            ticks=so_far.ticks + 1,
            late_ticks=so_far.late_ticks + tick.late,
        )
        passed_s = now_s - self._began[0]
        if passed_s >= WINDOW_S:
            rate_hz = (tick.actions - self._began[1]) / passed_s
            self.newest = so_far._replace(control_hz=rate_hz, wanted_hz=self._wanted_hz)
            self._open, self._began = Timing(), (now_s, tick.actions)
