"""The twin's kinematics against the published ones."""

from __future__ import annotations

from math import acos, pi

import mujoco
import numpy as np
import pytest

from hardware.geometry import matrix_from_pose, pose_distance
from hardware.interfaces import Pose
from sim.kinematics import READY_JOINTS_RAD, InverseKinematics
from sim.tasks.base import pointing_down
from sim.world import World

# Franka Research 3 datasheet and documentation, modified (Craig) Denavit-Hartenberg parameters: m, rad.
A = [0.0, 0.0, 0.0, 0.0825, -0.0825, 0.0, 0.088]
D = [0.333, 0.0, 0.316, 0.0, 0.384, 0.0, 0.0]
ALPHA = [0.0, -pi / 2, pi / 2, pi / 2, -pi / 2, pi / 2, pi / 2]
FLANGE_M, TCP_M, HAND_RAD = 0.107, 0.1034, -pi / 4
LOWER = [-2.7437, -1.7837, -2.9007, -3.0421, -2.8065, 0.5445, -3.0159]
UPPER = [2.7437, 1.7837, 2.9007, -0.1518, 2.8065, 4.5169, 3.0159]
TORQUE_NM = [87.0] * 4 + [12.0] * 3


def dh_forward(joints: np.ndarray) -> np.ndarray:
    """T_base_ee (4, 4) of the published parameters."""
    total = np.eye(4)
    for a, d, alpha, theta in zip(A, D, ALPHA, joints, strict=True):
        ct, st, ca, sa = np.cos(theta), np.sin(theta), np.cos(alpha), np.sin(alpha)
        total = total @ np.array(
            [
                [ct, -st, 0.0, a],
                [st * ca, ct * ca, -sa, -d * sa],
                [st * sa, ct * sa, ca, d * ca],
                [0.0, 0.0, 0.0, 1.0],
            ]
        )
    c, s = np.cos(HAND_RAD), np.sin(HAND_RAD)
    return total @ np.array([[c, -s, 0, 0], [s, c, 0, 0], [0, 0, 1, FLANGE_M + TCP_M], [0, 0, 0, 1]])


@pytest.fixture(scope="module")
def world() -> World:
    return World("reach.xml")


def test_forward_kinematics_are_the_published_ones(world: World) -> None:
    rng = np.random.default_rng(7)
    for joints in rng.uniform(LOWER, UPPER, (1000, 7)):
        world.data.qpos[:7] = joints
        mujoco.mj_kinematics(world.model, world.data)
        ours, published = matrix_from_pose(world.site_pose("ee")), dh_forward(joints)
        assert np.linalg.norm(ours[:3, 3] - published[:3, 3]) < 1e-4
        cosine = 0.5 * (np.trace(ours[:3, :3].T @ published[:3, :3]) - 1.0)
        assert np.degrees(acos(min(1.0, cosine))) < 0.01


def test_limits_are_the_published_ones(world: World) -> None:
    model = world.model
    assert np.allclose(model.jnt_range[:7, 0], LOWER) and np.allclose(model.jnt_range[:7, 1], UPPER)
    assert np.allclose(model.jnt_actfrcrange[:7], np.outer(TORQUE_NM, (-1.0, 1.0)))


def test_inverse_kinematics_arrive_and_keep_the_posture(world: World) -> None:
    solve, rng = InverseKinematics(world.model), np.random.default_rng(3)
    for _ in range(100):
        x, y, z = rng.uniform((0.35, -0.25, 0.02), (0.68, 0.25, 0.45)).tolist()
        goal = Pose((x, y, z), pointing_down(rng.uniform(-0.5, 0.5)))
        joints = solve(goal)
        world.data.qpos[:7] = joints
        mujoco.mj_kinematics(world.model, world.data)
        metres, radians = pose_distance(world.site_pose("ee"), goal)
        assert metres < 1e-5 and radians < 1e-4
        assert np.all(joints >= LOWER) and np.all(joints <= UPPER)
        assert np.abs(joints - READY_JOINTS_RAD).max() < 1.6, "elbow flipped"


def test_inverse_kinematics_are_repeatable(world: World) -> None:
    goal = Pose((0.5, 0.1, 0.1), pointing_down(0.2))
    assert np.array_equal(InverseKinematics(world.model)(goal), InverseKinematics(world.model)(goal))


def test_out_of_reach_is_said(world: World) -> None:
    with pytest.raises(ValueError, match="cannot reach"):
        InverseKinematics(world.model)(Pose((1.2, 0.0, 0.2), pointing_down(0.0)))
