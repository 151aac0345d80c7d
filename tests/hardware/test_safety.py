"""The limits as functions: norms over all axes, exact at their boundaries."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware import safety
from hardware.fakes import POINTING_DOWN
from hardware.interfaces import Gripper, Pose
from hardware.limits import Limits
from hardware.mux import within_reach
from hardware.reference import Motion, translation_profiles

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
