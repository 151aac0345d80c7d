"""Plain-Python geometry against scipy over random rotations, near zero and near pi included."""

from __future__ import annotations

from math import pi

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from hardware import geometry as g
from hardware.interfaces import Pose

pytestmark = pytest.mark.no_cover  # not of the guard's core

coordinate = st.floats(-2.0, 2.0, allow_subnormal=False)
vector = st.tuples(coordinate, coordinate, coordinate)
angle = st.one_of(st.floats(0.0, pi - 1e-6), st.sampled_from([0.0, 1e-9, 1e-6, 1e-3, pi - 1e-4]))


@st.composite
def rotvecs(draw: st.DrawFn) -> tuple[float, float, float]:
    axis = np.array(draw(vector.filter(lambda v: np.linalg.norm(v) > 0.1)))
    x, y, z = (axis / np.linalg.norm(axis) * draw(angle)).tolist()
    return (x, y, z)


quaternions = rotvecs().map(g.quat_from_rotvec)
poses = st.builds(Pose, vector, quaternions)


def same_rotation(q: tuple[float, ...], expected: Rotation, tolerance: float = 1e-9) -> bool:
    return bool((Rotation.from_quat(q) * expected.inv()).magnitude() < tolerance)


@given(quaternions, quaternions, vector)
def test_quaternion_algebra_equals_scipy(a, b, v):
    ra, rb = Rotation.from_quat(a), Rotation.from_quat(b)
    assert same_rotation(g.quat_multiply(a, b), ra * rb)
    assert same_rotation(g.quat_inverse(a), ra.inv())
    np.testing.assert_allclose(g.quat_rotate(a, v), ra.apply(v), atol=1e-12)


@given(rotvecs())
def test_exponential_and_logarithm_equal_scipy(r):
    q = g.quat_from_rotvec(r)
    assert q[3] >= 0.0
    assert same_rotation(q, Rotation.from_rotvec(r))
    np.testing.assert_allclose(g.rotvec_from_quat(q), Rotation.from_quat(q).as_rotvec(), atol=1e-9)
    np.testing.assert_allclose(g.rotvec_from_quat((-q[0], -q[1], -q[2], -q[3])), g.rotvec_from_quat(q), atol=1e-12)


@given(rotvecs(), st.floats(0.1, 10.0), st.sampled_from([-1.0, 1.0]))
def test_normalize_keeps_the_rotation_and_the_sign_convention(r, scale, sign):
    q = g.quat_from_rotvec(r)
    x, y, z, w = g.quat_normalize((q[0] * scale * sign, q[1] * scale * sign, q[2] * scale * sign, q[3] * scale * sign))
    assert w >= 0.0
    assert abs(x * x + y * y + z * z + w * w - 1.0) < 1e-12
    assert same_rotation((x, y, z, w), Rotation.from_quat(q))


def test_normalize_refuses_the_zero_quaternion():
    with pytest.raises(ValueError, match="zero length"):
        g.quat_normalize((0.0, 0.0, 0.0, 0.0))


@given(poses, poses)
def test_poses_equal_homogeneous_matrices(a, b):
    ma, mb = g.matrix_from_pose(a), g.matrix_from_pose(b)
    np.testing.assert_allclose(g.matrix_from_pose(g.pose_multiply(a, b)), ma @ mb, atol=1e-12)
    np.testing.assert_allclose(g.matrix_from_pose(g.pose_inverse(a)), np.linalg.inv(ma), atol=1e-12)
    np.testing.assert_allclose(g.matrix_from_pose(g.pose_from_matrix(ma)), ma, atol=1e-9)


@given(poses, vector, rotvecs())
def test_add_and_delta_are_inverse(start, translation, rotation):
    delta = (*translation, *rotation)
    np.testing.assert_allclose(g.pose_delta(start, g.pose_add(start, delta)), delta, atol=1e-7)


@given(poses, poses)
def test_delta_is_in_base_axes(start, end):
    expected = Rotation.from_quat(end.quat_xyzw) * Rotation.from_quat(start.quat_xyzw).inv()
    delta = g.pose_delta(start, end)
    np.testing.assert_allclose(delta[:3], np.subtract(end.position_m, start.position_m), atol=1e-12)
    assert (Rotation.from_rotvec(delta[3:]) * expected.inv()).magnitude() < 1e-7
    metres, radians = g.pose_distance(start, end)
    assert metres == pytest.approx(np.linalg.norm(delta[:3]))
    assert radians == pytest.approx(expected.magnitude(), abs=1e-7)


def test_a_pure_translation_never_rotates():
    tilted = Pose((0.4, 0.1, 0.3), g.quat_from_rotvec((0.3, -0.2, 1.0)))
    assert g.pose_delta(tilted, Pose((0.4, 0.1, 0.2), tilted.quat_xyzw))[3:] == pytest.approx((0, 0, 0), abs=1e-15)


@given(quaternions)
def test_quaternion_orders_round_trip(q):
    assert g.xyzw_from_wxyz(g.wxyz_from_xyzw(q)) == q
    assert g.wxyz_from_xyzw(q)[0] == q[3]


@pytest.mark.parametrize(
    ("matrix", "message"),
    [(np.eye(3), r"\(4, 4\)"), (np.diag([1.0, 1.0, -1.0, 1.0]), "not rigid"), (np.diag([2.0, 1, 1, 1]), "not rigid")],
)
def test_only_rigid_matrices_become_poses(matrix, message):
    with pytest.raises(ValueError, match=message):
        g.pose_from_matrix(matrix)
