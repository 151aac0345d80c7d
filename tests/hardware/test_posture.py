"""What an arm's body says of a posture, against numbers found another way: differences, solved equations, samples."""

from __future__ import annotations

import numpy as np
import pytest

from hardware.arm_model import load_arm_model
from hardware.geometry import pose_add, pose_delta, pose_multiply, quat_inverse, quat_multiply, rotvec_from_quat
from hardware.interfaces import Pose
from hardware.kinematics import Chain
from hardware.limits import Limits
from hardware.posture import ArmBody, Presence, View
from hardware.surroundings import HeldCapsule

LIMITS = Limits()
MOUNT = Pose((0.3, -0.2, 0.1), (0.0, 0.0, np.sin(0.4), np.cos(0.4)))
HELD = HeldCapsule((0.0, 0.0, 0.0), (0.0, 0.02, 0.11), 0.01)
MODEL = load_arm_model("fr3")
BODY = ArmBody(MODEL, MOUNT, (HELD,), LIMITS)
CHAIN = Chain(MODEL.joints, MODEL.tip, MOUNT)
READY = np.array((0.0, 0.2, 0.0, -2.2, 0.0, 2.4, 0.7854))
SPEEDS = LIMITS.max_joint_speed_share * np.array([joint.max_speed_rad_s for joint in MODEL.joints])
PER_SPEED = 1.0 / np.repeat([LIMITS.max_speed_m_s, LIMITS.max_angular_speed_rad_s], 3)
STEP = 1e-5


def tip(joints: np.ndarray) -> Pose:
    return CHAIN.frames(tuple(joints.tolist()))[-1].pose


def jacobian_by_differences(joints: np.ndarray) -> np.ndarray:
    """(6, joints)."""
    columns = []
    for step in STEP * np.eye(len(joints)):
        before, after = tip(joints - step), tip(joints + step)
        turn = rotvec_from_quat(quat_multiply(after.quat_xyzw, quat_inverse(before.quat_xyzw)))
        columns.append([*np.subtract(after.position_m, before.position_m), *turn])
    return np.array(columns).T / (2.0 * STEP)


def scaled(jacobian: np.ndarray) -> np.ndarray:
    return PER_SPEED[:, None] * jacobian * SPEEDS


def view_at(joints: np.ndarray) -> View:
    return BODY.view(tuple(joints.tolist()), pose_multiply(inverted(MOUNT), tip(joints)))


def inverted(pose: Pose) -> Pose:
    quat = quat_inverse(pose.quat_xyzw)
    x, y, z = pose_multiply(Pose((0.0, 0.0, 0.0), quat), Pose(pose.position_m, (0.0, 0.0, 0.0, 1.0))).position_m
    return Pose((-x, -y, -z), quat)


def postures(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    return [READY + rng.uniform(-0.6, 0.6, 7) for _ in range(count)]


@pytest.mark.parametrize("joints", postures(12), ids=str)
def test_dexterity_is_the_least_singular_value_and_its_slope_is_where_it_goes(joints):
    view, scaled_jacobian = view_at(joints), scaled(jacobian_by_differences(joints))
    assert view.dexterity == pytest.approx(np.linalg.svd(scaled_jacobian, compute_uv=False)[-1], rel=1e-6)
    for j, step in enumerate(STEP * np.eye(7)):
        change = view_at(joints + step).dexterity - view_at(joints - step).dexterity
        assert view.dexterity_slope[j] == pytest.approx(change / (2.0 * STEP), rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("joints", postures(4), ids=str)
def test_the_inverse_is_that_of_damped_least_squares(joints):
    view, jacobian = view_at(joints), scaled(jacobian_by_differences(joints))
    damped = np.linalg.solve(jacobian @ jacobian.T + 0.05**2 * np.eye(6), jacobian).T
    assert view.inverse == pytest.approx(SPEEDS[:, None] * damped * PER_SPEED, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("joints", postures(4), ids=str)
def test_what_is_left_to_the_elbow_moves_no_end_effector_and_is_told_from_the_rest(joints):
    view, jacobian = view_at(joints), jacobian_by_differences(joints)
    assert view.null.shape == (7, 1)
    assert np.abs(jacobian @ view.null).max() < 1e-6 * np.linalg.norm(jacobian)
    assert view.null_share @ view.null == pytest.approx(np.eye(1))
    assert np.abs(view.null_share @ view.inverse).max() < 1e-9


def test_the_view_says_where_the_end_effector_is_by_either_account():
    view = view_at(READY)
    for pose in (view.ee, view.ee_by_joints):
        assert pose_delta(tip(READY), pose) == pytest.approx((0.0,) * 6, abs=1e-9)
    assert view.columns == pytest.approx(jacobian_by_differences(READY).T, abs=1e-6)


def test_a_posture_is_where_the_inverse_leads_with_the_end_effector_where_it_was_asked():
    view = view_at(READY)
    rest = pose_add(view.ee, (0.01, -0.02, 0.015, 0.03, -0.02, 0.05))
    posture = BODY.posture(view, pose_multiply(inverted(MOUNT), rest))
    delta = np.array(pose_delta(view.ee, rest))
    assert posture.joints_rad == pytest.approx(READY + view.inverse @ delta)
    assert pose_delta(posture.ee.pose, rest) == pytest.approx((0.0,) * 6, abs=1e-9)
    assert posture.dexterity == pytest.approx(view_at(np.array(posture.joints_rad)).dexterity)
    frames = [*CHAIN.frames(posture.joints_rad)[:-1], posture.ee]
    for part, capsule in zip(BODY.parts, posture.capsules, strict=True):
        assert capsule.a == pytest.approx(frames[part.frame].point(part.start_m))
        assert capsule.b == pytest.approx(frames[part.frame].point(part.end_m))
        assert capsule.radius == part.radius_m


def test_its_presence_is_the_arm_now_and_then_the_hand_apart():
    view = view_at(READY)
    rest = BODY.posture(view, pose_multiply(inverted(MOUNT), pose_add(view.ee, (0.05, 0.0, 0.0, 0.0, 0.0, 0.0))))
    presence = BODY.presence(view, rest)
    hands = sum(part.frame == BODY.ee_frame for part in BODY.parts)
    assert (len(presence.hand), len(presence.arm)) == (2 * hands, 2 * (len(BODY.parts) - hands))
    assert set(presence.hand) | set(presence.arm) >= set(rest.capsules)
    now = BODY.posture(view, pose_multiply(inverted(MOUNT), view.ee))
    near = [min(np.linalg.norm(np.subtract(c.a, d.a)) for d in (*presence.hand, *presence.arm)) for c in now.capsules]
    assert max(near) < 1e-9
    assert np.subtract(*presence.points[::-1]) == pytest.approx((0.05, 0.0, 0.0), abs=1e-9)
    assert Presence().holds is False


def test_no_point_of_a_link_moves_faster_than_its_motion_says_and_the_farthest_nearly_as_fast():
    rng = np.random.default_rng(5)
    links = {part.frame for part in BODY.parts if 0 < part.frame < BODY.ee_frame}
    fastest = 0.0
    for joints in postures(6):
        view, moves = view_at(joints), rng.normal(size=(7, 3))
        bound = BODY.link_motion(view, moves)
        assert bound.shape == (7, 3)
        for k, move in enumerate(moves.T):
            before, after = (CHAIN.frames(tuple((joints + s * STEP * move).tolist())) for s in (-1.0, 1.0))
            for link in range(1, 8):
                if link not in links:
                    assert bound[link - 1, k] == 0.0
            for part in BODY.parts:
                if part.frame not in links:
                    continue
                ends = (part.start_m, part.end_m)
                speeds = [np.subtract(after[part.frame].point(p), before[part.frame].point(p)) for p in ends]
                speed = max(np.linalg.norm(speed) for speed in speeds) / (2.0 * STEP)
                assert speed <= bound[part.frame - 1, k] + 1e-9
                fastest = max(fastest, speed / bound[part.frame - 1, k])
    assert 0.8 < fastest <= 1.0


def test_a_link_that_turns_about_itself_moves_by_its_extent():
    """Joint 1 alone: the origins of the first links stand still, and what moves is what is far from the axis."""
    view, move = view_at(READY), np.eye(7)[:, :1]
    bound = BODY.link_motion(view, move)[:, 0]
    for link in (1, 2):
        own = [p for p in BODY.parts if p.frame == link]
        farthest = [max(np.linalg.norm(p.start_m), np.linalg.norm(p.end_m)) + p.radius_m for p in own]
        assert bound[link - 1] == pytest.approx(max(farthest, default=0.0))


def test_the_hand_reaches_as_far_as_the_farthest_of_what_it_holds():
    own = [part for part in BODY.parts if part.frame == BODY.ee_frame]
    ends = [np.linalg.norm(end) + part.radius_m for part in own for end in (part.start_m, part.end_m)]
    assert BODY.hand_reach_m == pytest.approx(max(ends))
    assert BODY.hand_reach_m > min(ends)
