"""What must hold whatever the policy, the person, the operator and the table do: properties over random stories.

A story is a list of (what happens, for how many ticks). The judge is the trace of references that went to the arm.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from hardware.cell import load_cell
from hardware.fakes import POINTING_DOWN
from hardware.geometry import pose_add
from hardware.guard import EngageError
from hardware.interfaces import Gripper, GuardMode, Pose, Source
from tests.hardware.rig import NAN_POSE, Rig

pytestmark = pytest.mark.no_cover
"""A branch that only random stories reach has no test; and they run twice as fast unwatched."""

PERIOD_S = 0.01
ROUNDING = 1e-6
STOPS = frozenset({"S7", "S29", "S31", "S32", "S33"})
"""Limits that brake with the stop profile."""

six = st.tuples(*[st.floats(-1.0, 1.0)] * 6)
corner = st.tuples(*[st.sampled_from([-1.0, 0.0, 1.0])] * 6)
ticks = st.integers(1, 40)
near = st.tuples(st.just("near"), st.one_of(six, corner), ticks)
far = st.tuples(st.just("far"), st.one_of(six, corner), ticks)
person = st.tuples(st.just("person"), st.one_of(six, corner), ticks)
let_go = st.tuples(st.just("let_go"), six, ticks)
hold = st.tuples(st.just("hold"), six, ticks)
nan = st.tuples(st.just("nan"), six, ticks)
block = st.tuples(st.just("block"), six, ticks)
driving = st.lists(st.one_of(near, far, person, let_go), min_size=1, max_size=10)
anything = st.lists(st.one_of(near, far, person, let_go, hold, nan, block), min_size=1, max_size=10)
story_settings = settings(max_examples=40, deadline=None, derandomize=True)


def tell(story, lag_s: float = 0.0, start: Pose = POINTING_DOWN) -> Rig:
    rig = Rig(lag_s=lag_s, pose=start).engage()
    rig.tick()
    for event, numbers, count in story:
        if event in ("near", "far"):
            metres, radians = (0.02, 0.1) if event == "near" else (1.0, 1.5)
            delta = (*(metres * x for x in numbers[:3]), *(radians * x for x in numbers[3:]))
            rig.ask(pose_add(rig.trace[-1].target, delta), Gripper(round(numbers[0])))
        elif event == "person":
            rig.teleop.push(*numbers)
        elif event == "let_go":
            rig.teleop.release()
        elif event == "hold":
            rig.guard.hold()
        elif event == "nan":
            rig.ask(NAN_POSE)
        rig.arm.blocked = event == "block"
        rig.tick(count)
        if rig.guard.mode is GuardMode.HOLD:
            rig.tick(60)
            try:
                rig.resume()
            except EngageError:
                break
    return rig


def norms(vectors: np.ndarray) -> np.ndarray:
    return np.linalg.norm(vectors, axis=1)


def within(values: np.ndarray, limit: float) -> bool:
    return bool(np.all(values <= limit * (1.0 + ROUNDING) + ROUNDING))


def smooth(rates: np.ndarray, speed: float, acceleration: float, jerk: float) -> bool:
    """Norms of ``rates`` (ticks, 3) and of their differences per tick, which average what the derivatives are."""
    return (
        within(norms(rates), speed)
        and within(norms(np.diff(rates, axis=0)) / PERIOD_S, acceleration)
        and within(norms(np.diff(rates, n=2, axis=0)) / PERIOD_S**2, jerk)
    )


@given(driving)
@story_settings
def test_s5_s6_speed_acceleration_and_jerk_stay_below_their_norms(story):
    rig = tell(story)
    limits = rig.limits
    stopped = next((i for i, executed in enumerate(rig.trace) if STOPS & {r.limit for r in executed.refusals}), None)
    twists = rig.twists[:stopped]
    assert smooth(twists[:, :3], limits.max_speed_m_s, limits.max_acceleration_m_s2, limits.max_jerk_m_s3)
    assert smooth(
        twists[:, 3:],
        limits.max_angular_speed_rad_s,
        limits.max_angular_acceleration_rad_s2,
        limits.max_angular_jerk_rad_s3,
    )


@given(anything)
@story_settings
def test_s6_stops_stay_below_the_stop_profile(story):
    rig = tell(story)
    limits = rig.limits
    stop_m = (limits.max_speed_m_s, limits.max_stop_acceleration_m_s2, limits.max_stop_jerk_m_s3)
    stop_rad = (
        limits.max_angular_speed_rad_s,
        limits.max_stop_angular_acceleration_rad_s2,
        limits.max_stop_angular_jerk_rad_s3,
    )
    assert smooth(rig.twists[:, :3], *stop_m)
    assert smooth(rig.twists[:, 3:], *stop_rad)


@given(anything, st.tuples(*[st.sampled_from([0.003, 0.02])] * 3), st.booleans())
@story_settings
def test_s4_reference_and_target_never_leave_the_box(story, inset, low):
    box = load_cell("twin").workspace
    edge = [a + d if low else b - d for a, b, d in zip(box.min_m, box.max_m, inset, strict=True)]
    rig = tell(story, start=POINTING_DOWN._replace(position_m=tuple(edge)))
    assert max(box.excess(tuple(position)) for position in rig.positions) <= 0.0
    assert max(box.excess(executed.target.position_m) for executed in rig.trace) <= 0.0


@given(anything)
@story_settings
def test_s7_reference_never_leads_an_arm_that_may_be_blocked_by_more_than_its_limit(story):
    rig = tell(story)
    lead = norms(rig.positions - np.array([pose.position_m for pose in rig.measured]))
    turned = Rotation.from_quat(rig.quats) * Rotation.from_quat([pose.quat_xyzw for pose in rig.measured]).inv()
    assert within(lead, rig.limits.max_lead_m)
    assert within(turned.magnitude(), rig.limits.max_lead_rad)


@given(anything, st.sampled_from([0.0, 0.01]))
@story_settings
def test_s9_the_reference_never_jumps(story, lag_s):
    """Continuous in position and orientation: each move is what the twists at its ends say, within what acceleration
    can change in a tick. Engaging, takeover, release, HOLD and resume are all in the stories."""
    rig = tell(story, lag_s)
    moved = np.diff(rig.positions, axis=0)
    rotations = Rotation.from_quat(rig.quats)
    turned = (rotations[1:] * rotations[:-1].inv()).as_rotvec()
    mean = 0.5 * (rig.twists[1:] + rig.twists[:-1]) * PERIOD_S
    assert within(norms(moved - mean[:, :3]), 0.25 * rig.limits.max_stop_acceleration_m_s2 * PERIOD_S**2)
    assert within(norms(turned - mean[:, 3:]), 0.25 * rig.limits.max_stop_angular_acceleration_rad_s2 * PERIOD_S**2)


@given(anything)
@story_settings
def test_what_is_executed_is_finite_and_from_whom_it_says(story):
    rig = tell(story)
    assert np.isfinite(rig.positions).all()
    assert np.isfinite(rig.quats).all()
    assert np.isfinite(rig.twists).all()
    for executed in rig.trace:
        assert (executed.source is Source.HOLD) == (executed.mode >= GuardMode.HOLD)
        assert np.linalg.norm(executed.target.quat_xyzw) == pytest.approx(1.0)


number = st.one_of(st.floats(), st.floats(-1.0, 1.0), st.sampled_from([0.0, 1.0, -1.0, 1e308]))


@given(st.lists(st.tuples(*[number] * 7), min_size=1, max_size=30))
@story_settings
def test_s1_nothing_that_a_policy_can_send_reaches_the_arm_unless_it_is_a_pose_in_the_box(commands):
    rig = Rig().engage()
    for x, y, z, *quat in commands:
        rig.ask(Pose((x, y, z), tuple(quat)))
        executed = rig.tick(3)
        if rig.guard.mode is GuardMode.HOLD:
            rig.tick(60)
            rig.resume()
        assert np.isfinite(executed.target.position_m).all()
        assert np.linalg.norm(executed.target.quat_xyzw) == pytest.approx(1.0)
        assert rig.cell.workspace.excess(executed.target.position_m) <= 0.0
    assert np.isfinite(rig.positions).all()
    assert np.isfinite(rig.quats).all()
    assert np.isfinite(rig.twists).all()


@given(st.lists(st.tuples(st.sampled_from(list(Gripper)), st.integers(1, 30)), min_size=1, max_size=20))
@story_settings
def test_s28_the_gripper_toggles_no_faster_than_its_limit(wishes):
    rig = Rig().engage()
    for gripper, count in wishes:
        rig.ask(rig.arm.pose, gripper)
        rig.tick(count)
    states = [executed.gripper for executed in rig.trace]
    toggles = [rig.trace[i].stamp_s for i in range(1, len(states)) if states[i] != states[i - 1]]
    assert all(later - earlier >= rig.limits.min_gripper_toggle_s - 1e-9 for earlier, later in pairwise(toggles))
