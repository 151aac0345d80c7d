"""The limits as functions: norms over all axes, exact at their boundaries."""

from __future__ import annotations

from dataclasses import replace
from math import inf, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware import safety
from hardware.fakes import POINTING_DOWN
from hardware.interfaces import ArmCommand, Gripper, Pose
from hardware.limits import Limits
from hardware.mux import within_reach
from hardware.reference import Motion, stop_distance, translation_profiles

LIMITS = Limits()
PROFILES = translation_profiles(LIMITS, 0.01)
vector = st.tuples(*[st.floats(-1.0, 1.0)] * 3)
quick = settings(max_examples=50, deadline=None, derandomize=True)


@given(vector, vector, st.floats(0.01, 2.0))
@quick
def test_reach_and_norm_clips_are_balls(target, reference, reach):
    clipped = np.subtract(within_reach(target, reference, reach), reference)
    offset = np.subtract(target, reference)
    assert np.linalg.norm(clipped) == pytest.approx(min(reach, np.linalg.norm(offset)))
    np.testing.assert_allclose(np.cross(clipped, offset), 0.0, atol=1e-9)
    np.testing.assert_allclose(safety.clip_norm(tuple(offset.tolist()), reach), clipped, atol=1e-12)


@given(st.tuples(*[st.floats(-1.0, 1.0)] * 4).filter(lambda q: np.linalg.norm(q) > 0.1), st.floats(0.992, 1.008))
@quick
def test_s1_sound_quaternions_of_any_direction_become_unit_ones(direction, norm):
    quat = tuple((np.array(direction) / np.linalg.norm(direction) * norm).tolist())
    pose = safety.as_unit(Pose((0.4, 0.0, 0.2), quat))
    assert np.linalg.norm(pose.quat_xyzw) == pytest.approx(1.0, abs=1e-9)
    assert pose.quat_xyzw[3] >= 0.0
    assert abs(np.dot(pose.quat_xyzw, quat)) == pytest.approx(norm)
    assert safety.as_unit(pose) is pose


def test_s1_numpy_numbers_become_plain_floats():
    pose = safety.as_unit(Pose(tuple(np.array([0.4, 0.0, 0.2], np.float32)), POINTING_DOWN.quat_xyzw))
    assert [type(x) for x in pose.position_m] == [float] * 3


@given(vector)
@quick
def test_s7_a_resting_lead_counts_by_its_norm(direction):
    lead = tuple(0.03 * d for d in direction)
    excess = safety.lead_excess(Motion(lead), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), PROFILES, LIMITS.max_lead_m, 0.01)
    expected = max(0.0, np.linalg.norm(lead) - safety.TRIP * LIMITS.max_lead_m)
    assert excess == pytest.approx(expected, abs=1e-5)


def test_s7_the_speed_of_the_arm_itself_does_not_count():
    motion = Motion((0.4, 0.0, 0.2), (0.1, 0.0, 0.0))
    at = (0.398, 0.0, 0.2)
    assert safety.lead_excess(motion, at, (0.1, 0.0, 0.0), PROFILES, LIMITS.max_lead_m, 0.01) == 0.0
    assert safety.lead_excess(motion, at, (-0.1, 0.0, 0.0), PROFILES, LIMITS.max_lead_m, 0.01) > 0.0


def test_s7_a_lead_that_is_too_long_counts_though_it_is_closing():
    motion = Motion((0.03, 0.0, 0.0), (-0.1, 0.0, 0.0))
    excess = safety.lead_excess(motion, (0.0,) * 3, (0.0,) * 3, PROFILES, LIMITS.max_lead_m, 0.01)
    assert excess == pytest.approx(0.03 - safety.TRIP * LIMITS.max_lead_m)


def test_s7_what_is_brought_back_stays_where_it_is():
    back = safety.bring_back((0.5, 0.1, 0.3), (0.4, 0.0, 0.2), LIMITS.max_lead_m)
    lead = safety.RETREAT * LIMITS.max_lead_m / sqrt(3.0)
    assert back == pytest.approx((0.4 + lead, 0.0 + lead, 0.2 + lead))
    assert safety.bring_back(back, (0.4, 0.0, 0.2), LIMITS.max_lead_m) is back


@pytest.mark.parametrize(
    ("wanted", "now", "due", "early_s"),
    [
        (Gripper.HOLD, 1.0, False, 0.0),
        (Gripper.OPEN, 1.0, False, 0.0),
        (Gripper.CLOSE, 1.4, False, 0.1),
        (Gripper.CLOSE, 1.5, True, 0.0),
    ],
)
def test_s28_debounce(wanted, now, due, early_s):
    state = safety.GripperState(Gripper.OPEN, 1.0, 0.08)
    assert safety.debounce(state, wanted, now, LIMITS) == (due, pytest.approx(early_s))


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("acceleration", [-0.6, -0.57, -0.2, 0.0, 0.2, 0.57, 0.6])
@pytest.mark.parametrize("relative", [-0.08, -1e-3, 1e-3, 0.08])
def test_s7_the_lead_that_comes_is_a_tick_of_motion_and_the_stop_after_it(relative, acceleration, sign):
    """Ruckig as the judge of the stop, after a tick in which the acceleration grows in the direction of motion."""
    most, jerk = PROFILES.normal.acceleration, PROFILES.normal.jerk
    lead, measured, speed, period_s = 0.015, 0.3, 0.02, 0.01
    then = relative + acceleration * period_s
    grown = acceleration
    if then >= 0.0:
        grown = max(acceleration, min(acceleration + jerk * period_s, most))
    else:
        grown = min(acceleration, max(acceleration - jerk * period_s, -most))
    ahead = lead + relative * period_s + 0.5 * acceleration * period_s**2 + stop_distance(then, grown, PROFILES.stop)
    found = safety.lead_excess(
        Motion(
            (0.0, sign * (measured + lead), 0.0), (0.0, sign * (relative + speed), 0.0), (0.0, sign * acceleration, 0.0)
        ),
        (0.0, sign * measured, 0.0),
        (0.0, sign * speed, 0.0),
        PROFILES,
        0.01,
        period_s,
    )
    assert found == pytest.approx(max(0.0, max(lead, abs(ahead)) - safety.TRIP * 0.01), abs=1e-8)


def test_s7_a_reference_moves_ahead_by_its_speed_or_by_its_acceleration():
    measured, ahead = (0.1, 0.2, 0.3), (0.11, 0.19, 0.3)
    away, back, still = (0.1, -0.1, 0.0), (-0.1, 0.1, 0.0), (0.0, 0.0, 0.0)
    for velocity, acceleration, moves in (
        (away, still, True),
        (still, away, True),
        (away, back, True),
        (back, away, True),
        (back, still, False),
        (still, still, False),
    ):
        assert safety.moves_ahead(Motion(ahead, velocity, acceleration), measured) is moves


def test_s7_what_leads_too_far_is_brought_back_on_its_line():
    measured, direction = (0.4, -0.2, 0.3), np.array((0.6, -0.64, 0.48))
    point = tuple((np.array(measured) + 0.05 * direction).tolist())
    found = safety.bring_back(point, measured, 0.02)
    assert found == pytest.approx(np.array(measured) + safety.RETREAT * 0.02 * direction)


@pytest.mark.parametrize(
    ("change", "sound"),
    [
        ({}, True),
        ({"T_base_ee": Pose((0.4, 0.0, 0.2), (0.0, 0.0, 0.0, 1.0))}, True),
        ({"T_base_ee": Pose((0.4, 0.0, 0.2), (0.6, 0.0, 0.0, -0.8))}, True),
        ({"sequence": 1.0}, False),
        ({"session": 0.0}, False),
        ({"gripper": 7}, False),
    ],
)
def test_s1_what_makes_a_command_sound(change, sound):
    command = ArmCommand(POINTING_DOWN, Gripper.HOLD, 1, 0)
    assert safety.is_sound(replace(command, **change), LIMITS) is sound


def test_fingers_that_nobody_commanded_are_told_no_width():
    assert safety.GripperState() == (Gripper.HOLD, -inf, 0.0)
