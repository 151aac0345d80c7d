"""How quick the loop is: the worst of a whole second, told when it has passed, and nothing carried over to the next."""

from __future__ import annotations

import pytest

from hardware.fakes import FakeClock
from robot_rl.console.timing import LoopTimes, Tick, Timing


def run(times: LoopTimes, clock: FakeClock, ticks: int, actions: range, slow_at: int = -1) -> None:
    """Ticks of 100 Hz, over which the count of actions goes through ``actions``; the tick ``slow_at`` is late and its
    figures are bad."""
    for number in range(ticks):
        bad = number == slow_at
        ages = (0.5, 0.6, 0.07) if bad else (0.1, 0.13, 0.002)
        times.note(Tick(*ages, actions=actions[number * len(actions) // ticks], late=bad))
        clock.sleep_until(clock.now() + 0.01)


def test_the_worst_of_the_last_whole_second_and_the_rate_reached_are_told() -> None:
    clock = FakeClock()
    times = LoopTimes(10.0, clock.now)
    run(times, clock, 90, range(9))
    assert times.newest is None
    run(times, clock, 20, range(9, 11), slow_at=4)
    newest = times.newest
    assert newest is not None and newest[:3] == (0.5, 0.6, 0.07)
    assert newest.control_hz == pytest.approx(10.0) and newest.wanted_hz == 10.0
    assert (newest.ticks, newest.late_ticks) == (101, 1)


def test_the_next_second_starts_anew() -> None:
    clock = FakeClock()
    times = LoopTimes(10.0, clock.now)
    run(times, clock, 110, range(11), slow_at=4)
    run(times, clock, 100, range(11, 16))
    newest = times.newest
    assert isinstance(newest, Timing)
    assert newest[:3] == (0.1, 0.13, 0.002) and newest.late_ticks == 0
    assert 4.0 < newest.control_hz < 6.0
