"""Rigid-body geometry on tuples of floats.

Plain Python on purpose: these run inside the guard's 100 Hz tick, where one ``scipy`` rotation costs more than the
whole tick. ``scipy`` is the oracle of the tests instead. Quaternions are xyzw, unit, returned with w >= 0; rotation
vectors are axis times angle (rad); deltas are expressed in base axes: ``R_end = exp(delta) R_start``.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import atan2, cos, hypot, sin, sqrt

import numpy as np

from hardware.interfaces import Pose, Quaternion, Vector3, Vector6

IDENTITY_QUAT: Quaternion = (0.0, 0.0, 0.0, 1.0)
IDENTITY_POSE = Pose((0.0, 0.0, 0.0), IDENTITY_QUAT)
_SMALL_ANGLE_RAD = 1e-6  # below it the Taylor series is exact to double precision


def quat_multiply(a: Quaternion, b: Quaternion) -> Quaternion:
    """Hamilton product ``a b``: rotate by ``b``, then by ``a``. The sign of w is left as it falls."""
    ax, ay, az, aw = a
    bx, by, bz, bw = b
    return (
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
        aw * bw - ax * bx - ay * by - az * bz,
    )


def quat_inverse(q: Quaternion) -> Quaternion:
    """Conjugate: the inverse of a unit quaternion."""
    return (-q[0], -q[1], -q[2], q[3])


def quat_normalize(q: Quaternion) -> Quaternion:
    """Unit quaternion of the same rotation with w >= 0; raises ``ValueError`` for a zero quaternion."""
    x, y, z, w = q
    norm = sqrt(x * x + y * y + z * z + w * w)
    if norm == 0.0:
        raise ValueError("quaternion has zero length; a rotation needs a unit xyzw quaternion, e.g. (0, 0, 0, 1)")
    scale = -1.0 / norm if w < 0.0 else 1.0 / norm
    return (x * scale, y * scale, z * scale, w * scale)


def quat_rotate(q: Quaternion, v: Vector3) -> Vector3:
    """``R(q) v`` for a unit ``q``."""
    x, y, z, w = q
    vx, vy, vz = v
    tx = 2.0 * (y * vz - z * vy)
    ty = 2.0 * (z * vx - x * vz)
    tz = 2.0 * (x * vy - y * vx)
    return (vx + w * tx + y * tz - z * ty, vy + w * ty + z * tx - x * tz, vz + w * tz + x * ty - y * tx)


def quat_from_rotvec(r: Vector3) -> Quaternion:
    """Exponential map of a rotation vector (rad), with w >= 0."""
    x, y, z = r
    angle = sqrt(x * x + y * y + z * z)
    if angle < _SMALL_ANGLE_RAD:
        return quat_normalize((0.5 * x, 0.5 * y, 0.5 * z, 1.0))
    scale = sin(0.5 * angle) / angle
    w = cos(0.5 * angle)
    if w < 0.0:
        scale, w = -scale, -w
    return (x * scale, y * scale, z * scale, w)


def rotvec_from_quat(q: Quaternion) -> Vector3:
    """Logarithm of a unit quaternion: the shortest rotation vector, angle in [0, pi] rad."""
    x, y, z, w = q
    if w < 0.0:
        x, y, z, w = -x, -y, -z, -w
    sine = sqrt(x * x + y * y + z * z)
    # sin(a/2) ~ a/2 where the sine vanishes; atan2 keeps precision where acos(w) would lose half the digits.
    scale = 2.0 / w if sine < _SMALL_ANGLE_RAD else 2.0 * atan2(sine, w) / sine
    return (x * scale, y * scale, z * scale)


def pose_multiply(a: Pose, b: Pose) -> Pose:
    """``T_a_c`` from ``a = T_a_b`` and ``b = T_b_c``."""
    (ax, ay, az), q = a
    bx, by, bz = quat_rotate(q, b.position_m)
    return Pose((ax + bx, ay + by, az + bz), quat_normalize(quat_multiply(q, b.quat_xyzw)))


def pose_inverse(pose: Pose) -> Pose:
    """``T_b_a`` from ``T_a_b``."""
    inverse = quat_inverse(pose.quat_xyzw)
    x, y, z = quat_rotate(inverse, pose.position_m)
    return Pose((-x, -y, -z), quat_normalize(inverse))


def pose_delta(start: Pose, end: Pose) -> Vector6:
    """What takes ``start`` to ``end``: translation (m), then rotation vector of ``R_end R_start^-1`` (rad), base axes.

    The inverse of :func:`pose_add`. Position and orientation are decoupled: no twist adjoint turns a pure move into
    a rotation.
    """
    (sx, sy, sz), (ex, ey, ez) = start.position_m, end.position_m
    r = rotvec_from_quat(quat_multiply(end.quat_xyzw, quat_inverse(start.quat_xyzw)))
    return (ex - sx, ey - sy, ez - sz, r[0], r[1], r[2])


def pose_add(start: Pose, delta: Vector6) -> Pose:
    """``start`` moved by ``delta`` (m, rad; base axes); ``pose_delta(start, pose_add(start, d)) == d`` below pi rad."""
    x, y, z = start.position_m
    dx, dy, dz, rx, ry, rz = delta
    rotation = quat_multiply(quat_from_rotvec((rx, ry, rz)), start.quat_xyzw)
    return Pose((x + dx, y + dy, z + dz), quat_normalize(rotation))


def pose_distance(a: Pose, b: Pose) -> tuple[float, float]:
    """Distance between two poses: metres, and radians of the shortest rotation."""
    dx, dy, dz, rx, ry, rz = pose_delta(a, b)
    return hypot(dx, dy, dz), hypot(rx, ry, rz)


def wxyz_from_xyzw(q: Quaternion) -> Quaternion:
    """To MuJoCo's order."""
    return (q[3], q[0], q[1], q[2])


def xyzw_from_wxyz(q: Quaternion) -> Quaternion:
    """From MuJoCo's order."""
    return (q[1], q[2], q[3], q[0])


def matrix_from_pose(pose: Pose) -> np.ndarray:
    """Homogeneous float64 matrix, shape (4, 4)."""
    columns = [quat_rotate(pose.quat_xyzw, axis) for axis in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))]
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(columns).T
    matrix[:3, 3] = pose.position_m
    return matrix


def pose_from_matrix(matrix: np.ndarray) -> Pose:
    """Pose of a homogeneous (4, 4) matrix; raises ``ValueError`` if it is not rigid to 1e-6."""
    m = np.asarray(matrix, dtype=np.float64)
    if m.shape != (4, 4):
        raise ValueError(f"matrix has shape {m.shape}; a pose needs a homogeneous matrix of shape (4, 4)")
    rotation = m[:3, :3]
    rigid = np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-6) and np.linalg.det(rotation) > 0.0
    if not (rigid and np.allclose(m[3], (0.0, 0.0, 0.0, 1.0), atol=1e-6)):
        raise ValueError("matrix is not rigid; its upper left 3x3 must be a rotation and its last row 0 0 0 1")
    # Shepperd: the largest of the four candidate components is divided by, so precision never collapses.
    squares = np.array([m[0, 0], m[1, 1], m[2, 2], np.trace(rotation)])
    i = int(np.argmax(squares))
    q = np.empty(4)
    if i == 3:
        q[:3] = m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]
        q[3] = 1.0 + squares[3]
    else:
        j, k = (i + 1) % 3, (i + 2) % 3
        q[i] = 1.0 + m[i, i] - m[j, j] - m[k, k]
        q[j], q[k], q[3] = m[i, j] + m[j, i], m[i, k] + m[k, i], m[k, j] - m[j, k]
    x, y, z = (float(value) for value in m[:3, 3])
    return Pose((x, y, z), quat_normalize((float(q[0]), float(q[1]), float(q[2]), float(q[3]))))


def vector6(numbers: Iterable[float]) -> Vector6:
    """Six numbers of whatever a vendor's library returns; ``ValueError`` where there are not six."""
    a, b, c, d, e, f = map(float, numbers)
    return a, b, c, d, e, f
