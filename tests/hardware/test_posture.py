"""What an arm's body says of a posture, against numbers found another way: differences, solved equations, samples."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hardware.arm_model import load_arm_model
from hardware.geometry import pose_add, pose_delta, pose_multiply, quat_inverse, quat_multiply, rotvec_from_quat
from hardware.interfaces import Pose
from hardware.kinematics import Chain
from hardware.limits import Limits
from hardware.posture import HELD as HELD_TOOL
from hardware.posture import ArmBody, Presence, View
from hardware.surroundings import HeldCapsule

LIMITS = Limits()
MOUNT = Pose((0.3, -0.2, 0.1), (0.0, 0.0, np.sin(0.4), np.cos(0.4)))
HELD = HeldCapsule((0.0, 0.0, 0.0), (0.0, 0.02, 0.11), 0.01)
MODEL = load_arm_model("fr3")
CHAIN = Chain(MODEL.joints, MODEL.tip, MOUNT)
READY = np.array((0.0, 0.2, 0.0, -2.2, 0.0, 2.4, 0.7854))
SPEEDS = LIMITS.max_joint_speed_share * np.array([joint.max_speed_rad_s for joint in MODEL.joints])
PER_SPEED = 1.0 / np.repeat([LIMITS.max_speed_m_s, LIMITS.max_angular_speed_rad_s], 3)
STEP = 1e-5


def body() -> ArmBody:
    """Made anew, so that what it prepares is judged too."""
    return ArmBody(MODEL, MOUNT, (HELD,), LIMITS)


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
    return body().view(tuple(joints.tolist()), pose_multiply(inverted(MOUNT), tip(joints)))


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
    posture = body().posture(view, pose_multiply(inverted(MOUNT), rest))
    delta = np.array(pose_delta(view.ee, rest))
    assert posture.joints_rad == pytest.approx(READY + view.inverse @ delta)
    assert pose_delta(posture.ee.pose, rest) == pytest.approx((0.0,) * 6, abs=1e-9)
    assert posture.dexterity == pytest.approx(view_at(np.array(posture.joints_rad)).dexterity)
    frames = [*CHAIN.frames(posture.joints_rad)[:-1], posture.ee]
    for part, capsule in zip(body().parts, posture.capsules, strict=True):
        assert capsule.a == pytest.approx(frames[part.frame].point(part.start_m))
        assert capsule.b == pytest.approx(frames[part.frame].point(part.end_m))
        assert capsule.radius == part.radius_m


def test_its_presence_is_the_arm_now_and_then_the_hand_apart():
    view = view_at(READY)
    rest = body().posture(view, pose_multiply(inverted(MOUNT), pose_add(view.ee, (0.05, 0.0, 0.0, 0.0, 0.0, 0.0))))
    presence = body().presence(view, rest)
    hands = sum(part.frame == body().ee_frame for part in body().parts)
    assert (len(presence.hand), len(presence.arm)) == (2 * hands, 2 * (len(body().parts) - hands))
    assert set(presence.hand) | set(presence.arm) >= set(rest.capsules)
    now = body().posture(view, pose_multiply(inverted(MOUNT), view.ee))
    near = [min(np.linalg.norm(np.subtract(c.a, d.a)) for d in (*presence.hand, *presence.arm)) for c in now.capsules]
    assert max(near) < 1e-9
    assert np.subtract(*presence.points[::-1]) == pytest.approx((0.05, 0.0, 0.0), abs=1e-9)
    assert Presence().holds is False


def test_the_hand_reaches_as_far_as_the_farthest_of_what_it_holds():
    own = [part for part in body().parts if part.frame == body().ee_frame]
    ends = [np.linalg.norm(end) + part.radius_m for part in own for end in (part.start_m, part.end_m)]
    assert body().hand_reach_m == pytest.approx(max(ends))
    assert body().hand_reach_m > min(ends)


def test_links_move_as_fast_as_their_frames_say():
    """Origin and turn of each link's frame after a small motion of the joints, against :meth:`ArmBody.link_motion`."""
    rng, step, arm = np.random.default_rng(11), 1e-6, ArmBody(MODEL, MOUNT, (HELD,), LIMITS)
    extents = {part.frame: 0.0 for part in arm.parts if 0 < part.frame < arm.ee_frame}
    for part in arm.parts:
        if part.frame in extents:
            reach = max(np.linalg.norm(part.start_m), np.linalg.norm(part.end_m)) + part.radius_m
            extents[part.frame] = max(extents[part.frame], reach)
    for _ in range(20):
        joints, moves = READY + rng.uniform(-0.7, 0.7, 7), rng.normal(size=(7, 3))
        motion = arm.link_motion(view_at(joints), moves)
        for column in range(3):
            before, after = (view_at(joints + s * step * moves[:, column]).frames for s in (-1.0, 1.0))
            for link in range(1, 8):
                away = np.subtract(after[link].origin, before[link].origin) / (2.0 * step)
                axes = [np.cross(a, np.subtract(b, a)) for a, b in zip(before[link][:3], after[link][:3], strict=True)]
                turn = np.sum(axes, axis=0) / (4.0 * step)
                extent = extents.get(link)
                fast = 0.0 if extent is None else np.linalg.norm(away) + extent * np.linalg.norm(turn)
                assert motion[link - 1, column] == pytest.approx(fast, abs=1e-5)


def test_the_predicted_posture_brings_the_hand_there_and_the_links_nearly():
    rng = np.random.default_rng(10)
    for _ in range(100):
        view = view_at(READY + rng.uniform(-0.3, 0.3, 7))
        if view.dexterity < 0.5:
            continue
        goal = pose_add(view.ee, tuple((rng.uniform(-1, 1, 6) * ([0.015] * 3 + [0.05] * 3)).tolist()))
        posture = body().posture(view, pose_multiply(inverted(MOUNT), goal))
        assert np.allclose(posture.ee.origin, goal.position_m, atol=1e-12)
        reached = view_at(np.array(posture.joints_rad)).ee
        assert np.linalg.norm(np.subtract(reached.position_m, goal.position_m)) < 0.002


def test_what_is_held_may_touch_what_fingers_may_and_an_arm_without_a_hand_reaches_nowhere():
    (held,) = (part for part in body().parts if part.name == HELD_TOOL)
    assert held.tip
    assert ArmBody(replace(MODEL, capsules=(), meetings=()), MOUNT, (), LIMITS).hand_reach_m == 0.0
