"""Solids that must not meet, and how far apart they are: capsules, planes, boxes.

No distance is ever overstated. Plain Python on tuples of floats, for the guard's tick; MuJoCo is the oracle of the
tests. Points and lengths are in the cell's frame, m.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isclose, sqrt
from typing import NamedTuple

from hardware.interfaces import Vector3

NEAR_M = 0.1
"""Beyond this a distance may be given as a lower bound, which costs less."""


class Capsule(NamedTuple):
    """All points within ``radius`` of the segment from ``a`` to ``b``."""

    a: Vector3
    b: Vector3
    radius: float


@dataclass(frozen=True, slots=True)
class Plane:
    """The surface of something that fills the half-space behind it: a table, a wall."""

    normal: Vector3
    """Unit vector towards the free side."""
    offset_m: float = 0.0
    """Of the surface along the normal, from the cell's origin."""

    def __post_init__(self) -> None:
        length = sqrt(_dot(self.normal, self.normal))
        if not isclose(length, 1.0, rel_tol=1e-6):
            raise ValueError(f"normal {list(self.normal)} has length {length:.3g}; it must be a unit vector")

    def distance(self, capsule: Capsule) -> float:
        """Signed distance of a capsule, negative behind the surface."""
        nx, ny, nz = self.normal
        (ax, ay, az), (bx, by, bz), radius = capsule
        return min(nx * ax + ny * ay + nz * az, nx * bx + ny * by + nz * bz) - self.offset_m - radius

    def away(self, capsule: Capsule) -> Vector3:
        """Unit direction in which the distance grows fastest."""
        return self.normal


@dataclass(frozen=True, slots=True)
class Box:
    """An axis-aligned box: a fixture that fills it, or a zone in which something is allowed."""

    min_m: Vector3
    max_m: Vector3

    def __post_init__(self) -> None:
        if any(low >= high for low, high in zip(self.min_m, self.max_m, strict=True)):
            raise ValueError(f"min_m {list(self.min_m)} must lie below max_m {list(self.max_m)} on every axis")

    def depth(self, point: Vector3) -> float:
        """How deep inside a point is; negative outside, on its worst axis. Changes no faster than the point moves."""
        x, y, z = point
        (lx, ly, lz), (hx, hy, hz) = self.min_m, self.max_m
        return min(x - lx, hx - x, y - ly, hy - y, z - lz, hz - z)

    def inward(self, point: Vector3) -> Vector3:
        """Unit direction in which :meth:`depth` grows."""
        low = [p - m for p, m in zip(point, self.min_m, strict=True)]
        high = [m - p for p, m in zip(point, self.max_m, strict=True)]
        depths = low + high
        axis = depths.index(min(depths))
        x, y, z = (float(k == axis) - float(k + 3 == axis) for k in range(3))
        return x, y, z

    def distance(self, capsule: Capsule) -> float:
        """Distance of a capsule; at least ``-radius``, where its segment enters the box."""
        (ax, ay, az), (bx, by, bz), radius = capsule
        (lx, ly, lz), (hx, hy, hz) = self.min_m, self.max_m
        # A face with the whole segment in front of it separates: the distance to its plane is a lower bound.
        bound = max(
            min(ax, bx) - hx, lx - max(ax, bx), min(ay, by) - hy, ly - max(ay, by), min(az, bz) - hz, lz - max(az, bz)
        )
        if bound - radius > NEAR_M:
            return bound - radius
        x, y, z = self._offset(capsule)
        return sqrt(x * x + y * y + z * z) - radius

    def away(self, capsule: Capsule) -> Vector3:
        """Unit direction in which the distance grows fastest; up where they overlap."""
        x, y, z = self._offset(capsule)
        length = sqrt(x * x + y * y + z * z)
        return (x / length, y / length, z / length) if length > 1e-9 else (0.0, 0.0, 1.0)

    def _offset(self, capsule: Capsule) -> Vector3:
        """From the box to the capsule's segment, where they are nearest.

        Half the squared distance along the segment is convex, its slope piecewise linear with corners where the segment
        crosses a face's plane: the minimum lies in the first piece at whose end the slope is no longer negative.
        """
        a, b, _ = capsule
        corners = {1.0}
        for p, q, low, high in zip(a, b, self.min_m, self.max_m, strict=True):
            if p != q:
                corners.update(t for t in ((low - p) / (q - p), (high - p) / (q - p)) if 0.0 < t < 1.0)
        before, slope_before = 0.0, self._slope(a, b, 0.0)
        t = 0.0
        if slope_before < 0.0:
            for t in sorted(corners):
                slope = self._slope(a, b, t)
                if slope >= 0.0:
                    t = before + (t - before) * slope_before / (slope_before - slope)
                    break
                before, slope_before = t, slope
        x, y, z = (_beyond(p + t * (q - p), low, high) for p, q, low, high in self._axes(a, b))
        return x, y, z

    def _slope(self, a: Vector3, b: Vector3, t: float) -> float:
        return sum(_beyond(p + t * (q - p), low, high) * (q - p) for p, q, low, high in self._axes(a, b))

    def _axes(self, a: Vector3, b: Vector3) -> zip[tuple[float, float, float, float]]:
        return zip(a, b, self.min_m, self.max_m, strict=True)


Solid = Plane | Box


def capsule_distance(first: Capsule, second: Capsule) -> float:
    """Distance of two capsules, negative where they overlap; beyond :data:`NEAR_M` a lower bound.

    Nearest points of two segments after Ericson, *Real-Time Collision Detection*, sec. 5.1.9.
    """
    (ax, ay, az), (bx, by, bz), radius1 = first
    (cx, cy, cz), (dx, dy, dz), radius2 = second
    ux, uy, uz, vx, vy, vz = bx - ax, by - ay, bz - az, dx - cx, dy - cy, dz - cz
    rx, ry, rz = ax - cx, ay - cy, az - cz
    uu, vv = ux * ux + uy * uy + uz * uz, vx * vx + vy * vy + vz * vz
    # Between their middles, less half of each length: a bound that mostly suffices.
    mx, my, mz = rx + 0.5 * (ux - vx), ry + 0.5 * (uy - vy), rz + 0.5 * (uz - vz)
    bound = sqrt(mx * mx + my * my + mz * mz) - 0.5 * (sqrt(uu) + sqrt(vv)) - radius1 - radius2
    if bound > NEAR_M:
        return bound
    uv = ux * vx + uy * vy + uz * vz
    ur, vr = ux * rx + uy * ry + uz * rz, vx * rx + vy * ry + vz * rz
    determinant = uu * vv - uv * uv
    # Parallel segments: any point of the first will do to begin with.
    s = min(max((uv * vr - ur * vv) / determinant, 0.0), 1.0) if determinant > 1e-12 * uu * vv else 0.0
    t = (uv * s + vr) / vv if vv > 0.0 else 0.0
    if t < 0.0 or t > 1.0 or vv == 0.0:
        t = min(max(t, 0.0), 1.0)
        s = min(max((uv * t - ur) / uu, 0.0), 1.0) if uu > 0.0 else 0.0
    x, y, z = rx + s * ux - t * vx, ry + s * uy - t * vy, rz + s * uz - t * vz
    return sqrt(x * x + y * y + z * z) - radius1 - radius2


def _beyond(value: float, low: float, high: float) -> float:
    """How far a coordinate lies outside a range, signed."""
    return value - high if value > high else value - low if value < low else 0.0


def _dot(a: Vector3, b: Vector3) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
