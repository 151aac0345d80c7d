"""What of a target is let through: the box, the range of rotations, the reach of a person."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hardware.fakes import POINTING_DOWN, shifted
from hardware.geometry import pose_add
from hardware.guard_state import GuardState, Target, resting_at
from hardware.interfaces import Pose, Refusal, Source
from hardware.reference import Motion
from hardware.safety import RETREAT, TRIP
from hardware.targets import INSET_M, limit_lead, limited, target_at
from tests.hardware.rig import Rig, fake_cell

SETTINGS = Rig(fake_cell()).guard.settings
STATE = resting_at(GuardState(), POINTING_DOWN)
BOX, LIMITS = SETTINGS.workspace, SETTINGS.limits


def ask(pose: Pose, driver: Source = Source.POLICY) -> tuple[Target, list[Refusal]]:
    refusals: list[Refusal] = []
    return limited(SETTINGS, STATE, pose, driver, refusals), refusals


def at(x_m: float) -> Pose:
    return POINTING_DOWN._replace(position_m=(x_m, *POINTING_DOWN.position_m[1:]))


def test_what_is_inside_comes_through_as_the_very_same_pose():
    pose = shifted(POINTING_DOWN, (0.01, 0.02, -0.01))
    target, refusals = ask(pose)
    assert (target.pose is pose, refusals) == (True, [])


@pytest.mark.parametrize(
    ("inside_m", "excess_m"), [(2.0 * INSET_M, None), (0.5 * INSET_M, None), (0.0, None), (-0.03, 0.03)]
)
def test_s4_a_target_ends_a_little_inside_the_box_and_is_refused_from_the_wall_on(inside_m, excess_m):
    target, refusals = ask(at(BOX.max_m[0] - inside_m))
    assert target.position[0] == pytest.approx(BOX.max_m[0] - max(inside_m, INSET_M), abs=1e-12)
    assert target.pose.position_m == target.position
    amounts = [] if excess_m is None else [pytest.approx(excess_m)]
    assert [(refusal.limit, refusal.amount) for refusal in refusals] == [("S4", amount) for amount in amounts]


def test_s6_a_target_turned_too_far_is_clipped_and_the_refusal_says_by_how_much():
    turn = LIMITS.max_rotation_rad + 0.1  # Below half a turn.
    quat = pose_add(POINTING_DOWN, (0.0, 0.0, 0.0, 0.0, 0.0, turn)).quat_xyzw
    target, refusals = ask(POINTING_DOWN._replace(quat_xyzw=quat))
    assert np.linalg.norm(target.rotation) == pytest.approx(LIMITS.max_rotation_rad)
    assert [(refusal.limit, refusal.amount) for refusal in refusals] == [("S6", pytest.approx(0.1))]


def test_a_persons_target_stays_within_reach_of_the_reference_and_a_policys_need_not():
    far = Pose(shifted(POINTING_DOWN, (0.15, 0.0, 0.0)).position_m, pose_add(POINTING_DOWN, (0, 0, 0, 0.8, 0, 0))[1])
    person, refusals = ask(far, Source.HUMAN)
    assert refusals == []
    assert np.linalg.norm(np.subtract(person.position, STATE.translation.motion.position)) == pytest.approx(
        LIMITS.max_teleop_lead_m
    )
    assert np.linalg.norm(person.rotation) == pytest.approx(LIMITS.max_teleop_lead_rad)
    policy, _ = ask(far)
    assert policy.position == far.position_m
    assert np.linalg.norm(policy.rotation) == pytest.approx(0.8)


def led(position: tuple[float, float, float], turn: float) -> tuple[GuardState, list[Refusal]]:
    """S7 with the reference this far from the arm, moving on, and the target there."""
    refusals: list[Refusal] = []
    arm = Rig(fake_cell()).arm
    arm.connect()
    goal = pose_add(shifted(POINTING_DOWN, position), (0.0, 0.0, 0.0, 0.0, 0.0, turn))
    state = resting_at(GuardState(), POINTING_DOWN)
    target = target_at(state, goal.position_m, (0.0, 0.0, turn))
    motion = state.translation._replace(motion=Motion(goal.position_m), target=goal.position_m)
    turning = state.rotation._replace(motion=Motion((0.0, 0.0, turn)), target=(0.0, 0.0, turn))
    state = state._replace(translation=motion, rotation=turning, target=target)
    return limit_lead(SETTINGS, state, arm.read(), refusals), refusals


def test_s7_each_group_is_brought_back_by_itself_and_says_by_how_much():
    for position, turn, lead, limit in (
        ((0.05, 0.0, 0.0), 0.0, 0.05, LIMITS.max_lead_m),
        ((0.0, 0.0, 0.0), 0.4, 0.4, LIMITS.max_lead_rad),
    ):
        state, refusals = led(position, turn)
        (refusal,) = refusals
        assert (refusal.limit, refusal.amount) == ("S7", pytest.approx(lead - TRIP * limit, abs=1e-3))
        moved = np.subtract(state.target.position, POINTING_DOWN.position_m) if turn == 0.0 else state.target.rotation
        assert np.linalg.norm(moved) == pytest.approx(RETREAT * limit, rel=1e-6)
    state, refusals = led((0.001, 0.0, 0.0), 0.01)
    assert refusals == []


def test_s7_what_is_brought_back_towards_an_arm_outside_stays_inside():
    refusals: list[Refusal] = []
    wall = at(BOX.max_m[0] - INSET_M)
    state = resting_at(GuardState(), wall)
    arm = replace(Rig(fake_cell()).arm.read(), T_base_ee=at(BOX.max_m[0] + 0.2))
    state = limit_lead(SETTINGS, state, arm, refusals)
    assert [refusal.limit for refusal in refusals] == ["S7"]
    assert state.target.position[0] <= BOX.max_m[0] - INSET_M + 1e-12
