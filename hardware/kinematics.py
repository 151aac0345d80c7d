"""Kinematics of a serial arm: joint frames and Jacobian from modified Denavit-Hartenberg parameters.

Plain Python on tuples of floats, as in :mod:`hardware.geometry` and for the same reason: the guard's tick calls this.
MuJoCo is the oracle of the tests. Parameters follow Craig, *Introduction to Robotics*, 3rd ed., eq. 3.6:
``T_(i-1)_i = Rx(alpha_i) Tx(a_i) Rz(q_i) Tz(d_i)``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, sin
from typing import NamedTuple

import numpy as np

from hardware.geometry import IDENTITY_POSE, pose_from_matrix, quat_rotate
from hardware.interfaces import Pose, Vector3, Vector6

Jacobian = tuple[Vector6, ...]
"""One column a joint: m/rad of the end effector, then rad/rad, base axes."""

_X, _Y, _Z = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)


class Frame(NamedTuple):
    """Axes and origin of a link's frame, as vectors of the frame that the chain stands in."""

    x: Vector3
    y: Vector3
    z: Vector3
    origin: Vector3

    @classmethod
    def of(cls, pose: Pose) -> Frame:
        q = pose.quat_xyzw
        return cls(quat_rotate(q, _X), quat_rotate(q, _Y), quat_rotate(q, _Z), pose.position_m)

    @property
    def pose(self) -> Pose:
        """The same as position and quaternion."""
        matrix = np.eye(4)
        matrix[:3] = np.array((self.x, self.y, self.z, self.origin)).T
        return pose_from_matrix(matrix)

    def point(self, p: Vector3) -> Vector3:
        """A point of this frame, seen from outside it."""
        (xx, xy, xz), (yx, yy, yz), (zx, zy, zz), (ox, oy, oz) = self
        a, b, c = p
        return ox + a * xx + b * yx + c * zx, oy + a * xy + b * yy + c * zy, oz + a * xz + b * yz + c * zz


@dataclass(frozen=True, slots=True)
class Joint:
    """A revolute joint: its place in the chain (modified DH), its mechanical range and its rated speed."""

    a_m: float
    alpha_rad: float
    d_m: float
    min_rad: float
    max_rad: float
    max_speed_rad_s: float = dataclasses.field(metadata={"minimum": 0.0, "exclusive": True})

    def __post_init__(self) -> None:
        if self.min_rad >= self.max_rad:
            raise ValueError(f"min_rad {self.min_rad:g} must be below max_rad {self.max_rad:g}")


class Chain:
    """A row of revolute joints and the end effector behind the last, standing at ``mount`` (``T_cell_base``)."""

    def __init__(self, joints: Sequence[Joint], T_last_ee: Pose, mount: Pose = IDENTITY_POSE) -> None:
        self._base, self._tip = Frame.of(mount), T_last_ee
        self._tip_axes = Frame.of(T_last_ee)[:3]
        # Right angles exactly: cos(pi/2) is 6e-17, and a zero spares half the products below.
        self._rows = [(j.a_m, _exact(cos(j.alpha_rad)), _exact(sin(j.alpha_rad)), j.d_m) for j in joints]

    def frames(self, joints_rad: Sequence[float]) -> list[Frame]:
        """``T_cell_link`` of the base, of each joint's link, and of the end effector: ``len(joints) + 2`` frames."""
        frame = self._base
        (xx, xy, xz), (yx, yy, yz), (zx, zy, zz), (px, py, pz) = frame
        frames = [frame]
        for (a, ca, sa, d), q in zip(self._rows, joints_rad, strict=True):
            if ca == 0.0:
                ux, uy, uz = sa * zx, sa * zy, sa * zz
                zx, zy, zz = -sa * yx, -sa * yy, -sa * yz
            else:
                ux, uy, uz = ca * yx + sa * zx, ca * yy + sa * zy, ca * yz + sa * zz
                zx, zy, zz = ca * zx - sa * yx, ca * zy - sa * yy, ca * zz - sa * yz
            px, py, pz = px + a * xx + d * zx, py + a * xy + d * zy, pz + a * xz + d * zz
            c, s = cos(q), sin(q)
            yx, yy, yz = c * ux - s * xx, c * uy - s * xy, c * uz - s * xz
            xx, xy, xz = c * xx + s * ux, c * xy + s * uy, c * xz + s * uz
            frame = Frame((xx, xy, xz), (yx, yy, yz), (zx, zy, zz), (px, py, pz))
            frames.append(frame)
        frames.append(_attached(frame, self._tip_axes, self._tip.position_m))
        return frames


def jacobian(frames: Sequence[Frame]) -> Jacobian:
    """The end effector's Jacobian from :meth:`Chain.frames`, axes of the cell."""
    ex, ey, ez = frames[-1].origin
    columns = []
    for frame in frames[1:-1]:
        ax, ay, az = axis = frame.z
        px, py, pz = frame.origin
        x, y, z = ex - px, ey - py, ez - pz
        columns.append((ay * z - az * y, az * x - ax * z, ax * y - ay * x, *axis))
    return tuple(columns)


def _attached(frame: Frame, axes: tuple[Vector3, Vector3, Vector3], at: Vector3) -> Frame:
    """The frame with ``axes`` and origin ``at`` in ``frame``."""
    turning = frame._replace(origin=(0.0, 0.0, 0.0))
    x, y, z = (turning.point(axis) for axis in axes)
    return Frame(x, y, z, frame.point(at))


def _exact(value: float) -> float:
    return float(round(value)) if abs(value - round(value)) < 1e-12 else value
