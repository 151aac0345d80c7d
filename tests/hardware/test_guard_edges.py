"""What decides at the edge: ages exactly at a limit, what is on its way when a session ends, turning at half limits."""

from __future__ import annotations

from dataclasses import replace
from math import nan

import numpy as np
import pytest

from hardware.checks import CHECKS
from hardware.fakes import POINTING_DOWN, shifted
from hardware.guard import EngageError, Guard
from hardware.guard_inputs import GuardInputs, LinkHealth
from hardware.guard_state import Counts, GuardState
from hardware.guard_watch import watch, watch_disarmed
from hardware.interfaces import ArmCommand, GuardMode, Pose, Source
from hardware.mux import MuxState, newest
from hardware.posture import Presence
from tests.hardware.rig import NAN_POSE, Rig, fake_cell, running

PERIOD_S = 0.01
TURNED = Pose(POINTING_DOWN.position_m, (np.cos(0.4), np.sin(0.4), 0.0, 0.0))
"""Turned by 0.8 rad about the vertical."""


def excess(limit: str, rig: Rig, now: float, state: GuardState | None = None, **changes) -> float:
    """What the watchdog of ``limit`` says."""
    (check,) = (check for check in CHECKS if check.limit == limit)
    inputs = GuardInputs(rig.arm.read(), rig.teleop.read(now))._replace(**changes)
    return check.excess(rig.guard.settings, state or rig.guard.state, inputs, now)


# -- ages and windows --------------------------------------------------------------------------------------------------


def test_an_age_of_exactly_the_limit_is_still_allowed_from_either_side():
    rig = Rig()
    limit_s = 0.125
    rig.guard.settings = replace(
        rig.guard.settings, limits=replace(rig.limits, max_arm_state_age_s=limit_s, max_teleop_age_s=limit_s)
    )
    arm, sample = rig.arm.read(), rig.teleop.read(0.0)
    for now, allowed in ((1.125, True), (0.875, True), (1.126, False), (0.874, False)):
        aged = {"arm": replace(arm, stamp_s=1.0), "teleop": replace(sample, heartbeat_s=1.0)}
        assert (excess("S10", rig, now, **aged) <= 0.0) is allowed
        assert (excess("S13", rig, now, **aged) <= 0.0) is allowed


def test_what_happened_exactly_a_window_ago_no_longer_counts():
    rig = Rig(control_hz=10.0)
    window_s = rig.limits.dropped_window_s
    many = int(rig.guard.settings.max_dropped) + 1
    counted = GuardState(mode=GuardMode.RUNNING, counts=Counts(dropped_s=(0.0,) * many))
    assert excess("S18", rig, window_s, counted) <= 0.0
    assert excess("S18", rig, np.nextafter(window_s, 0.0), counted) > 0.0


def test_a_tick_missed_is_told_from_three_and_a_bit():
    rig = Rig()
    allowed = rig.limits.max_missed_ticks
    for missed, over in ((allowed, -1e-6), (allowed + 1, 1 - 1e-6)):
        assert excess("S25", rig, (missed + 1) * PERIOD_S, GuardState(tick_s=0.0)) == pytest.approx(over, abs=1e-9)
    assert excess("S25", rig, -2.0 * PERIOD_S, GuardState(tick_s=0.0)) == pytest.approx(2.0)


def test_another_actor_and_another_arms_stop_are_over_by_one():
    rig = Rig()
    state = GuardState(actor=3)
    assert excess("S24", rig, 0.0, state, link=LinkHealth(actor=4)) == 1.0
    assert excess("S24", rig, 0.0, state, link=LinkHealth(actor=3)) == 0.0
    assert excess("S30", rig, 0.0, state, neighbours=(Presence(), Presence(holds=True))) == 1.0
    assert excess("S30", rig, 0.0, state, neighbours=(Presence(),)) == 0.0


def test_s1_numbers_that_are_not_finite_are_over_by_one_and_the_streams_begin_anew():
    rig = Rig()
    rig.tick(150)
    state, refusals = rig.guard.state._replace(mode=GuardMode.ARMED), []
    arm = replace(rig.arm.read(), wrench=(nan,) * 6)
    seen = watch(rig.guard.settings, state, GuardInputs(arm, rig.teleop.read(0.0)), 0.0, refusals)
    assert [(refusal.limit, refusal.amount) for refusal in refusals] == [("S1", 1.0)]
    assert (seen.streamed_ticks, seen.mode) == (0, GuardMode.HOLD)


def test_s1_a_bad_command_is_over_by_one():
    rig = Rig().engage()
    rig.ask(NAN_POSE)
    assert [(refusal.limit, refusal.amount) for refusal in rig.tick().refusals] == [("S1", 1.0)]


def test_a_disarmed_guard_knows_whose_commands_came_last():
    rig = Rig()
    inputs = GuardInputs(rig.arm.read(), rig.teleop.read(0.0))
    seen = watch_disarmed(rig.guard.settings, GuardState(), inputs._replace(link=LinkHealth(actor=7)), 0.0)
    assert seen.actor == 7
    assert watch_disarmed(rig.guard.settings, seen, inputs, 0.0).actor == 7


def test_engaging_exactly_at_the_edge_of_what_is_allowed_outside():
    rig = Rig()
    rig.tick(150)
    box, allowed = rig.guard.settings.workspace, 0.0078125  # To the last bit.
    rig.guard.settings = replace(
        rig.guard.settings,
        limits=replace(rig.limits, max_workspace_excess_m=allowed),
        workspace=replace(box, max_m=(0.5, *box.max_m[1:])),
    )
    rig.arm.pose = Pose((0.5 + allowed, *POINTING_DOWN.position_m[1:]), POINTING_DOWN.quat_xyzw)
    rig.guard.engage(rig.arm.read(), rig.clock.now())
    assert rig.guard.mode is GuardMode.ARMED


def test_only_the_arms_whole_pose_being_finite_lets_it_engage():
    for pose in (Pose((np.inf, 0.0, 0.0), (-np.inf, 0.0, 0.0, 1.0)), Pose((np.inf, 0, 0), (np.inf, 0, 0, 1))):
        rig = Rig()
        rig.tick(150)
        with pytest.raises(EngageError, match="not finite"):
            rig.guard.engage(replace(rig.arm.read(), T_base_ee=pose), rig.clock.now())


# -- settings that nobody gives ----------------------------------------------------------------------------------------


def test_what_a_guard_is_not_told_is_as_documented():
    told = Guard(fake_cell(), "collaborative", teleop_speed=(0.08, 0.6), control_hz=10.0).settings
    untold = Guard(fake_cell()).settings
    assert (untold.teleop_speed, untold.command_timeout_s) == (told.teleop_speed, told.command_timeout_s)
    assert (untold.max_dropped, untold.limits) == (told.max_dropped, told.limits)
    assert GuardState().pace == 0  # Full speed, until something has been seen that asks for less.


# -- sessions and what is on its way -----------------------------------------------------------------------------------


def test_a_command_is_seen_once_from_its_arrival_on():
    guard = Rig().guard
    rig = Rig().engage()
    rig.guard.tick(0.0, rig.arm.read(), rig.teleop.read(0.0))
    goal = shifted(POINTING_DOWN, (0.01, 0.0, 0.0))
    rig.guard.submit(ArmCommand(goal, sequence=1, session=rig.guard.session), 1e-9)
    assert rig.guard.tick(0.0, rig.arm.read(), rig.teleop.read(0.0)).target is goal
    rig.guard.submit(ArmCommand(NAN_POSE, sequence=2, session=rig.guard.session), 1e-9)
    assert rig.guard.tick(0.0, rig.arm.read(), rig.teleop.read(0.0)).mode is GuardMode.HOLD
    assert len(rig.guard.state.counts.bad_commands_s) == 1
    rig.guard.tick(0.0, rig.arm.read(), rig.teleop.read(0.0))
    assert len(rig.guard.state.counts.bad_commands_s) == 1
    assert guard.session == 0


@pytest.mark.parametrize("how", ["session", "resume", "recover", "reset"])
def test_what_is_on_its_way_is_forgotten_when_a_session_ends(how):
    """Not even its soundness counts any more."""
    rig = Rig().engage()
    if how in ("resume", "recover"):
        rig.guard.hold()
        rig.tick(100)
    rig.guard.submit(ArmCommand(NAN_POSE, sequence=1, session=rig.guard.session), rig.clock.now() + 4.0)
    before = rig.guard.session
    if how == "session":
        rig.guard.begin_session(resetting=False)
    elif how == "resume":
        rig.resume()
    elif how == "recover":
        rig.guard.recover(rig.clock.now())
    else:
        rig.guard.reset()
    assert rig.guard.session == before + 1
    if how in ("recover", "reset"):
        rig.engage()
    assert rig.tick(450).mode is GuardMode.ARMED
    assert rig.guard.state.counts.bad_commands_s == ()


def test_the_first_command_of_a_session_may_have_any_number_from_zero_on():
    for sequence, counts in ((0, True), (-1, False)):
        _, best = newest(MuxState(), [ArmCommand(POINTING_DOWN, sequence=sequence)], 0.0)
        assert (best is not None) is counts


# -- at rest -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("goal", [shifted(POINTING_DOWN, (0.1, 0.0, 0.0)), TURNED], ids=["moves", "turns"])
def test_it_is_at_rest_only_when_neither_group_moves_or_is_about_to(goal):
    rig = running()
    assert rig.guard.at_rest
    rig.ask(goal)
    state = rig.guard.state
    assert rig.guard.at_rest
    seen = []
    for _ in range(400):
        rig.tick()
        seen.append(rig.guard.at_rest)
        assert rig.trace[-1].reference.twist == (0.0,) * 6 or not rig.guard.at_rest
    assert seen[0] is False
    assert seen[-1] is True
    rig.guard._state = state._replace(target=state.target._replace(rotation=(0.1, 0.0, 0.0)))
    assert not rig.guard.at_rest
    rig.guard._state = state._replace(target=state.target._replace(position=(0.1, 0.0, 0.0)))
    assert not rig.guard.at_rest


# -- turning -----------------------------------------------------------------------------------------------------------


def peak(rig: Rig, ticks: int) -> tuple[float, float]:
    """Greatest speed of turning, rad/s, and greatest change of it in a tick, rad/s^2, of the next ``ticks``."""
    before = len(rig.trace)
    rig.ask(TURNED)
    rig.tick(ticks)
    speeds = np.linalg.norm(rig.twists[max(before - 1, 0) :, 3:], axis=1)
    return float(speeds.max()), float(np.abs(np.diff(speeds)).max()) / PERIOD_S


def test_a_target_that_only_turns_turns_the_reference():
    rig = running()
    peak(rig, 5)
    assert rig.trace[-1].reference.twist[:3] == (0.0,) * 3
    assert np.linalg.norm(rig.trace[-1].reference.twist[3:]) > 1e-3


def test_s9_the_first_turns_after_engaging_run_at_halved_limits_too():
    fresh = Rig().engage()
    ticks = round(fresh.limits.engage_time_s / PERIOD_S)
    _, slow = peak(fresh, ticks - 1)
    _, fast = peak(running(), ticks - 1)
    assert slow < 0.75 * fast
    # Whether the moment has passed is told from the time since, not from the clock.
    later = Rig()
    later.clock.time_s = 1000.0
    _, still_slow = peak(later.engage(), ticks - 1)
    assert still_slow == pytest.approx(slow, rel=1e-3)


def test_s9_the_halved_limits_end_with_the_tick_they_should():
    rig = Rig().engage()
    engaged_s, settings = rig.guard.state.engaged_s, rig.guard.settings
    rig.ask(TURNED)
    rig.tick(round(rig.limits.engage_time_s / PERIOD_S) - 1)
    assert rig.guard.state.rotation.profile == settings.rotation.engage
    rig.ask(shifted(TURNED, (0.01, 0.0, 0.0)))
    rig.tick()
    assert rig.clock.now() - engaged_s == pytest.approx(rig.limits.engage_time_s)
    assert rig.guard.state.rotation.profile == settings.rotation.normal


def test_a_stop_while_only_turning_keeps_where_it_ends_as_its_target():
    rig = running()
    peak(rig, 20)
    rig.guard.hold()
    rig.tick(100)
    executed = rig.trace[-1]
    assert executed.source is Source.HOLD
    assert executed.reference.twist == (0.0,) * 6
    assert executed.target.position_m == executed.reference.T_base_ee.position_m
    assert executed.target.quat_xyzw == pytest.approx(executed.reference.T_base_ee.quat_xyzw, abs=1e-12)
    assert rig.guard.at_rest
