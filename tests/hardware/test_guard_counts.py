"""What is allowed now and then: dropped observations (S18), corrupt packets (S21), pushing at a wall (S29)."""

from __future__ import annotations

from math import floor, nan

import pytest

from hardware.cell import TeleopSettings
from hardware.fakes import POINTING_DOWN, shifted
from hardware.guard_watch import PUSHING, count_pushes
from hardware.interfaces import ExecutedCommand, GuardMode, Refusal, Source
from hardware.limits import Limits
from tests.hardware.rig import Rig, assert_held, fake_cell, once, running

LIMITS = Limits()
PERIOD_S = 0.01
OUTSIDE = shifted(POINTING_DOWN, (0.0, 0.0, 1.0))


# -- S18 ---------------------------------------------------------------------------------------------------------------


@pytest.mark.no_cover  # long, and through branches that others here reach too
@pytest.mark.parametrize("control_hz", [2.0, 5.0, 10.0, 20.0, 50.0])
def test_s18_more_than_the_share_of_a_windows_observations_dropped_holds(control_hz):
    rig = running(control_hz)
    allowed = LIMITS.max_dropped_share * LIMITS.dropped_window_s * control_hz
    for _ in range(floor(allowed)):
        assert once(rig, skew_s=LIMITS.max_skew_s * 1.001).mode is GuardMode.RUNNING
        assert once(rig, skew_s=0.0).mode is GuardMode.RUNNING
    assert rig.tick(50).mode is GuardMode.RUNNING
    assert_held(once(rig, skew_s=LIMITS.max_skew_s * 1.001), "S18", floor(allowed) + 1 - allowed)
    assert rig.tick(60).refusals == ()


@pytest.mark.parametrize(
    ("skew_s", "dropped"),
    [
        (0.0, False),
        (LIMITS.max_skew_s * (1 - 1e-6), False),
        (LIMITS.max_skew_s, False),
        (LIMITS.max_skew_s * (1 + 1e-6), True),
        (10.0, True),
        (nan, True),
    ],
)
def test_s18_an_observation_counts_as_dropped_beyond_the_skew(skew_s, dropped):
    rig = running(10.0)
    for _ in range(30):
        once(rig, skew_s=skew_s)
    assert (rig.guard.mode is GuardMode.HOLD) is dropped
    assert bool(rig.guard.state.counts.dropped_s) is dropped


def test_s18_what_was_dropped_longer_ago_than_the_window_is_forgotten():
    for late, mode in ((0, GuardMode.HOLD), (1, GuardMode.RUNNING)):
        rig = running(10.0)
        for _ in range(5):
            once(rig, skew_s=1.0)
        rig.tick(round(LIMITS.dropped_window_s / PERIOD_S) - 6 + late)
        assert once(rig, skew_s=1.0).mode is mode


@pytest.mark.no_cover  # long, and through branches that others here reach too
def test_s18_resuming_forgives_and_where_no_rate_is_promised_nothing_is_counted_against_it():
    rig = running(10.0)
    for _ in range(6):
        once(rig, skew_s=1.0)
    rig.tick(60)
    rig.resume()
    assert rig.tick(10).mode is GuardMode.ARMED
    rig.guard.promise(None)
    for _ in range(2000):
        assert once(rig, skew_s=1.0).mode is GuardMode.ARMED
    assert len(rig.guard.state.counts.dropped_s) == 1000


# -- S21 ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 2, 3, 5, 9])
def test_s21_so_many_corrupt_packets_within_the_window_hold(batch):
    rig = running()
    count = 0
    while count + batch < LIMITS.corrupt_packets_to_hold:
        assert once(rig, corrupt_packets=batch).mode is GuardMode.RUNNING
        count += batch
    assert once(rig, corrupt_packets=LIMITS.corrupt_packets_to_hold - count - 1).mode is GuardMode.RUNNING
    assert rig.tick(50).mode is GuardMode.RUNNING
    assert_held(once(rig, corrupt_packets=1), "S21", 1.0)


@pytest.mark.parametrize("count", [10, 11, 1000, 10**9])
def test_s21_so_many_at_once_hold_too_and_are_not_all_kept(count):
    rig = running()
    assert_held(once(rig, corrupt_packets=count), "S21", 1.0)
    assert len(rig.guard.state.counts.corrupt_s) == LIMITS.corrupt_packets_to_hold


@pytest.mark.parametrize(("late", "mode"), [(0, GuardMode.HOLD), (1, GuardMode.RUNNING)])
def test_s21_packets_longer_ago_than_the_window_are_forgotten(late, mode):
    rig = running()
    once(rig, corrupt_packets=LIMITS.corrupt_packets_to_hold - 1)
    rig.tick(round(LIMITS.corrupt_window_s / PERIOD_S) - 2 + late)
    assert once(rig, corrupt_packets=1).mode is mode


def test_s21_a_trickle_never_holds():
    rig = running()
    for _ in range(100):
        assert once(rig, corrupt_packets=1).mode is GuardMode.RUNNING
        assert rig.tick(11).mode is GuardMode.RUNNING


def test_s21_in_hold_more_of_them_do_not_prolong_the_stop_and_resuming_forgives():
    rig = running()
    held_s = once(rig, corrupt_packets=10).stamp_s
    for _ in range(60):
        once(rig, corrupt_packets=10)
    assert rig.guard.state.stopped_s == held_s
    rig.resume()
    assert rig.tick(10).mode is GuardMode.ARMED
    assert rig.guard.state.counts.corrupt_s == ()


# -- S29 ---------------------------------------------------------------------------------------------------------------


def push(rig: Rig, ticks: int = 1) -> ExecutedCommand:
    """The policy asks for what is outside, then rests for the other ticks."""
    rig.ask(OUTSIDE)
    executed = rig.tick()
    return rig.tick(ticks - 1) if ticks > 1 else executed


def test_s29_more_pushes_in_the_window_than_allowed_hold():
    rig = running()
    for _ in range(LIMITS.max_pushes):
        assert push(rig, 20).mode is GuardMode.RUNNING
    rig.ask(OUTSIDE)
    executed = rig.tick()
    assert_held(executed, "S29", 1.0, Source.POLICY)
    assert executed.reason == "S29: policy kept pushing at a limit"
    rig.tick(60)
    rig.resume()
    for _ in range(LIMITS.max_pushes):
        assert push(rig, 20).mode is GuardMode.RUNNING
    assert push(rig).mode is GuardMode.HOLD


@pytest.mark.parametrize(
    ("every", "holds"),
    [(10, True), (25, True), (49, True), (50, False), (51, False), (100, False)],
)
def test_s29_what_is_pushed_rarely_is_forgotten(every, holds):
    rig = running()
    assert LIMITS.push_window_s / LIMITS.max_pushes == pytest.approx(0.5)
    for _ in range(40):
        push(rig, every)
    assert (rig.guard.mode is GuardMode.HOLD) is holds


@pytest.mark.parametrize(("every", "pushes"), [(1, 10), (2, 10), (9, 6), (10, 10), (11, 10)])
def test_s29_refusals_close_together_count_as_one(every, pushes):
    rig = running()
    for _ in range(100 // every if every < 10 else 10):
        push(rig, every)
    assert len(rig.guard.state.counts.pushes_s) == pushes


def test_s29_the_person_who_leans_on_the_stick_is_stopped_after_a_second_and_named():
    rig = Rig(
        fake_cell(teleop=TeleopSettings(release_s=0.2)), pose=POINTING_DOWN._replace(position_m=(0.45, 0.0, 0.599))
    )
    rig.engage()
    rig.teleop.push(0.0, 0.0, 1.0)
    while rig.tick().mode is not GuardMode.HOLD:
        assert len(rig.trace) < 200
    first = next(i for i, executed in enumerate(rig.trace) if executed.refusals)
    expected_s = LIMITS.max_pushes * LIMITS.push_interval_s
    assert len(rig.trace) - 1 - first == pytest.approx(expected_s / PERIOD_S, abs=1)
    assert rig.guard.reason == "S29: human kept pushing at a limit"


def test_s29_only_walls_count_and_not_smoothing_lead_or_the_gripper():
    assert {"S4", "S31", "S32", "S33"} == PUSHING
    rig = running()
    state = rig.guard.state
    for limit in ("S1", "S6", "S7", "S28", "S30"):
        refusals = [Refusal(limit, 1.0, Source.POLICY)]
        assert count_pushes(rig.guard.settings, state, 1.0, refusals) is state
        assert len(refusals) == 1
    for limit in PUSHING:
        refusals = [Refusal("S7", 1.0, Source.HUMAN), Refusal(limit, 1.0, Source.POLICY)]
        assert count_pushes(rig.guard.settings, state, 1.0, refusals).counts.pushes_s == (1.0,)


def test_s29_an_arm_that_is_blocked_does_not_count_as_pushing():
    rig = running()
    rig.arm.blocked = True
    rig.ask(shifted(POINTING_DOWN, (0.0, 0.0, -0.1)))
    rig.tick(1000)
    assert any(refusal.limit == "S7" for executed in rig.trace for refusal in executed.refusals)
    assert rig.guard.mode is GuardMode.RUNNING
