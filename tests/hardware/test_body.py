"""Distances of capsules, planes and boxes against bounded least squares, which find the same nearest points."""

from __future__ import annotations

from math import hypot, sqrt

import numpy as np
import pytest
from scipy.optimize import lsq_linear

from hardware.body import NEAR_M, Box, Capsule, Plane, capsule_distance
from hardware.interfaces import Vector3

BOX = Box((-0.2, -0.1, 0.0), (0.1, 0.15, 0.3))
STEP = 1e-6


def vector(values: np.ndarray) -> Vector3:
    x, y, z = values.tolist()
    return x, y, z


def random_capsule(rng: np.random.Generator, span: float = 0.5) -> Capsule:
    """Some of them balls, some along an axis, some that end on a round number."""
    a, b = rng.uniform(-span, span, (2, 3))
    kind = rng.integers(5)
    if kind == 0:
        b = a.copy()
    elif kind == 1:
        b = a.copy()
        b[rng.integers(3)] += rng.uniform(-span, span)
    elif kind == 2:
        a, b = np.round(a, 1), np.round(b, 1)
    return Capsule(vector(a), vector(b), float(rng.uniform(0.01, 0.1)))


def moved(capsule: Capsule, by: np.ndarray) -> Capsule:
    return Capsule(vector(np.add(capsule.a, by)), vector(np.add(capsule.b, by)), capsule.radius)


def nearest_of_segments(first: Capsule, second: Capsule) -> float:
    """Distance of two capsules: the least of |a + s u - c - t v| - r - r for s, t in [0, 1]."""
    u, v = np.subtract(first.b, first.a), np.subtract(second.b, second.a)
    start = np.subtract(first.a, second.a)
    fit = lsq_linear(np.column_stack([u, -v]), -start, (0.0, 1.0), method="bvls", tol=1e-14)
    return float(np.linalg.norm(start + fit.x[0] * u - fit.x[1] * v)) - first.radius - second.radius


def nearest_of_box(box: Box, capsule: Capsule) -> float:
    """Distance of a capsule and a box: the least of |a + t u - p| - r for t in [0, 1] and p in the box."""
    u = np.subtract(capsule.b, capsule.a)
    low, high = np.array([0.0, *box.min_m]), np.array([1.0, *box.max_m])
    fit = lsq_linear(np.column_stack([u, -np.eye(3)]), -np.array(capsule.a), (low, high), method="bvls", tol=1e-14)
    return float(np.linalg.norm(np.array(capsule.a) + fit.x[0] * u - fit.x[1:])) - capsule.radius


def agrees(ours: float, true: float) -> bool:
    """Right where it is near, and never overstated."""
    return ours <= true + 1e-9 and (ours > true - 1e-7 or ours > NEAR_M)


def test_capsules_are_as_far_apart_as_their_nearest_points():
    rng = np.random.default_rng(1)
    near = 0
    for _ in range(600):
        first, second = random_capsule(rng, 0.3), random_capsule(rng, 0.3)
        true = nearest_of_segments(first, second)
        assert agrees(capsule_distance(first, second), true), (first, second)
        assert agrees(capsule_distance(second, first), true), (first, second)
        near += true < NEAR_M
    assert near > 200


@pytest.mark.parametrize("offset", [(0.1, 0.05, 0.0), (0.3, 0.05, 0.0), (-0.27, 0.0, 0.05), (0.0, 0.0, 0.0)])
@pytest.mark.parametrize("direction", [1.0, -1.0, 0.25])
def test_parallel_capsules(offset, direction):
    first = Capsule((0.0, 0.0, 0.0), (0.2, 0.0, 0.0), 0.02)
    second = Capsule(offset, (offset[0] + 0.2 * direction, offset[1], offset[2]), 0.03)
    true = nearest_of_segments(first, second)
    assert agrees(capsule_distance(first, second), true)
    assert agrees(capsule_distance(second, first), true)


def test_nearly_parallel_capsules_are_not_overstated():
    rng = np.random.default_rng(5)
    for exponent in range(3, 12):
        for _ in range(10):
            u = rng.uniform(-0.2, 0.2, 3)
            start, shift = rng.uniform(-0.1, 0.1, 3), rng.uniform(-0.08, 0.08, 3)
            other = u + 10.0**-exponent * rng.uniform(-1, 1, 3)
            first = Capsule(vector(start), vector(start + u), 0.01)
            second = Capsule(vector(start + shift), vector(start + shift + other), 0.01)
            # Where the segments are this nearly parallel, 1e-6 m is what the least squares themselves are good for.
            assert capsule_distance(first, second) <= nearest_of_segments(first, second) + 1e-6


def test_crossing_capsules_overlap_by_both_radii():
    first, second = Capsule((-1.0, 0.0, 0.0), (1.0, 0.0, 0.0), 0.1), Capsule((0.3, -1.0, 0.0), (0.3, 1.0, 0.0), 0.2)
    assert capsule_distance(first, second) == pytest.approx(-0.3)


@pytest.mark.parametrize("x", [0.119, 0.121, 0.2, 1.0])
def test_a_far_distance_may_be_a_lower_bound_but_a_near_one_is_exact(x):
    ball, rod = Capsule((x, 0.0, 0.0), (x, 0.0, 0.0), 0.01), Capsule((0.0, -0.2, 0.0), (0.0, 0.2, 0.0), 0.01)
    found = capsule_distance(ball, rod)
    assert found <= x - 0.02 + 1e-12
    assert found == pytest.approx(x - 0.02) or found > NEAR_M


def test_a_box_is_as_far_as_its_nearest_point():
    rng = np.random.default_rng(2)
    near = 0
    for _ in range(600):
        capsule = random_capsule(rng)
        true = nearest_of_box(BOX, capsule)
        assert agrees(BOX.distance(capsule), true), capsule
        near += -capsule.radius + 1e-6 < true < NEAR_M
    assert near > 100


def test_a_box_that_a_capsules_segment_enters_is_overlapped_by_the_radius():
    assert BOX.distance(Capsule((-1.0, 0.0, 0.1), (1.0, 0.0, 0.1), 0.04)) == pytest.approx(-0.04)
    assert BOX.distance(Capsule((0.0, 0.0, 0.1), (0.0, 0.0, 0.1), 0.04)) == pytest.approx(-0.04)


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("side", [-1, 1])
def test_a_box_far_off_is_not_overstated_on_any_side(axis, side):
    for distance in (0.05, 0.0999, 0.1001, 0.4):
        a = np.array([-0.05, 0.0, 0.1])
        a[axis] = BOX.max_m[axis] + distance + 0.02 if side > 0 else BOX.min_m[axis] - distance - 0.02
        b = a.copy()
        b[axis] += side * 0.3
        for capsule in (Capsule(vector(a), vector(b), 0.02), Capsule(vector(b), vector(a), 0.02)):
            assert BOX.distance(capsule) == pytest.approx(distance, abs=1e-12)


def test_a_box_is_left_fastest_along_away():
    rng = np.random.default_rng(3)
    judged = 0
    for _ in range(400):
        capsule = random_capsule(rng, 0.35)
        away, distance = np.array(BOX.away(capsule)), nearest_of_box(BOX, capsule)
        assert np.linalg.norm(away) == pytest.approx(1.0)
        if -capsule.radius + 1e-3 < distance < NEAR_M - 1e-3:
            assert nearest_of_box(BOX, moved(capsule, STEP * away)) - distance == pytest.approx(STEP, rel=0.01)
            judged += 1
    assert judged > 60


def test_what_overlaps_a_box_is_sent_up():
    assert BOX.away(Capsule((-0.3, 0.0, 0.1), (0.3, 0.0, 0.1), 0.02)) == (0.0, 0.0, 1.0)


def test_depth_in_a_box_is_the_way_to_its_nearest_side_and_grows_inward():
    rng = np.random.default_rng(4)
    for _ in range(300):
        point = rng.uniform(-0.4, 0.4, 3)
        sides = np.concatenate([point - BOX.min_m, np.array(BOX.max_m) - point])
        depth, inward = BOX.depth(vector(point)), np.array(BOX.inward(vector(point)))
        assert depth == pytest.approx(sides.min())
        assert hypot(*inward) == 1.0
        if np.sort(sides)[1] - sides.min() > 1e-3:
            assert BOX.depth(vector(point + STEP * inward)) - depth == pytest.approx(STEP, rel=1e-3)
        step = rng.uniform(-0.1, 0.1, 3)
        assert abs(BOX.depth(vector(point + step)) - depth) <= np.linalg.norm(step) + 1e-12


def test_a_plane_is_as_far_as_the_capsules_lowest_point():
    rng = np.random.default_rng(6)
    for _ in range(200):
        capsule, normal = random_capsule(rng), rng.normal(size=3)
        normal /= np.linalg.norm(normal)
        plane = Plane(vector(normal), float(rng.uniform(-0.5, 0.5)))
        points = [np.array(end) - capsule.radius * normal for end in (capsule.a, capsule.b)]
        lowest = min(float(normal @ point) for point in points) - plane.offset_m
        assert plane.distance(capsule) == pytest.approx(lowest, abs=1e-12)
        away = np.array(plane.away(capsule))
        assert plane.distance(moved(capsule, STEP * away)) - lowest == pytest.approx(STEP, rel=1e-6)


@pytest.mark.parametrize("length", [0.999, 1.001, 0.0])
def test_a_plane_wants_a_unit_vector(length):
    with pytest.raises(ValueError, match=r"normal .* has length .*; it must be a unit vector"):
        Plane((0.0, 0.0, length))
    Plane((0.0, sqrt(0.5), sqrt(0.5)))


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("size", [0.0, -0.1])
def test_a_box_wants_its_corners_in_order(axis, size):
    low = [0.0, 0.0, 0.0]
    high = [0.1, 0.1, 0.1]
    high[axis] = size
    with pytest.raises(ValueError, match="must lie below"):
        Box(tuple(low), tuple(high))
