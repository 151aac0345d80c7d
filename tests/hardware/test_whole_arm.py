"""What a look at the whole arm says, and that what it grants never closes a gap."""

from __future__ import annotations

from itertools import product
from math import inf

import numpy as np
import pytest

from hardware.body import Box, Capsule, capsule_distance
from hardware.cell import load_cell
from hardware.geometry import pose_add, quat_inverse, quat_multiply, rotvec_from_quat
from hardware.guard import Guard
from hardware.interfaces import Pose
from hardware.limits import Limits
from hardware.posture import HELD, Presence, View
from hardware.surroundings import TaskArea
from hardware.whole_arm import PACE_RESERVE, PACES, Outlook, Rates, WholeArm

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


# -- numbers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", range(4), ids=["hand", "links", "bend", "dexterity"])
def test_an_outlook_covers_what_its_grants_pay_for_and_no_more(kind):
    """Motion, turn and drift of two joints each cost something of every kind."""
    per_m, per_rad, per_null = (2.0, 3.0, 5.0, 7.0), (0.2, 0.3, 0.5, 0.7), [(0.1, 0.3, 0.2, 0.6), (0.4, 0.9, 0.8, 0.5)]
    rates = Rates(per_m, per_rad, [[1.0, 0.5], [-0.5, 2.0]], per_null)
    joints, at = (0.2, -0.1), ((0.1, 0.2, 0.3), (0.3, 0.2, 0.1))
    moved, turned = (0.1 + 0.03, 0.2 - 0.04, 0.3 + 0.12), (0.3 - 0.2, 0.2 + 0.3, 0.1 - 0.6)  # 0.13 m, 0.7 rad.
    bent = (0.2 + 0.1, -0.1 - 0.3)
    drifts = abs(0.1 - 0.5 * 0.3), abs(-0.5 * 0.1 - 2.0 * 0.3)
    cost = per_m[kind] * 0.13 + per_rad[kind] * 0.7 + sum(d * p[kind] for d, p in zip(drifts, per_null, strict=True))
    for share, covered in ((1.0 + 1e-9, True), (1.0 - 1e-9, False)):
        granted = [inf] * 4
        granted[kind] = share * cost
        outlook = Outlook(joints, at, 0.7 + 1e-9, tuple(granted), rates, 0)
        assert outlook.covers(bent, (moved, turned)) is covered
    assert not outlook._replace(granted=(inf,) * 4, turn_rad=0.7 - 1e-9).covers(bent, (moved, turned))


def test_how_fast_things_move_is_the_norm_of_what_each_direction_moves(arm):
    view = seen(arm, READY)
    rates = Rates.of(view, arm.body)
    moves = np.concatenate([view.inverse, view.null], axis=1)
    links = arm.body.link_motion(view, moves).max(axis=0)
    bends, changes = np.abs(moves).max(axis=0), np.abs(view.dexterity_slope @ moves)
    for found, hand, part in ((rates.per_m, 1.0, slice(0, 3)), (rates.per_rad, arm.body.hand_reach_m, slice(3, 6))):
        others = [1.25 * np.linalg.norm(most[part]) for most in (links, bends, changes)]
        assert found == pytest.approx((hand, *others))
    assert rates.per_null[0] == pytest.approx((0.0, 1.25 * links[6], 1.25 * bends[6], 1.25 * changes[6]))
    assert rates.null_share == view.null_share.tolist()


def test_each_gap_is_what_is_left_to_its_limit(arm):
    body, limits = arm.body, arm.limits
    needed = limits.min_clearance_m + 0.007
    zone = arm.area.work_zone
    solids = {**CELL.planes, **CELL.fixtures, **arm.area.fixtures}
    view = seen(arm, READY)
    low, high = zone.min_m, zone.max_m
    inside = (0.5 * (low[0] + high[0]), 0.5 * (low[1] + high[1]), low[2] + 0.02)
    for position in (inside, view.ee.position_m):
        goal = view.ee._replace(position_m=position)
        posture = body.posture(view, goal)
        gaps, expected = arm.gaps(posture), []
        for solid in solids.values():
            for part, capsule in zip(body.parts, posture.capsules, strict=True):
                if part.frame > 0:
                    gap = solid.distance(capsule) - needed
                    expected.append(max(gap, zone.depth(goal.position_m)) if part.tip else gap)
        assert gaps[: len(expected)] == pytest.approx(expected)
        del gaps[: len(expected)]
        placed = list(zip(body.parts, posture.capsules, strict=True))
        for pair in body.model.meetings:
            firsts, seconds = ([c for p, c in placed if ("fingers" if p.name == HELD else p.name) == n] for n in pair)
            for first, second in product(firsts, seconds):
                assert gaps.pop(0) == pytest.approx(capsule_distance(first, second) - needed)
        tilt = np.arccos(np.clip(np.dot(posture.ee.z, arm.area.approach), -1.0, 1.0))
        assert gaps.pop(0) == pytest.approx(limits.max_tilt_rad - 0.02 - tilt)
        for q, joint in zip(posture.joints_rad, body.model.joints, strict=True):
            margin = min(q - joint.min_rad, joint.max_rad - q) - limits.min_joint_margin_rad - 0.06
            assert gaps.pop(0) == pytest.approx(margin)
        assert gaps == [pytest.approx(posture.dexterity - limits.min_dexterity)]


def test_a_gap_is_granted_to_what_can_close_it_in_equal_shares(arm):
    view = seen(arm, READY)
    posture = arm.body.posture(view, view.ee)
    gaps = [1.0] * (len(arm.gap_labels) - 1)
    outlook = arm.outlook(view._replace(dexterity=9.0), posture._replace(dexterity=9.0), gaps, rests(view.ee, view.ee))
    assert (outlook.turn_rad, outlook.granted) == (1.0, (0.5, 0.5, 1.0, 1.0))
    for index, label in enumerate(arm.gap_labels[:-1]):
        less = [*gaps]
        less[index] = 0.1
        found = arm.outlook(
            view._replace(dexterity=9.0), posture._replace(dexterity=9.0), less, rests(view.ee, view.ee)
        )
        for rate, grant in zip(label.rates, (found.turn_rad, *found.granted), strict=True):
            assert grant == pytest.approx(0.1 / rate if rate else grant)
            assert (grant <= 0.1) is (rate > 0.0)
    assert {label.rates for label in arm.gap_labels if label.limit == "S32"} == {
        (0.0, 1.0, 0.0, 0.0, 0.0),
        (0.0, 0.0, 1.0, 0.0, 0.0),
        (0.0, 2.0, 2.0, 0.0, 0.0),
    }


def test_dexterity_may_fall_to_the_pace_that_was_chosen_and_no_further(arm):
    view = seen(arm, READY)
    posture = arm.body.posture(view, view.ee)
    gaps = [1.0] * (len(arm.gap_labels) - 1)
    for dexterity, change in ((0.8, 0.8 - 0.7), (0.6, 0.6 - 0.5), (0.21, 0.21 - 0.15), (0.12, 1.0)):
        outlook = arm.outlook(view._replace(dexterity=dexterity), posture._replace(dexterity=9.0), gaps, ((), ()))
        assert outlook.granted[3] == pytest.approx(change)


def test_a_slower_pace_changes_speeds_alone():
    assert list(PACES) == sorted(set(PACES), reverse=True)
    assert (PACES[0], PACES[-1]) == (1.0, 0.1)
    settings = Guard(CELL).settings
    for (translation, rotation), pace in zip(settings.paces, PACES, strict=True):
        for ours, full in ((translation, settings.translation), (rotation, settings.rotation)):
            for name in ("normal", "engage", "reset"):
                profile, whole = getattr(ours, name), getattr(full, name)
                assert profile == whole._replace(speed=whole.speed * pace)
            assert ours.stop == full.stop


def test_s30_arms_keep_their_distance_and_hands_theirs_outside_the_zone_where_they_may_meet():
    limits, zone = Limits(), Box((-1.0, -1.0, -1.0), (1.0, 1.0, 1.0))
    body = CELL.whole_arm("collaborative", TASK).body
    view = body.view(tuple(READY.tolist()), Pose((0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0)))
    view = view._replace(ee=view.ee_by_joints)
    posture = body.posture(view, view.ee)
    needed = limits.min_arm_distance_m + 2 * 0.007
    hand = [c for p, c in zip(body.parts, posture.capsules, strict=True) if p.frame == body.ee_frame]
    arm = [c for p, c in zip(body.parts, posture.capsules, strict=True) if p.frame != body.ee_frame]

    def ball(near: Capsule, distance: float) -> Capsule:
        """Beside a part, in front of the arm."""
        x, y, z = np.add(near.b, (near.radius + 0.05 + distance, 0.0, 0.0)).tolist()
        return Capsule((x, y, z), (x, y, z), 0.05)

    def gap(zone: Box | None, **presence) -> float:
        return WholeArm(body, {}, TaskArea(), zone, limits).gaps(posture, (Presence(**presence),))[-1]

    def least(parts: list[Capsule], other: Capsule) -> float:
        return min((capsule_distance(part, other) for part in parts), default=0.1)

    for distance in (0.01, 0.03, 0.05):
        other = ball(hand[-1], distance)
        inside, outside = (view.ee.position_m,), ((2.0, 0.0, 0.0),)
        assert gap(zone, arm=(other,), points=inside) == pytest.approx(least(arm + hand, other) - needed)
        assert gap(None, hand=(other,), points=inside) == pytest.approx(least(arm + hand, other) - needed)
        assert gap(zone, hand=(other,), points=inside + outside) == pytest.approx(least(arm + hand, other) - needed)
        depth = zone.depth(posture.ee.origin) - 0.007
        met = min(least(arm, other) - needed, max(least(hand, other) - needed, depth))
        assert gap(zone, hand=(other,), points=inside) == pytest.approx(met)
    assert gap(zone) == pytest.approx(0.1 - needed)


@pytest.mark.parametrize("approach", [(0.0, 0.0, -1.0), (0.6, 0.0, -0.8), (0.0, 0.6, -0.8), (0.48, 0.64, 0.6)])
def test_s33_the_tilt_is_the_angle_to_the_tasks_approach(arm, approach):
    limits = Limits()
    leaning = WholeArm(arm.body, {}, TaskArea(approach=approach), None, limits)
    view = seen(arm, READY)
    posture = arm.body.posture(view, pose_add(view.ee, (0.0, 0.0, 0.0, 0.2, -0.3, 0.4)))
    index = [label.limit for label in leaning.gap_labels].index("S33")
    tilt = np.arccos(np.clip(np.dot(posture.ee.z, approach), -1.0, 1.0))
    assert leaning.gaps(posture)[index] == pytest.approx(limits.max_tilt_rad - 0.02 - tilt)


def test_s30_of_several_neighbours_the_nearest_counts(arm):
    view = seen(arm, READY)
    posture = arm.body.posture(view, view.ee)
    x, y, z = view.ee.position_m
    near, far = (Presence(arm=(Capsule((x, y, z + up), (x, y, z + up), 0.02),)) for up in (0.05, 0.5))
    gaps = [arm.gaps(posture, those)[-1] for those in ((near,), (far,), (near, far), (far, near))]
    assert gaps[0] < gaps[1]
    assert gaps[2] == gaps[3] == gaps[0]
