"""The real clock's threads: absolute deadlines, no bursts, no silent death."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest

from hardware.clock import RealClock


@pytest.fixture
def clock():
    clock = RealClock()
    yield clock
    clock.close()


def test_a_slow_call_skips_deadlines_instead_of_catching_up(clock):
    times = []

    def slow_once(now: float) -> None:
        times.append(now)
        if len(times) == 1:
            time.sleep(0.1)

    clock.every(0.02, slow_once)
    clock.sleep_until(clock.now() + 0.3)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert gaps[0] >= 0.1
    assert sum(gap < 0.01 for gap in gaps[1:]) <= 1


def test_a_call_that_raises_is_reported_to_who_sleeps(clock):
    def broken(now: float) -> None:
        raise ConnectionError("cable")

    clock.every(0.005, broken)
    with pytest.raises(RuntimeError, match="a periodic call died: cable"):
        clock.sleep_until(clock.now() + 0.1)


def test_closing_ends_the_threads(clock):
    times = []
    clock.every(0.005, times.append)
    clock.close()
    count = len(times)
    time.sleep(0.03)
    assert len(times) == count
