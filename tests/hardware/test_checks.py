"""The guard's watchdogs, each swept densely around its limit: with whom driving, when it acts, what clears it.

What a case says is what the guard sees; those that count (S18, S21), that compare with the tick before (S24, S25) or
with the policy's commands (S2), and the neighbours' (S30), have files of their own.
"""

from __future__ import annotations

from dataclasses import replace
from math import ceil, inf, nan, sqrt

import pytest

from hardware.cell import TeleopSettings
from hardware.checks import CHECKS, STREAMS
from hardware.fakes import POINTING_DOWN, shifted
from hardware.guard import EngageError
from hardware.interfaces import ExecutedCommand, GuardMode, Refusal, Source
from tests.hardware.rig import Rig, fake_cell
from tests.hardware.rig_cases import BOX, CASES, LIMITS, Case, camera

PERIOD_S = 0.01
BELOW = (-0.5, -0.1, -0.01, -1e-3, -1e-4, -1e-5, -1e-6)
ABOVE = tuple(-share for share in reversed(BELOW))
"""Shares of the limit."""
ELSEWHERE = {"S2", "S18", "S21", "S24", "S25", "S30"}
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
uncounted = pytest.mark.no_cover
"""Of branches it reaches those that others here reach too; counting them would take twice as long again."""


def teleop(switch: bool) -> TeleopSettings:
    return TeleopSettings(enable_switch=switch, buttons=("enable",) if switch else ())


def rig_of(case: Case, driver: str | None = None) -> Rig:
    """An engaged rig that sees what is allowed, driven by ``driver``; by default by the case's last but one."""
    switch = case.check.limit == "S15"
    rig = Rig(fake_cell(workspace=BOX, teleop=teleop(switch)))
    rig.teleop.sample = replace(rig.teleop.sample, enabled=True if switch else None)
    rig.engage()
    drive(rig, driver or case.drivers[-1 if len(case.drivers) == 1 else 1])
    return rig


def drive(rig: Rig, driver: str) -> None:
    if driver == "reset":
        rig.guard.begin_session(resetting=True)
    if driver == "person":
        rig.teleop.sample = replace(rig.teleop.sample, twist=(0.0, 0.0, 1.0, 0.0, 0.0, 0.0), takeover=True)
    if driver in ("policy", "reset"):
        rig.ask(shifted(POINTING_DOWN, (0.2, 0.0, 0.2)))
    rig.tick(30)
    assert rig.guard.mode is (GuardMode.ARMED if driver == "nobody" else GuardMode.RUNNING)
    assert bool(abs(rig.twists[-1, 2]) > 0.02) is (driver != "nobody")


def suffer(rig: Rig, case: Case, share: float = 1.0, ticks: int = 1) -> ExecutedCommand:
    """So many ticks over the limit by a share of it."""
    rig.distort = lambda inputs, now: case.see(inputs, now, case.over(share))
    return rig.tick(ticks)


def own(executed: ExecutedCommand, case: Case) -> list[Refusal]:
    """What the guard itself, not a limit on a target, refused because of this."""
    return [r for r in executed.refusals if r.source is Source.HOLD and r.limit == case.check.limit]


def ticks_until(case: Case) -> int:
    """The tick of the excess, counted from 1, at which the check acts."""
    return 1 + ceil(case.persist_s / PERIOD_S - 1e-6)


def test_every_watchdog_is_swept_here_or_tested_elsewhere():
    assert {check.limit for check in CHECKS} - {case.check.limit for case in CASES} == ELSEWHERE
    assert {case.check.says for case in CASES} == {c.says for c in CHECKS if c.limit not in ELSEWHERE}
    assert {check.limit for check in STREAMS} == {"S10", "S13", "S16", "S17"}


@uncounted
@every_case
def test_at_the_limit_and_below_nothing_happens(case):
    for driver in case.drivers:
        rig = rig_of(case, driver)
        mode = rig.guard.mode
        for share in (*BELOW, *((0.0,) if case.limit and case.exact else ())):
            executed = suffer(rig, case, share, 2 * ticks_until(case) - 1)
            assert (executed.mode, own(executed, case)) == (mode, []), (driver, share)
            suffer(rig, case, -1.0)


@every_case
def test_above_it_the_guard_stops_at_the_tick_it_should_and_says_why(case):
    for driver in case.drivers:
        rig = rig_of(case, driver)
        for share in ABOVE:
            state, mode = rig.guard.state, rig.guard.mode
            for tick in range(1, ticks_until(case)):
                assert (suffer(rig, case, share).mode, tick) == (mode, tick)
            executed = suffer(rig, case, share)
            assert (executed.mode, executed.source) == (case.check.mode, Source.HOLD), (driver, share)
            assert executed.reason.startswith(f"{case.check.limit}: {case.check.says} (over by ")
            (refusal,) = own(executed, case)
            over = case.limit * share if case.limit else 1.0
            assert refusal.amount == pytest.approx(over, rel=1e-3, abs=2e-9)
            assert refusal.amount > 0.0
            assert f"over by {refusal.amount:.3g})" in executed.reason
            assert rig.guard.state.stopped_s == rig.clock.now()
            rig.guard._state = state._replace(tick_s=rig.clock.now())  # The next share of the sweep begins afresh.


@uncounted
@every_case
def test_an_excess_shorter_than_its_window_is_forgotten(case):
    rig = rig_of(case)
    window = ticks_until(case) - 1
    assert (window > 0) is (case.check.persist_s is not None)
    for _ in range(4):
        if window:
            suffer(rig, case, 0.2, window)
        assert suffer(rig, case, -1.0, 1).mode is GuardMode.RUNNING


@uncounted
@every_case
def test_the_arm_brakes_from_full_speed_within_200_ms_and_30_mm(case):
    rig = rig_of(case, "policy" if case.drivers[0] != "reset" else "reset")
    rig.tick(20)
    assert sqrt(sum(v * v for v in rig.twists[-1, :3])) > 0.1
    suffer(rig, case, 0.5, ticks_until(case))
    first, at = len(rig.trace), rig.positions[-1]
    speed = rig.twists[-1]
    assert sum(v * v for v in speed) < sum(v * v for v in rig.twists[-2])
    rig.tick(100)
    slow = sum(v * v for v in rig.twists[first + 19, :3]) ** 0.5
    assert slow < 0.005
    assert sum((rig.positions[-1] - at) ** 2) ** 0.5 < 0.03
    assert rig.guard.at_rest


@uncounted
@every_case
def test_what_is_over_clears_nothing_by_itself_and_the_operator_not_while_it_lasts(case):
    rig = rig_of(case)
    for _ in range(60):
        suffer(rig, case, 0.2)
    lasts = case.check.limit != "S22"  # In HOLD the policy does not drive, and its age is no cause.
    with pytest.raises(EngageError, match="S11" if case.check.mode is GuardMode.HOLD and lasts else "not HOLD"):
        if not lasts:
            rig.guard.hold("again", GuardMode.FAULT)
        rig.resume()
    rig.distort = lambda inputs, now: inputs
    stopped_at = rig.tick().reference.T_base_ee
    for _ in range(100):
        rig.ask(shifted(POINTING_DOWN, (-0.1, 0.0, 0.0)))
        executed = rig.tick()
        assert (executed.mode >= case.check.mode, executed.reference.T_base_ee) == (True, stopped_at)


@uncounted
@every_case
def test_the_operator_clears_it_once_it_has_been_gone_for_a_while(case):
    rig = rig_of(case)
    suffer(rig, case, 0.2, ticks_until(case))
    rig.teleop.sample = replace(rig.teleop.sample, twist=(0.0,) * 6, takeover=False)
    rig.distort = lambda inputs, now: inputs
    wait = round(LIMITS.min_stop_s / PERIOD_S)
    for tick in range(1, wait):
        rig.tick()
        for ask in (rig.resume, lambda: rig.guard.engage(rig.arm.read(), rig.clock.now())):
            with pytest.raises(EngageError):
                ask()
        assert rig.guard.may_restart_s == pytest.approx(rig.clock.now() + (wait - tick) * PERIOD_S)
    rig.tick()
    if case.check.mode is GuardMode.HOLD:
        rig.resume()
        assert (rig.guard.mode, rig.guard.state.resetting) == (GuardMode.ARMED, case.check.limit == "S27")
    else:
        with pytest.raises(EngageError, match="FAULT, not HOLD"):
            rig.resume()
        rig.guard.reset()
        assert rig.guard.mode is GuardMode.DISARMED
        rig.engage()
    rig.ask(shifted(POINTING_DOWN, (0.0, 0.0, 0.1)))
    assert rig.tick().mode is GuardMode.RUNNING


@every_case
def test_a_disarmed_guard_only_counts_the_streams(case):
    rig = Rig(fake_cell(workspace=BOX, teleop=teleop(case.check.limit == "S15")))
    rig.tick(150)
    assert rig.guard.streaming_s == pytest.approx(1.5)
    for share in ABOVE:
        executed = suffer(rig, case, share, ticks_until(case))
        assert (executed.mode, executed.refusals) == (GuardMode.DISARMED, ())
        if case.check.stream:
            assert rig.guard.streaming_s == 0.0
            assert executed.reason == f"{case.check.limit}: {case.check.says}"
        else:
            assert rig.guard.streaming_s > 1.5
            assert executed.reason == "not engaged"


@pytest.mark.parametrize("case", [case for case in CASES if case.check.stream], ids=lambda case: case.name)
def test_s10_engaging_waits_for_a_second_of_every_stream(case):
    rig = Rig(fake_cell(workspace=BOX))
    rig.tick(150)
    suffer(rig, case)
    rig.distort = lambda inputs, now: inputs
    wait = round(LIMITS.stream_before_arm_s / PERIOD_S)
    for tick in range(wait):
        assert rig.guard.streaming_s == pytest.approx(tick * PERIOD_S)
        with pytest.raises(EngageError, match=f"S10: .*{case.check.limit if tick == 0 else 'not engaged'}"):
            rig.guard.engage(rig.arm.read(), rig.clock.now())
        rig.tick()
    rig.guard.engage(rig.arm.read(), rig.clock.now())
    assert rig.guard.mode is GuardMode.ARMED


@pytest.mark.parametrize("case", [case for case in CASES if case.check.stream], ids=lambda case: case.name)
def test_s10_an_engaged_guard_counts_the_streams_too(case):
    rig = rig_of(case)
    before = rig.guard.streaming_s
    rig.tick()
    assert rig.guard.streaming_s == pytest.approx(before + PERIOD_S)
    suffer(rig, case)
    assert rig.guard.streaming_s == 0.0
    suffer(rig, case, -1.0, 3)
    assert rig.guard.streaming_s == pytest.approx(3 * PERIOD_S)


NANS = [
    camera(1 / 30, stamp_s=lambda now, x: nan),
    camera(1 / 30, stamp_s=lambda now, x: inf),
    camera(nan, stamp_s=lambda now, x: now),
    camera(1 / 30, repeats=lambda now, x: LIMITS.identical_frames, moved_m=lambda now, x: nan),
    lambda inputs, now, x: inputs._replace(link=inputs.link._replace(policy_age_s=nan)),
]


@pytest.mark.parametrize("see", NANS, ids=["frame nan", "frame inf", "period nan", "moved nan", "policy nan"])
def test_what_is_not_a_number_counts_as_over(see):
    rig = rig_of(CASES[0], "policy")
    rig.distort = lambda inputs, now: see(inputs, now, 0.0)
    executed = rig.tick()
    assert executed.mode is GuardMode.HOLD
    assert [refusal.amount for refusal in executed.refusals] == [1.0]


def test_the_greater_of_two_excesses_is_told_and_a_fault_beats_a_hold():
    rig = rig_of(CASES[0], "policy")
    force = LIMITS.max_force_to_fault_n + 1.0
    rig.see(round(LIMITS.force_window_s / PERIOD_S), wrench=(LIMITS.max_force_n + 1.0, 0.0, 0.0, 0.0, 0.0, 0.0))
    executed = rig.see(1, wrench=(0.0, force, 0.0, 0.0, 0.0, 0.0))
    assert [refusal.limit for refusal in executed.refusals] == ["S8", "S8"]
    assert [refusal.amount for refusal in executed.refusals] == pytest.approx([force - LIMITS.max_force_n, 1.0])
    assert executed.mode is GuardMode.FAULT
    assert executed.reason.startswith("S8: the arm hit something")
