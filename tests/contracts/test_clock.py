"""What every Clock promises."""

from __future__ import annotations

import pytest

from hardware.interfaces import Clock
from tests.contracts.registry import CLOCKS


@pytest.fixture(params=CLOCKS, name="clock")
def a_clock(request):
    clock = CLOCKS[request.param]()
    yield clock
    if hasattr(clock, "close"):
        clock.close()


def test_it_is_a_clock(clock):
    assert isinstance(clock, Clock)


def test_sleeping_ends_at_or_just_after_the_deadline(clock):
    deadline = clock.now() + 0.05
    clock.sleep_until(deadline)
    assert deadline - 1e-9 <= clock.now() < deadline + 0.2


def test_a_deadline_that_is_past_returns_at_once(clock):
    before = clock.now()
    clock.sleep_until(before - 1.0)
    assert before <= clock.now() < before + 0.2


def let_pass(clock, enough):
    """At least 0.12 s, and until ``enough()``, since a busy machine calls late; how long it was."""
    began_s = clock.now()
    clock.sleep_until(began_s + 0.12)
    while not enough() and clock.now() < began_s + 20.0:
        clock.sleep_until(clock.now() + 0.02)
    return clock.now() - began_s


def test_periodic_calls_come_once_a_period_with_the_time_of_the_call(clock):
    times = []
    clock.every(0.01, times.append)
    passed_s = let_pass(clock, lambda: len(times) >= 3)
    assert 3 <= len(times) <= passed_s / 0.01 + 1
    assert times == sorted(times)
    assert times[-1] <= clock.now() + 1e-9


def test_two_timers_run_side_by_side(clock):
    fast, slow = [], []
    clock.every(0.01, fast.append)
    clock.every(0.04, slow.append, phase_s=0.002)
    passed_s = let_pass(clock, lambda: slow and len(fast) > len(slow))
    assert 1 <= len(slow) <= passed_s / 0.04 + 1
    assert len(fast) > len(slow)


def test_latencies_are_not_negative(clock):
    assert clock.delay_s("command") >= 0.0
    assert clock.delay_s("camera") >= 0.0
