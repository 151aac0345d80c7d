"""Limits on what is commanded and measured, each at its boundary: S1, S4 to S7, S28."""

from __future__ import annotations

from dataclasses import replace
from math import inf, nan

import pytest

from hardware.fakes import POINTING_DOWN, shifted
from hardware.geometry import pose_distance, quat_from_rotvec
from hardware.interfaces import ZERO6, ArmCommand, ExecutedCommand, Gripper, GuardMode, Pose, Source
from tests.hardware.rig import NAN_POSE, Rig

QUAT = POINTING_DOWN.quat_xyzw
HALF = (0.0, 0.0, 0.0, 0.5)
BAD_COMMANDS = {
    "nan position": ArmCommand(NAN_POSE),
    "infinite position": ArmCommand(Pose((0.4, inf, 0.2), QUAT)),
    "nan quaternion": ArmCommand(Pose((0.4, 0.0, 0.2), (nan, 0.0, 0.0, 1.0))),
    "zero quaternion": ArmCommand(Pose((0.4, 0.0, 0.2), (0.0, 0.0, 0.0, 0.0))),
    "long quaternion": ArmCommand(Pose((0.4, 0.0, 0.2), HALF)),
    "two coordinates": ArmCommand(Pose((0.4, 0.0), QUAT)),  # type: ignore[arg-type]
    "three-part quaternion": ArmCommand(Pose((0.4, 0.0, 0.2), (0.0, 0.0, 1.0))),  # type: ignore[arg-type]
    "text": ArmCommand(Pose(("a", "b", "c"), QUAT)),  # type: ignore[arg-type]
    "no pose": ArmCommand(None),  # type: ignore[arg-type]
    "gripper 2": ArmCommand(POINTING_DOWN, gripper=2),  # type: ignore[arg-type]
    "too large to add": ArmCommand(Pose((1.7e308, 1.7e308, 0.2), QUAT)),
}


def limits_of(executed: ExecutedCommand) -> set[str]:
    return {refusal.limit for refusal in executed.refusals}


# -- S1 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BAD_COMMANDS)
def test_s1_a_bad_command_holds_in_the_same_tick_and_never_reaches_the_arm(name):
    rig = Rig().engage()
    goal = shifted(POINTING_DOWN, (0.05, 0.0, 0.0))
    rig.ask(goal)
    before = rig.tick(20)
    bad = replace(BAD_COMMANDS[name], sequence=50, session=rig.guard.session)
    rig.guard.submit(bad, rig.clock.now())
    rig.guard.submit(ArmCommand(goal, sequence=51, session=rig.guard.session), rig.clock.now())
    executed = rig.tick()
    assert executed.mode is GuardMode.HOLD
    assert limits_of(executed) == {"S1"}
    metres, _ = pose_distance(before.target, rig.tick(30).target)
    assert metres < 0.06
    assert rig.guard.reason.startswith("S1")


def test_s1_three_bad_commands_within_the_window_latch_a_fault():
    rig = Rig().engage()
    for expected in (GuardMode.HOLD, GuardMode.HOLD, GuardMode.FAULT):
        rig.ask(NAN_POSE)
        assert rig.tick(100).mode is expected


def test_s1_bad_commands_further_apart_than_the_window_only_hold():
    rig = Rig().engage()
    for _ in range(4):
        rig.ask(NAN_POSE)
        assert rig.tick(510).mode is GuardMode.HOLD


@pytest.mark.parametrize(("norm", "accepted"), [(0.991, True), (1.009, True), (0.989, False), (1.011, False)])
def test_s1_a_quaternion_may_be_slightly_off_and_is_normalised(norm, accepted):
    rig = Rig().engage()
    rig.ask(Pose(POINTING_DOWN.position_m, tuple(norm * c for c in QUAT)))  # type: ignore[arg-type]
    executed = rig.tick()
    assert (executed.mode is GuardMode.RUNNING) is accepted
    assert sum(c * c for c in executed.target.quat_xyzw) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize(
    "fault",
    [
        {"T_base_ee": NAN_POSE},
        {"T_base_ee": None},
        {"T_base_ee": Pose((0.4, 0.0), QUAT)},
        {"ee_twist": (0.0, inf, 0.0, 0.0, 0.0, 0.0)},
        {"ee_twist": (0.0, 0.0, 0.0)},
        {"wrench": (0.0, 0.0, 0.0, nan, 0.0, 0.0)},
        {"wrench": (0.0,)},
        {"gripper_width_m": nan},
        {"joint_positions_rad": (nan, 0.0)},
        {"joint_velocities_rad_s": (0.0, -inf)},
        {"stamp_s": nan},
    ],
)
def test_s1_numbers_that_the_arm_cannot_mean_hold(fault):
    rig = Rig().engage()
    executed = rig.see(1, **fault)
    assert (executed.mode, limits_of(executed)) == (GuardMode.HOLD, {"S1"})
    assert executed.reference.T_base_ee == POINTING_DOWN


@pytest.mark.parametrize("fault", [{"twist": (0.0, 0.0, nan, 0.0, 0.0, 0.0)}, {"twist": (0.0,)}, {"heartbeat_s": inf}])
def test_s1_numbers_that_a_person_cannot_mean_hold(fault):
    rig = Rig().engage()
    rig.tick()
    sample = replace(rig.teleop.read(0.02), takeover=True, **fault)
    executed = rig.guard.tick(0.02, replace(rig.arm.read(), stamp_s=0.02), sample)
    assert (executed.mode, limits_of(executed)) == (GuardMode.HOLD, {"S1"})
    assert executed.reference.T_base_ee == POINTING_DOWN


# -- S4, S5, S6 ------------------------------------------------------------------------------------------------------


def test_s4_a_target_outside_is_clipped_and_what_is_inside_comes_through_untouched():
    rig = Rig().engage()
    inside = shifted(POINTING_DOWN, (0.01, 0.0, 0.0))
    rig.ask(inside)
    assert rig.tick().target is inside
    rig.ask(POINTING_DOWN._replace(position_m=(0.4, 0.0, -0.095)))
    executed = rig.tick()
    assert executed.target.position_m == pytest.approx((0.4, 0.0, 0.005), abs=2e-6)
    (refusal,) = executed.refusals
    assert (refusal.limit, refusal.source) == ("S4", Source.POLICY)
    assert refusal.amount == pytest.approx(0.1)


@pytest.mark.parametrize(("outside_m", "mode"), [(0.0049, GuardMode.ARMED), (0.0051, GuardMode.FAULT)])
def test_s4_an_arm_measured_outside_faults(outside_m, mode):
    rig = Rig(pose=POINTING_DOWN._replace(position_m=(0.45, 0.349, 0.25))).engage()
    rig.arm.blocked = True
    rig.arm.pose = rig.arm.pose._replace(position_m=(0.45, 0.35 + outside_m, 0.25))
    assert rig.tick().mode is mode


@pytest.mark.parametrize(
    ("speed_m_s", "ticks", "mode"),
    [(0.299, 10, GuardMode.ARMED), (0.301, 2, GuardMode.ARMED), (0.301, 3, GuardMode.FAULT)],
)
def test_s5_a_measured_speed_over_the_limit_for_the_window_faults(speed_m_s, ticks, mode):
    rig = Rig().engage()
    assert rig.see(ticks, ee_twist=(0.0, 0.0, speed_m_s, 0.0, 0.0, 0.0)).mode is mode


def test_s5_a_short_excess_is_forgotten():
    rig = Rig().engage()
    for _ in range(5):
        assert rig.see(2, ee_twist=(0.0, 0.0, 0.4, 0.0, 0.0, 0.0)).mode is GuardMode.ARMED
        assert rig.see(1, ee_twist=ZERO6).mode is GuardMode.ARMED


def test_s6_a_target_is_reached_exactly_in_position_and_orientation():
    rig = Rig().engage()
    goal = Pose((0.5, -0.1, 0.1), quat_from_rotvec((2.8, 0.3, -0.4)))
    rig.ask(goal)
    executed = rig.tick(400)
    assert pose_distance(executed.reference.T_base_ee, goal) == pytest.approx((0.0, 0.0), abs=1e-7)


def test_s6_a_target_that_only_turns_is_reached():
    rig = Rig().engage()
    goal = Pose(POINTING_DOWN.position_m, quat_from_rotvec((3.0, 0.2, 0.0)))
    rig.ask(goal)
    assert pose_distance(rig.tick(200).reference.T_base_ee, goal) == pytest.approx((0.0, 0.0), abs=1e-7)


def test_s6_a_target_turned_further_than_the_range_is_clipped():
    rig = Rig(pose=Pose(POINTING_DOWN.position_m, (0.0, 0.0, 0.0, 1.0))).engage()
    rig.ask(Pose(POINTING_DOWN.position_m, quat_from_rotvec((0.0, 0.0, 3.1))))
    executed = rig.tick()
    assert limits_of(executed) == {"S6"}
    assert pose_distance(executed.target, rig.arm.pose)[1] == pytest.approx(rig.limits.max_rotation_rad)


# -- S7, S28 ---------------------------------------------------------------------------------------------------------


def test_s7_the_target_is_brought_back_to_an_arm_that_cannot_follow():
    rig = Rig().engage()
    rig.arm.blocked = True
    rig.ask(shifted(POINTING_DOWN, (0.0, 0.0, -0.1)))
    executed = rig.tick(150)
    lead_m, _ = pose_distance(executed.reference.T_base_ee, POINTING_DOWN)
    assert 0.85 * rig.limits.max_lead_m < lead_m <= rig.limits.max_lead_m
    assert pose_distance(executed.target, POINTING_DOWN)[0] <= rig.limits.max_lead_m
    assert executed.mode is GuardMode.RUNNING
    assert any("S7" in limits_of(tick) for tick in rig.trace)


def test_s7_an_arm_that_keeps_up_is_not_braked():
    rig = Rig(lag_s=0.01).engage()
    rig.ask(shifted(POINTING_DOWN, (0.2, 0.1, 0.2)))
    rig.tick(400)
    assert not any(limits_of(tick) for tick in rig.trace)
    assert rig.guard.at_rest


def test_s7_an_arm_pushed_away_pulls_its_reference_along():
    rig = Rig().engage()
    rig.ask(POINTING_DOWN)
    rig.tick()
    rig.arm.blocked = True
    for tick in range(120):
        rig.arm.pose = shifted(POINTING_DOWN, (0.0, min(0.001 * tick, 0.06), 0.0))
        rig.tick()
    lead_m, _ = pose_distance(rig.trace[-1].reference.T_base_ee, rig.arm.pose)
    assert lead_m <= rig.limits.max_lead_m
    assert rig.trace[-1].mode is GuardMode.RUNNING


def test_s7_an_arm_too_far_away_draws_its_reference_near_before_anything_else_is_followed():
    rig = Rig().engage()
    rig.arm.blocked = True
    rig.arm.pose = shifted(POINTING_DOWN, (0.0, 0.03, 0.0))
    rig.ask(shifted(POINTING_DOWN, (-0.2, 0.2, 0.2)))
    executed = rig.tick()
    expected_m = 0.95 * rig.limits.max_lead_m
    assert pose_distance(executed.target, rig.arm.pose)[0] == pytest.approx(expected_m)
    assert executed.target.position_m[0] == POINTING_DOWN.position_m[0]
    lead_m, _ = pose_distance(rig.tick(100).reference.T_base_ee, rig.arm.pose)
    assert lead_m == pytest.approx(expected_m)


def test_s28_a_gripper_command_too_soon_after_the_last_change_is_refused():
    rig = Rig().engage(Gripper.OPEN)
    assert rig.tick().reference.gripper_width_m == rig.cell.gripper.open_width_m
    rig.tick(60)
    rig.ask(POINTING_DOWN, Gripper.CLOSE)
    assert rig.tick().reference.gripper_width_m == rig.cell.gripper.closed_width_m
    rig.ask(POINTING_DOWN, Gripper.OPEN)
    refused = rig.tick(1)
    assert (refused.gripper, limits_of(refused)) == (Gripper.CLOSE, {"S28"})
    rig.tick(48)
    rig.ask(POINTING_DOWN, Gripper.OPEN)
    assert rig.tick().gripper is Gripper.OPEN


def test_s28_the_gripper_keeps_its_command_through_hold_and_reengaging():
    rig = Rig().engage(Gripper.CLOSE)
    rig.guard.hold()
    rig.ask(POINTING_DOWN, Gripper.OPEN)
    assert rig.tick(60).gripper is Gripper.CLOSE
    rig.guard.reset()
    assert rig.engage().tick().reference.gripper_width_m == rig.cell.gripper.closed_width_m


def test_a_gripper_nobody_commanded_stays_where_it_is():
    rig = Rig()
    rig.arm.gripper_width_m = 0.033
    executed = rig.engage().tick()
    assert (executed.gripper, executed.reference.gripper_width_m) == (Gripper.HOLD, 0.033)


def test_the_person_works_the_gripper_while_driving():
    rig = Rig().engage()
    rig.teleop.push(0.1)
    rig.teleop.sample = replace(rig.teleop.sample, gripper=Gripper.CLOSE)
    rig.ask(POINTING_DOWN, Gripper.OPEN)
    assert rig.tick().gripper is Gripper.CLOSE
