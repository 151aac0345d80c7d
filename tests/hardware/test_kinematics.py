"""Kinematics against MuJoCo's and against products of the textbook's matrices."""

from __future__ import annotations

from dataclasses import replace
from math import cos, sin

import mujoco
import numpy as np
import pytest

from hardware.arm_model import load_arm_model
from hardware.geometry import IDENTITY_POSE, matrix_from_pose, pose_inverse, pose_multiply, quat_from_rotvec
from hardware.interfaces import Pose
from hardware.kinematics import Chain, Frame, Joint, jacobian
from hardware.toml_dataclass import ConfigError, from_table
from sim.world import World

MODEL = load_arm_model("fr3")
LOW = np.array([joint.min_rad for joint in MODEL.joints])
HIGH = np.array([joint.max_rad for joint in MODEL.joints])
MOUNT = Pose((0.3, -0.7, 0.05), quat_from_rotvec((0.2, -0.4, 2.0)))


def matrix(frame: Frame) -> np.ndarray:
    """(4, 4) homogeneous."""
    result = np.eye(4)
    result[:3] = np.array(frame).T
    return result


def of_matrices(joints: list[Joint], tip: Pose, mount: Pose, angles: np.ndarray) -> list[np.ndarray]:
    """Frames as products of Rx(alpha) Tx(a) Rz(q) Tz(d), from the mount to the tip."""
    result = [matrix_from_pose(mount)]
    for joint, q in zip(joints, angles, strict=True):
        along, turn = np.eye(4), np.eye(4)
        along[1:3, 1:3] = [
            [cos(joint.alpha_rad), -sin(joint.alpha_rad)],
            [sin(joint.alpha_rad), cos(joint.alpha_rad)],
        ]
        along[0, 3] = joint.a_m
        turn[:2, :2] = [[cos(q), -sin(q)], [sin(q), cos(q)]]
        turn[2, 3] = joint.d_m
        result.append(result[-1] @ along @ turn)
    return [*result, result[-1] @ matrix_from_pose(tip)]


def test_frames_and_jacobian_of_the_fr3_are_those_of_mujoco():
    world, chain, rng = World("reach.xml"), MODEL.chain(IDENTITY_POSE), np.random.default_rng(1)
    model, data = world.model, world.data
    bodies, site = [model.body(f"link{i}").id for i in range(8)], model.site("ee").id
    columns = np.zeros((6, model.nv))
    for joints in rng.uniform(LOW, HIGH, (200, 7)):
        data.qpos[:7] = joints
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        mujoco.mj_jacSite(model, data, columns[:3], columns[3:], site)
        frames = chain.frames(joints.tolist())
        assert len(frames) == 9
        for frame, body in zip(frames, bodies, strict=False):
            assert np.abs(matrix(frame)[:3, 3] - data.xpos[body]).max() < 1e-9
            assert np.abs(matrix(frame)[:3, :3] - data.xmat[body].reshape(3, 3)).max() < 1e-9
        assert np.abs(matrix(frames[-1])[:3, 3] - data.site_xpos[site]).max() < 1e-9
        assert np.abs(matrix(frames[-1])[:3, :3] - data.site_xmat[site].reshape(3, 3)).max() < 1e-9
        assert np.abs(np.array(jacobian(frames)).T - columns[:, :7]).max() < 1e-9


def test_any_chain_on_any_mount_is_the_product_of_its_matrices():
    rng = np.random.default_rng(2)
    for _ in range(100):
        joints = [
            Joint(float(a), float(rng.choice([alpha, 0.0, 0.5 * np.pi, -0.5 * np.pi, np.pi])), float(d), -1.0, 1.0, 1.0)
            for a, alpha, d in rng.uniform(-1.0, 1.0, (int(rng.integers(0, 8)), 3))
        ]
        angles = rng.uniform(-3.0, 3.0, len(joints))
        tip = Pose((0.1, -0.2, 0.3), quat_from_rotvec(tuple(rng.uniform(-1.0, 1.0, 3).tolist())))
        frames = Chain(joints, tip, MOUNT).frames(angles.tolist())
        expected = of_matrices(joints, tip, MOUNT, angles)
        assert np.abs(np.array([matrix(frame) for frame in frames]) - expected).max() < 1e-12


def test_the_jacobian_is_the_slope_of_the_end_effectors_pose():
    rng, step = np.random.default_rng(3), 1e-6
    chain = MODEL.chain(MOUNT)
    for joints in rng.uniform(LOW, HIGH, (20, 7)):
        columns = jacobian(chain.frames(joints.tolist()))
        for index, column in enumerate(columns):
            before, after = joints.copy(), joints.copy()
            before[index] -= step
            after[index] += step
            first, second = (matrix(chain.frames(q.tolist())[-1]) for q in (before, after))
            turn = (second[:3, :3] - first[:3, :3]) @ matrix(chain.frames(joints.tolist())[-1])[:3, :3].T / (2 * step)
            slope = [*(second[:3, 3] - first[:3, 3]) / (2 * step), turn[2, 1], turn[0, 2], turn[1, 0]]
            assert np.allclose(column, slope, atol=1e-7)


def test_a_frame_says_where_its_points_are_and_what_pose_it_has():
    rng = np.random.default_rng(4)
    for _ in range(20):
        pose = Pose(tuple(rng.uniform(-1, 1, 3).tolist()), quat_from_rotvec(tuple(rng.uniform(-2, 2, 3).tolist())))
        point = tuple(rng.uniform(-1, 1, 3).tolist())
        frame = Frame.of(pose)
        assert np.allclose(frame.point(point), (matrix_from_pose(pose) @ [*point, 1.0])[:3], atol=1e-14)
        assert np.allclose(matrix_from_pose(frame.pose), matrix_from_pose(pose), atol=1e-12)
        assert np.allclose(matrix_from_pose(pose_multiply(pose_inverse(pose), frame.pose)), np.eye(4), atol=1e-12)


@pytest.mark.parametrize(("low", "high"), [(1.0, 1.0), (1.0, 0.9)])
def test_a_joint_without_a_range_is_refused(low, high):
    with pytest.raises(ValueError, match=r"min_rad .* must be below max_rad"):
        Joint(0.0, 0.0, 0.0, low, high, 1.0)


def test_a_wrong_number_of_joints_is_refused():
    with pytest.raises(ValueError, match="argument"):
        MODEL.chain(IDENTITY_POSE).frames([0.0] * 6)


def test_right_angles_are_exact_so_that_an_upright_chain_has_no_rounding():
    frame = MODEL.chain(IDENTITY_POSE).frames([0.0] * 7)[2]
    assert frame.z == (0.0, 1.0, 0.0) and frame.y == (0.0, 0.0, -1.0)


def test_a_right_angle_is_one_to_the_last_bit():
    joint = Joint(0.0, np.pi / 2, 0.0, -1.0, 1.0, 1.0)
    _, frame, _ = Chain([joint], IDENTITY_POSE).frames([0.0])
    assert (frame.x, frame.y, frame.z) == ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.0, -1.0, 0.0))
    _, frame, _ = Chain([replace(joint, alpha_rad=0.3)], IDENTITY_POSE).frames([0.0])
    assert frame.y == (0.0, cos(0.3), sin(0.3))


@pytest.mark.parametrize(("speed", "allowed"), [(0.0, False), (-1.0, False), (1e-3, True), (0.5, True)])
def test_a_joint_that_a_file_describes_must_be_able_to_move(speed, allowed):
    table = {"a_m": 0.0, "alpha_rad": 0.0, "d_m": 0.3, "min_rad": -1.0, "max_rad": 1.0, "max_speed_rad_s": speed}
    if allowed:
        assert from_table(Joint, table, "arm.toml").max_speed_rad_s == speed
    else:
        with pytest.raises(ConfigError, match="max_speed_rad_s"):
            from_table(Joint, table, "arm.toml")
