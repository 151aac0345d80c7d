"""S30 in a handover zone: hands may meet inside, and must part before either leaves it."""

from __future__ import annotations

import pytest

from hardware.body import Box
from hardware.fakes import POINTING_DOWN, shifted
from hardware.interfaces import Pose
from hardware.posture import Posture, Presence
from hardware.whole_arm import PREDICTION_SLACK_M, WholeArm
from tests.hardware.rig import fake_cell

X, Y, Z = POINTING_DOWN.position_m
ZONE = Box((X - 0.2, Y - 0.2, Z - 0.1), (X + 0.2, Y + 0.2, Z + 0.1))
OTHER = shifted(POINTING_DOWN, (0.1, 0.0, 0.0))
"""Hands side by side, a few centimetres apart."""


def arm(zone: Box | None) -> WholeArm:
    return fake_cell(handover_zone=zone, planes={}).whole_arm("collaborative")


def at(arm: WholeArm, pose: Pose) -> Posture:
    view = arm.body.view((), pose)
    return arm.body.posture(view, pose)


def presence(arm: WholeArm, now: Pose, rest: Pose | None = None) -> Presence:
    view = arm.body.view((), now)
    return arm.body.presence(view, arm.body.posture(view, rest or now))


def gap(arm: WholeArm, pose: Pose, *others: Presence) -> float:
    """What is left to S30."""
    assert arm.gap_labels[-1].limit == "S30"
    return arm.gaps(at(arm, pose), others)[-1]


def between(pose: Pose, other: Pose) -> float:
    """What is left without a zone."""
    alone = arm(None)
    return gap(alone, pose, presence(alone, other))


def test_without_a_zone_hands_this_near_break_the_limit():
    assert -0.06 < between(POINTING_DOWN, OTHER) < 0.0


def test_inside_the_zone_hands_may_meet_as_deep_as_the_own_one_is():
    one = arm(ZONE)
    for lower in (0.07, 0.09):
        pose = shifted(POINTING_DOWN, (0.0, 0.0, -lower))
        assert gap(one, pose, presence(one, OTHER)) == pytest.approx(ZONE.depth(pose.position_m) - PREDICTION_SLACK_M)


def test_a_hand_that_would_leave_the_zone_from_beside_another_breaks_the_limit_the_further_the_more():
    one, other = arm(ZONE), shifted(OTHER, (0.0, 0.0, 0.09))
    gaps = [gap(one, shifted(POINTING_DOWN, (0.0, 0.0, up)), presence(one, other)) for up in (0.092, 0.096, 0.105)]
    assert gaps[0] > 0.0 > gaps[1] > gaps[2]


@pytest.mark.parametrize("leaving", ["now", "at rest"])
def test_while_the_others_hand_is_or_will_be_outside_only_the_distance_counts(leaving):
    one, outside = arm(ZONE), shifted(OTHER, (0.0, 0.0, 0.11))
    now, rest = (outside, OTHER) if leaving == "now" else (OTHER, outside)
    seen = presence(one, now, rest)
    assert gap(one, POINTING_DOWN, seen) == gap(arm(None), POINTING_DOWN, seen) < 0.0


def test_far_apart_the_zone_says_nothing():
    one, far = arm(ZONE), shifted(POINTING_DOWN, (0.6, 0.0, 0.0))
    assert gap(one, POINTING_DOWN, presence(one, far)) == between(POINTING_DOWN, far) > 0.0
