"""What a process owes a guard that runs in it: real-time priority, and an account of whether the ticks came in time."""

from __future__ import annotations

import gc
import logging
import os
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice, pairwise

from hardware.clock import RealClock
from hardware.interfaces import Clock

_PRIORITY = 50
_SWITCH_S = 0.0005
"""How long another thread (black box, socket, learner) may keep the interpreter when the tick is due."""
_KEPT_TICKS = 60_000
_LOG = logging.getLogger(__name__)


class TickTimes:
    """When ticks were due, began and ended; an observer of :class:`hardware.clock.RealClock`."""

    def __init__(self, period_s: float) -> None:
        self.period_s = period_s
        self.ticks: deque[tuple[float, float, float]] = deque(maxlen=_KEPT_TICKS)
        """(due, began, ended), monotonic s; the newest last."""
        self.count = 0
        """Of all ticks; older ones than are kept too."""
        self.missed = 0
        """Ticks that never were: deadlines passed by more than a period."""

    def __call__(self, due_s: float, began_s: float, ended_s: float) -> None:
        if self.ticks:
            self.missed += max(0, round((due_s - self.ticks[-1][0]) / self.period_s) - 1)
        self.count += 1
        self.ticks.append((due_s, began_s, ended_s))

    def percentiles(self, skip: int = 0) -> dict[str, float]:
        """p50, p99, p99.9 and the worst of the period (between beginnings) and of a tick's own cost, ms; the first
        ``skip`` ticks left out."""
        ticks = list(islice(self.ticks, skip, None))
        columns = {
            "period": [1000 * (b[1] - a[1]) for a, b in pairwise(ticks)],
            "late": [1000 * (began - due) for due, began, _ in ticks],
            "cost": [1000 * (ended - began) for _, began, ended in ticks],
        }
        return {f"{name}_{key}_ms": value for name, values in columns.items() for key, value in _quantiles(values)}


@contextmanager
def keeping_time(clock: Clock, period_s: float, realtime: bool = True) -> Iterator[TickTimes]:
    """Within, this process does all it can for calls that ``clock`` makes each ``period_s``, and counts them; what it
    took it gives back. For a clock that is not real there is nothing to do."""
    times = TickTimes(period_s)
    if not isinstance(clock, RealClock):
        yield times
        return
    before, switch_s = _scheduling(), sys.getswitchinterval()
    if realtime and not take_priority():
        _LOG.warning("no real-time priority: grant it (ulimit -r %d) or expect late ticks under load", _PRIORITY)
    sys.setswitchinterval(_SWITCH_S)
    gc.collect()
    gc.freeze()
    clock.observer = times
    try:
        yield times
    finally:
        clock.observer = None
        gc.unfreeze()
        sys.setswitchinterval(switch_s)
        if realtime and before is not None:
            _schedule(*before)


def take_priority(priority: int = _PRIORITY) -> bool:
    """Real-time scheduling for all threads of this process and those they start, where the system grants it; by default
    the guard's. All of them: one that waits for a processor with the interpreter's lock in hand stops the others."""
    return hasattr(os, "SCHED_FIFO") and _schedule(os.SCHED_FIFO, priority)


@contextmanager
def keeping_scheduling() -> Iterator[None]:
    """After it this thread is scheduled as before: libfranka gives whoever connects the highest priority there is, and
    so to all that this thread starts later, above the guard."""
    before = _scheduling()
    try:
        yield
    finally:
        if before is not None:
            os.sched_setscheduler(0, before[0], os.sched_param(before[1]))


def _scheduling() -> tuple[int, int] | None:
    """Policy and priority of this thread; None where the system has none."""
    try:
        return os.sched_getscheduler(0), os.sched_getparam(0).sched_priority
    except (AttributeError, OSError):
        return None


def _schedule(policy: int, priority: int) -> bool:
    try:
        for thread in os.listdir("/proc/self/task"):
            with suppress(ProcessLookupError):  # It has ended since.
                os.sched_setscheduler(int(thread), policy, os.sched_param(priority))
    except (PermissionError, AttributeError, FileNotFoundError):
        return False
    return True


def _quantiles(values: list[float]) -> list[tuple[str, float]]:
    ordered = sorted(values) or [0.0]
    shares = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999, "max": 1.0}
    return [(name, ordered[min(len(ordered) - 1, int(share * len(ordered)))]) for name, share in shares.items()]
