"""The reference generator: smooth, exact at its ends, and its formulas against brute force."""

from __future__ import annotations

from dataclasses import replace
from math import pi, sqrt

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ruckig import Result
from scipy.spatial.transform import Rotation

from hardware import reference as r
from hardware.geometry import quat_from_rotvec
from hardware.limits import Limits

PERIOD_S = 0.01
TRANSLATION = r.translation_profiles(Limits(), PERIOD_S)
ROTATION = r.rotation_profiles(Limits(), PERIOD_S)
small = st.floats(-1.0, 1.0)
vector = st.tuples(small, small, small)
quick = settings(max_examples=60, deadline=None, derandomize=True)


def at_rest(position=(0.0, 0.0, 0.0)) -> r.Track:
    return r.Track(r.Motion(position), position)


def run(track: r.Track, ticks: int) -> r.Track:
    for _ in range(ticks):
        track = r.advance(track, PERIOD_S)
    return track


def test_follow_arrives_exactly_and_rests():
    planner, goal = r.Planner(), (0.05, -0.02, 0.1)
    track = planner.follow(at_rest(), goal, TRANSLATION.normal)
    track = run(track, 300)
    assert track.at_rest
    assert track.motion == r.Motion(goal)


def test_an_unchanged_target_is_not_planned_again():
    planner = r.Planner()
    track = planner.follow(at_rest(), (0.05, 0.0, 0.0), TRANSLATION.normal)
    assert planner.follow(track, (0.05, 0.0, 0.0), TRANSLATION.normal) is track
    assert planner.follow(track, (0.05, 0.0, 0.0), TRANSLATION.reset) is not track
    assert planner.follow(at_rest(), (0.0, 0.0, 0.0), TRANSLATION.normal).at_rest


def test_a_brake_is_finished_before_anything_else_is_followed():
    planner = r.Planner()
    track = run(planner.follow(at_rest(), (0.3, 0.0, 0.0), TRANSLATION.normal), 30)
    track = planner.brake(track, TRANSLATION.stop)
    assert planner.follow(track, (0.3, 0.0, 0.0), TRANSLATION.normal) is track
    assert planner.brake(track, TRANSLATION.stop) is track
    stopped = run(track, 40)
    assert stopped.motion == r.Motion(track.target)
    assert not planner.follow(stopped, (0.3, 0.0, 0.0), TRANSLATION.normal).at_rest


@pytest.mark.parametrize("motion", [r.Motion((float("nan"), 0.0, 0.0)), r.Motion((0.0, 0.0, 0.0), (np.inf, 0.0, 0.0))])
def test_a_motion_that_cannot_be_planned_from_is_an_error(motion):
    with pytest.raises(r.PlanningError):
        r.Planner().follow(r.Track(motion, (0.0, 0.0, 0.0)), (0.1, 0.0, 0.0), TRANSLATION.normal)


@given(st.floats(-0.108, 0.108), st.floats(-0.577, 0.577))
@example(0.05, 1.0)
@quick
def test_stop_distance_is_what_ruckig_brakes_in(speed, acceleration):
    track = r.Track(r.Motion((0.0, 0.0, 0.0), (speed, 0.0, 0.0), (acceleration, 0.0, 0.0)), (1.0, 0.0, 0.0), None, ())
    stop = TRANSLATION.stop
    end = r.Planner().brake(track, stop).target[0]
    predicted = r.stop_distance(speed, acceleration, stop)
    turns_round = speed * acceleration < 0.0 and abs(speed) <= 0.5 * acceleration**2 / stop.jerk
    if turns_round:
        assert abs(predicted) <= 0.5 * abs(acceleration) ** 3 / stop.jerk**2 + 1e-9
    else:
        assert predicted == pytest.approx(end, abs=1e-9)


@pytest.mark.parametrize("reset_speed", [0.05, 0.15, 5.0])
def test_profiles_divide_norms_among_three_axes(reset_speed):
    limits = replace(Limits(), max_reset_speed_m_s=reset_speed)
    found, axis = r.translation_profiles(limits, PERIOD_S), 1.0 / sqrt(3.0)
    assert tuple(found.stop) == pytest.approx(
        (axis * limits.max_speed_m_s, axis * limits.max_stop_acceleration_m_s2, axis * limits.max_stop_jerk_m_s3)
    )
    assert found.normal[1:] == pytest.approx((axis * limits.max_acceleration_m_s2, axis * limits.max_jerk_m_s3))
    assert found.normal.speed < found.stop.speed
    assert found.reset == found.normal._replace(speed=min(found.normal.speed, axis * reset_speed))
    assert found.engage == found.normal.scaled(limits.engage_scale)
    scale = limits.engage_scale
    assert tuple(found.engage) == pytest.approx(tuple(scale * bound for bound in found.normal))


def test_what_turning_adds_to_the_derivatives_of_a_rotation_vector_is_kept_in_reserve():
    limits, axis = Limits(), 1.0 / sqrt(3.0)
    found, speed = r.rotation_profiles(limits, PERIOD_S), limits.max_angular_speed_rad_s
    for profile, acceleration, jerk in (
        (found.normal, limits.max_angular_acceleration_rad_s2, limits.max_angular_jerk_rad_s3),
        (found.stop, limits.max_stop_angular_acceleration_rad_s2, limits.max_stop_angular_jerk_rad_s3),
    ):
        reserve = 1.5 * speed * acceleration + speed**3 / 3.0
        assert profile[1:] == pytest.approx((axis * (acceleration - 0.5 * speed**2), axis * (jerk - reserve)))
    assert found.stop.speed == pytest.approx(axis * speed)
    assert found.normal.speed <= found.stop.speed
    assert (found.reset, found.engage) == (found.normal, found.normal.scaled(limits.engage_scale))


@pytest.mark.parametrize("lead_m", [0.005, 0.01, 0.02])
@pytest.mark.parametrize(("acceleration", "jerk"), [(0.5, 40.0), (1.0, 10.0), (2.0, 20.0), (2.0, 40.0)])
def test_an_arm_that_is_blocked_at_once_is_led_by_as_much_as_is_allowed(lead_m, acceleration, jerk):
    """Ruckig as the judge: two ticks go by, then the reference brakes, cruising or at the end of accelerating."""
    limits = replace(Limits(), max_lead_m=lead_m, max_acceleration_m_s2=acceleration, max_jerk_m_s3=jerk)
    found, planner = r.translation_profiles(limits, PERIOD_S), r.Planner()
    rise = found.normal.acceleration

    def led(speed: float) -> float:
        rising = max(0.0, speed - 0.5 * rise**2 / found.normal.jerk)
        ways = []
        for v, a in ((speed, 0.0), (rising, rise)):
            motion = r.Motion((0.0, 0.0, 0.0), (v, 0.0, 0.0), (a, 0.0, 0.0))
            moving = r.Track(motion, (1.0, 0.0, 0.0), None, ())
            ways.append(planner.brake(moving, found.stop).target[0])
        return sqrt(3.0) * (max(ways) + 2.0 * speed * PERIOD_S)

    assert led(found.normal.speed) <= lead_m * (1.0 + 1e-6)
    assert led(found.normal.speed) == pytest.approx(lead_m, rel=1e-5) or found.normal.speed == found.stop.speed


def test_limits_that_leave_no_speed_are_refused():
    limits = replace(Limits(), max_lead_m=0.002, max_acceleration_m_s2=2.0)
    with pytest.raises(ValueError, match=r"no speed is left .* within 0.002 of an arm that is blocked: raise"):
        r.translation_profiles(limits, PERIOD_S)
    with pytest.raises(ValueError, match="no speed is left"):
        r.rotation_profiles(replace(Limits(), max_lead_rad=0.001), PERIOD_S)


def test_a_brake_ends_where_it_said_at_the_tick_in_which_its_time_is_over():
    track = run(r.Planner().follow(at_rest(), (0.3, 0.0, 0.0), TRANSLATION.normal), 30)
    track = r.Planner().brake(track, TRANSLATION.stop)
    assert r.advance(track, track.trajectory.duration) == r.Track(r.Motion(track.target), track.target, track.profile)
    assert not r.advance(track, 0.999 * track.trajectory.duration).at_rest


def test_a_step_of_eight_millimetres_at_ten_hertz_can_be_tracked():
    """The task's largest step on every axis, 80 mm/s each, is below what S7 leaves an axis."""
    assert TRANSLATION.normal.speed > 0.08


@given(vector.map(lambda v: tuple(2.5 * x / sqrt(3.0) for x in v)), vector)
@quick
def test_angular_velocity_is_the_derivative_of_the_orientation(rotvec, rate):
    step = 1e-6
    anchor = quat_from_rotvec((0.3, -1.0, 2.0))
    before = Rotation.from_quat(r.orientation(tuple(a - step * b for a, b in zip(rotvec, rate, strict=True)), anchor))
    after = Rotation.from_quat(r.orientation(tuple(a + step * b for a, b in zip(rotvec, rate, strict=True)), anchor))
    numeric = (after * before.inv()).as_rotvec() / (2.0 * step)
    omega = r.angular_velocity(rotvec, rate)
    np.testing.assert_allclose(omega, numeric, atol=1e-6)
    assert np.linalg.norm(omega) <= np.linalg.norm(rate) + 1e-12


@given(vector.map(lambda v: tuple(3.0 * x / sqrt(3.0) for x in v)), vector)
@quick
def test_rotvec_near_inverts_orientation_on_the_turn_asked_for(rotvec, anchor_rotvec):
    anchor = quat_from_rotvec(anchor_rotvec)
    assert r.rotvec_near(r.orientation(rotvec, anchor), anchor, rotvec) == pytest.approx(rotvec, abs=1e-6)


def test_rotation_goes_on_beyond_half_a_turn():
    anchor = (0.0, 0.0, 0.0, 1.0)
    beyond = quat_from_rotvec((0.0, 0.0, pi + 0.2))
    assert r.rotvec_near(beyond, anchor, (0.0, 0.0, 3.0)) == pytest.approx((0.0, 0.0, pi + 0.2))
    assert r.rotvec_near(beyond, anchor, (0.0, 0.0, 0.0)) == pytest.approx((0.0, 0.0, 0.2 - pi))


def test_a_planner_that_finds_nothing_says_so(monkeypatch):
    class Lost:
        def calculate(self, parameters, trajectory):
            return Result.Error

    planner = r.Planner()
    monkeypatch.setattr(planner, "_ruckig", Lost())
    with pytest.raises(r.PlanningError, match="found no trajectory"):
        planner.follow(at_rest(), (0.1, 0.0, 0.0), TRANSLATION.normal)


@given(vector.map(lambda v: tuple(1.8 * x for x in v)), vector.map(lambda v: tuple(3.6 * x for x in v)))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_rotvec_near_takes_the_nearer_of_the_two_turns_about_its_axis(rotvec, near):
    anchor = quat_from_rotvec((0.3, -0.2, 0.5))
    quat = tuple((Rotation.from_rotvec(rotvec) * Rotation.from_quat(anchor)).as_quat().tolist())
    found = r.rotvec_near(quat, anchor, near)
    same = Rotation.from_rotvec(found).inv() * Rotation.from_rotvec(rotvec)
    assert same.magnitude() == pytest.approx(0.0, abs=1e-7)
    one = Rotation.from_rotvec(rotvec).as_rotvec()
    angle = np.linalg.norm(one)
    turns = [one] if angle < 1.0 else [one, one * (1.0 - 2.0 * pi / angle)]
    assert np.linalg.norm(np.subtract(found, near)) == pytest.approx(
        min(np.linalg.norm(turn - near) for turn in turns), abs=1e-7
    )


@pytest.mark.parametrize("angle", [0.0, 1e-9, 3e-5, 9.9e-5, 1.01e-4, 0.3, 2.5])
def test_angular_velocity_is_exact_for_small_and_large_turns(angle):
    """w = rate + b v x rate + c v x (v x rate), with the coefficients of the exponential map's derivative."""
    axis, rate = np.array((0.6, -0.64, 0.48)), np.array((0.3, 0.5, -0.2))
    v = angle * axis
    b = 2.0 * np.sin(0.5 * angle) ** 2 / angle**2 if angle else 0.5
    c = (angle - np.sin(angle)) / angle**3 if angle > 1e-6 else 1.0 / 6.0
    expected = rate + b * np.cross(v, rate) + c * np.cross(v, np.cross(v, rate))
    assert r.angular_velocity(tuple(v.tolist()), tuple(rate.tolist())) == pytest.approx(expected, rel=1e-11, abs=1e-12)


def test_each_axis_arrives_as_soon_as_it_can():
    planner = r.Planner()
    alone = planner.follow(at_rest(), (0.01, 0.0, 0.0), TRANSLATION.normal).trajectory.duration
    together = planner.follow(at_rest(), (0.01, 0.1, 0.0), TRANSLATION.normal).trajectory
    assert together.duration > 1.5 * alone
    assert together.at_time(alone)[0][0] == pytest.approx(0.01, abs=1e-9)
