"""What of a target is let through: the box, the range of rotations, the reach of a person."""

from __future__ import annotations

import numpy as np
import pytest

from hardware.fakes import POINTING_DOWN, shifted
from hardware.geometry import pose_add
from hardware.guard_state import GuardState, Target, resting_at
from hardware.interfaces import Pose, Refusal, Source
from hardware.targets import INSET_M, limited
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
