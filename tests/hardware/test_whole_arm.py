"""What a look at the whole arm says, and that what it grants never closes a gap."""

from __future__ import annotations

import numpy as np
import pytest

from hardware.cell import load_cell
from hardware.geometry import pose_add, quat_inverse, quat_multiply, rotvec_from_quat
from hardware.interfaces import Pose
from hardware.kinematics import jacobian
from hardware.posture import View
from hardware.whole_arm import PACE_RESERVE, PACES, WholeArm

CELL = load_cell("twin")
READY = np.array((0.0, 0.2, 0.0, -2.2, 0.0, 2.4, 0.7854))
TASK = "peg_insertion"


@pytest.fixture(scope="module")
def arm() -> WholeArm:
    return CELL.whole_arm("collaborative", TASK)


def seen(arm: WholeArm, joints: np.ndarray) -> View:
    """An arm that measures what its model says."""
    view = arm.body.view(tuple(joints.tolist()), Pose((0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0)))
    return view._replace(ee=view.ee_by_joints)


def rests(pose: Pose, anchor: Pose):
    return pose.position_m, rotvec_from_quat(quat_multiply(pose.quat_xyzw, quat_inverse(anchor.quat_xyzw)))


def toward(view: View, delta: np.ndarray, drift: float) -> np.ndarray:
    """Joints after the end effector moved by ``delta`` and the elbow by ``drift``, in small steps."""
    return np.array(view.joints_rad) + view.inverse @ delta + view.null[:, 0] * drift


def test_no_motion_that_an_outlook_covers_closes_a_gap(arm):
    """Random postures, random ways on: the hand anywhere around, the elbow adrift, the arm short of its rest."""
    rng, covered, worst = np.random.default_rng(7), 0, 1.0
    while covered < 1500:
        view = seen(arm, READY + rng.uniform(-0.5, 0.5, 7))
        start = pose_add(view.ee, tuple(rng.uniform(-0.015, 0.015, 6).tolist()))
        posture = arm.body.posture(view, start)
        gaps = arm.gaps(posture)
        if min(gaps) <= 0.0:
            continue
        outlook = arm.outlook(view, posture, gaps, rests(start, start))
        for _ in range(12):
            direction = rng.normal(size=6) * (1.0, 1.0, 1.0, 2.0, 2.0, 2.0)
            delta = direction / np.linalg.norm(direction) * 0.3 * rng.random() ** 2
            end, drift = pose_add(start, tuple(delta.tolist())), float(rng.normal() * 0.05)
            ahead = rng.uniform(-0.015, 0.015, 6)
            measured = np.array(rests(end, view.ee)[0]) - view.ee.position_m
            way = np.array([*measured, *rests(end, view.ee)[1]]) - ahead
            later = seen(arm, toward(view, way, drift))
            if outlook.covers(later.joints_rad, rests(end, start)):
                left = arm.gaps(arm.body.posture(later, end))
                # What prediction may be off is kept in reserve: `PREDICTION_SLACK_M`, `PREDICTION_SLACK_RAD`.
                worst = min(worst, min(left))
                covered += 1
    print(f"\n  least gap left under an outlook: {worst:.4g}", end="")
    assert worst >= -1e-9


def test_dexterity_and_its_slope_are_those_of_the_scaled_jacobian(arm):
    rng, step, limits = np.random.default_rng(8), 1e-6, CELL.profile("collaborative")
    rows = np.array([limits.max_speed_m_s] * 3 + [limits.max_angular_speed_rad_s] * 3)
    speeds = limits.max_joint_speed_share * np.array([j.max_speed_rad_s for j in arm.body.model.joints])

    def least(joints: np.ndarray) -> float:
        columns = np.array(jacobian(seen(arm, joints).frames)).T
        return float(np.linalg.svd(columns * speeds / rows[:, None], compute_uv=False)[-1])

    for _ in range(50):
        joints = READY + rng.uniform(-0.7, 0.7, 7)
        view = seen(arm, joints)
        assert view.dexterity == pytest.approx(least(joints), rel=1e-9)
        for index in range(7):
            shift = step * np.eye(7)[index]
            slope = (least(joints + shift) - least(joints - shift)) / (2.0 * step)
            assert view.dexterity_slope[index] == pytest.approx(slope, abs=2e-5)


def test_links_move_as_fast_as_their_frames_say(arm):
    """Origin and turn of each link's frame after a small motion of the joints, against :meth:`ArmBody.link_motion`."""
    rng, step, body = np.random.default_rng(11), 1e-6, arm.body
    extents = {part.frame: 0.0 for part in body.parts if 0 < part.frame < body.ee_frame}
    for part in body.parts:
        if part.frame in extents:
            reach = max(np.linalg.norm(part.start_m), np.linalg.norm(part.end_m)) + part.radius_m
            extents[part.frame] = max(extents[part.frame], reach)
    for _ in range(20):
        joints, moves = READY + rng.uniform(-0.7, 0.7, 7), rng.normal(size=(7, 3))
        motion = body.link_motion(seen(arm, joints), moves)
        for column in range(3):
            before, after = (seen(arm, joints + s * step * moves[:, column]).frames for s in (-1.0, 1.0))
            for link in range(1, 8):
                away = np.subtract(after[link].origin, before[link].origin) / (2.0 * step)
                axes = [np.cross(a, np.subtract(b, a)) for a, b in zip(before[link][:3], after[link][:3], strict=True)]
                turn = np.sum(axes, axis=0) / (4.0 * step)
                extent = extents.get(link)
                fast = 0.0 if extent is None else np.linalg.norm(away) + extent * np.linalg.norm(turn)
                assert motion[link - 1, column] == pytest.approx(fast, abs=1e-5)


def test_null_motion_leaves_the_end_effector_where_it_is_and_is_told_from_other_motion(arm):
    rng = np.random.default_rng(9)
    for _ in range(20):
        view = seen(arm, READY + rng.uniform(-0.5, 0.5, 7))
        columns = np.array(jacobian(view.frames)).T
        assert np.abs(columns @ view.null).max() < 1e-9
        assert np.allclose(view.null_share @ view.null, np.eye(view.null.shape[1]))
        assert np.abs(view.null_share @ view.inverse).max() < 1e-9


def test_the_predicted_posture_brings_the_hand_there_and_the_links_nearly(arm):
    rng = np.random.default_rng(10)
    for _ in range(100):
        view = seen(arm, READY + rng.uniform(-0.3, 0.3, 7))
        if view.dexterity < 0.5:
            continue
        goal = pose_add(view.ee, tuple((rng.uniform(-1, 1, 6) * ([0.015] * 3 + [0.05] * 3)).tolist()))
        posture = arm.body.posture(view, goal)
        assert np.allclose(posture.ee.origin, goal.position_m, atol=1e-12)
        reached = seen(arm, np.array(posture.joints_rad)).ee
        assert np.linalg.norm(np.subtract(reached.position_m, goal.position_m)) < 0.002


def test_the_pace_falls_with_dexterity(arm):
    view = seen(arm, READY)
    posture = arm.body.posture(view, view.ee)
    gaps = arm.gaps(posture)
    for dexterity, pace in [
        (9.0, 0),
        (1.0 + PACE_RESERVE + 1e-9, 0),
        (1.0 + PACE_RESERVE - 1e-9, 1),
        (0.31, 4),
        (0.16, 6),
        (0.0, 6),
    ]:
        outlook = arm.outlook(
            view._replace(dexterity=dexterity), posture._replace(dexterity=9.0), gaps, rests(view.ee, view.ee)
        )
        assert outlook.pace == pace
        slower = arm.outlook(
            view._replace(dexterity=9.0), posture._replace(dexterity=dexterity), gaps, rests(view.ee, view.ee)
        )
        assert slower.pace == pace and PACES[pace] <= max(dexterity - PACE_RESERVE, PACES[-1])


def test_gaps_are_labelled_in_their_order(arm):
    view = seen(arm, READY)
    gaps = arm.gaps(arm.body.posture(view, view.ee))
    labels = arm.gap_labels
    assert len(gaps) == len(labels) - 1 and labels[-1].limit == "S30"
    assert [label.limit for label in labels[-10:-1]] == ["S33"] + 8 * ["S31"]
    assert labels[0].about.endswith("table")
