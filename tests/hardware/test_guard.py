"""The guard's modes: who leaves them, and how; and a planner that fails."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hardware.fakes import POINTING_DOWN, shifted
from hardware.guard import EngageError, Guard
from hardware.guard_inputs import GuardInputs
from hardware.guard_state import GuardState
from hardware.guard_step import step
from hardware.interfaces import ZERO6, ArmCommand, GuardMode, Source
from hardware.reference import Planner, PlanningError
from tests.hardware.rig import NAN_POSE, Rig

QUAT = POINTING_DOWN.quat_xyzw
HALF = (0.0, 0.0, 0.0, 0.5)


# -- modes -----------------------------------------------------------------------------------------------------------


def test_it_boots_disarmed_and_follows_the_arm_without_commanding():
    rig = Rig()
    rig.ask(shifted(POINTING_DOWN, (0.1, 0.0, 0.0)))
    executed = rig.tick(3)
    assert executed.mode is GuardMode.DISARMED
    assert executed.source is Source.HOLD
    assert executed.reference.T_base_ee == rig.arm.pose
    assert executed.reference.twist == ZERO6


def test_s9_engaging_holds_the_measured_pose_and_runs_on_the_first_command():
    rig = Rig().engage()
    executed = rig.tick(5)
    assert (executed.mode, executed.target) == (GuardMode.ARMED, POINTING_DOWN)
    rig.ask(POINTING_DOWN)
    assert rig.tick().mode is GuardMode.RUNNING
    assert rig.guard.reason == ""


def test_s9_the_first_moments_after_engaging_run_at_halved_limits():
    rig = Rig().engage()
    rig.ask(shifted(POINTING_DOWN, (0.2, 0.0, 0.0)))
    rig.tick(round(rig.limits.engage_time_s / 0.01))
    moved = rig.trace[-1].reference.T_base_ee.position_m[0] - POINTING_DOWN.position_m[0]
    assert 0.0 < moved <= 0.002
    bound = rig.limits.engage_scale * rig.limits.max_acceleration_m_s2
    assert rig.trace[-1].reference.twist[0] <= bound * rig.limits.engage_time_s
    rig.tick(15)
    gain = rig.trace[-1].reference.twist[0] - rig.trace[-2].reference.twist[0]
    assert gain > 0.5 * 0.01 * rig.limits.max_acceleration_m_s2 / 3**0.5


def test_engaging_twice_is_refused():
    with pytest.raises(EngageError, match="ARMED, not DISARMED"):
        Rig().engage().engage()


@pytest.mark.parametrize(("outside_m", "engages"), [(0.0049, True), (0.0051, False)])
def test_s4_engaging_outside_the_workspace_is_refused(outside_m, engages):
    x, y, z = Rig().cell.workspace.max_m
    rig = Rig(pose=POINTING_DOWN._replace(position_m=(x - 0.1, y - 0.1, z + outside_m)))
    if engages:
        rig.engage()
        rig.ask(rig.arm.pose)
        assert rig.tick(200).reference.T_base_ee.position_m[2] == pytest.approx(z, abs=2e-6)
    else:
        with pytest.raises(EngageError, match=r"5\.1 mm outside"):
            rig.engage()


def test_engaging_an_arm_that_reports_nan_is_refused():
    with pytest.raises(EngageError, match="not finite"):
        Rig(pose=NAN_POSE).engage()


def test_hold_is_a_controlled_stop_that_only_the_operator_clears():
    rig = Rig().engage()
    goal = shifted(POINTING_DOWN, (0.2, 0.0, 0.0))
    rig.ask(goal)
    rig.tick(50)
    rig.guard.hold("test")
    with pytest.raises(EngageError, match="still brakes"):
        rig.tick()
        rig.resume()
    rig.ask(goal)
    held = rig.tick(50)
    assert (held.mode, held.source, held.reference.twist) == (GuardMode.HOLD, Source.HOLD, ZERO6)
    assert held.target == held.reference.T_base_ee
    rig.ask(goal)
    rig.resume()
    assert rig.tick(20).reference.T_base_ee == held.reference.T_base_ee  # What was on its way has been flushed.
    rig.ask(goal)
    assert rig.tick(10).reference.twist[0] > 0.0


def test_the_person_does_not_drive_out_of_hold():
    rig = Rig().engage()
    rig.guard.hold()
    rig.teleop.push(1.0)
    assert rig.tick(30).reference.T_base_ee == POINTING_DOWN


def test_s9_resuming_is_refused_where_the_arm_was_moved_away():
    rig = Rig().engage()
    rig.guard.hold()
    rig.tick(51)
    rig.arm.blocked = True
    rig.arm.pose = shifted(rig.arm.pose, (0.0, 0.0, 0.051))
    with pytest.raises(EngageError, match="51 mm"):
        rig.resume()
    rig.arm.pose = shifted(POINTING_DOWN, (0.0, 0.0, 0.049))
    assert rig.resume().guard.mode is GuardMode.ARMED


def test_only_hold_can_be_resumed_and_reset_disarms_any_mode():
    rig = Rig().engage()
    with pytest.raises(EngageError, match="nothing to resume"):
        rig.resume()
    rig.guard.hold("broken", GuardMode.FAULT)
    rig.guard.hold("later")
    assert (rig.tick(5).mode, rig.guard.reason) == (GuardMode.FAULT, "broken")
    with pytest.raises(EngageError, match="FAULT, not HOLD"):
        rig.resume()
    rig.guard.reset()
    assert rig.tick().mode is GuardMode.DISARMED
    rig.engage()


def test_holding_a_disarmed_guard_changes_nothing():
    guard = Guard(Rig().cell)
    guard.hold()
    assert guard.mode is GuardMode.DISARMED


def test_step_is_pure():
    rig = Rig().engage()
    rig.ask(shifted(POINTING_DOWN, (0.1, 0.02, 0.0)))
    rig.tick(10)
    state, arm, sample = rig.guard.state, rig.arm.read(), rig.teleop.read(0.0)
    command = ArmCommand(shifted(POINTING_DOWN, (-0.1, 0.0, 0.0)), sequence=99, session=rig.guard.session)
    inputs = GuardInputs(arm, sample, (command,))
    first, executed = step(rig.guard.settings, state, inputs, 1.0)
    step(rig.guard.settings, first, GuardInputs(arm, sample), 1.01)
    again, executed_again = step(rig.guard.settings, state, inputs, 1.0)
    assert executed == executed_again
    assert again.translation.motion == first.translation.motion
    assert isinstance(state, GuardState)


def test_commands_arrive_when_their_latency_has_passed():
    rig = Rig().engage()
    goal = shifted(POINTING_DOWN, (0.01, 0.0, 0.0))
    rig.guard.submit(ArmCommand(goal, sequence=1, session=rig.guard.session), rig.clock.now() + 0.02)
    assert rig.tick().target == POINTING_DOWN
    assert rig.tick().target is goal


# -- a planner that fails ----------------------------------------------------------------------------------------------


class BrokenPlanner(Planner):
    """Plans until told otherwise."""

    broken = False

    def _plan(self, *arguments):
        if self.broken:
            raise PlanningError("no trajectory")
        return super()._plan(*arguments)


def test_s6_a_planner_that_fails_holds_and_what_is_under_way_ends_at_rest_inside():
    rig = Rig().engage()
    planner = BrokenPlanner()
    rig.guard.settings = replace(rig.guard.settings, planner=planner)
    goal = shifted(POINTING_DOWN, (0.1, 0.0, 0.0))
    rig.ask(goal)
    rig.tick(40)
    planner.broken = True
    rig.ask(shifted(POINTING_DOWN, (-0.1, 0.0, 0.0)))
    assert rig.tick().mode is GuardMode.HOLD
    assert rig.guard.reason == "S6: no trajectory"
    ended = rig.tick(300)
    assert ended.reference.T_base_ee == goal
    assert ended.target == goal
