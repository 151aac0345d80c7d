"""The browser's hand: what is asked ends by itself, and a page that goes away while driving is a dead reader."""

from __future__ import annotations

import pytest

from hardware.interfaces import ZERO6, Gripper, Pose
from robot_rl.console.hand import JOG_S, PULL_S, BrowserHand

HERE = Pose((0.5, 0.0, 0.2), (1.0, 0.0, 0.0, 0.0))
PERIOD_S = 0.01


@pytest.fixture
def hand() -> BrowserHand:
    hand = BrowserHand(lambda: HERE)
    hand.read(10.0)
    return hand


def test_nobody_drives_until_somebody_takes_over(hand):
    assert not hand.read(10.01).takeover
    hand.take_over()
    assert hand.read(10.02).takeover and hand.read(10.03).twist == ZERO6
    hand.hand_back()
    assert not hand.read(10.04).takeover


def test_a_key_takes_over_jogs_for_its_time_and_keeps_the_arm(hand):
    hand.speed = 0.4
    hand.jog(2, -1.0)
    assert hand.read(10.01).twist == (0.0, 0.0, -0.4, 0.0, 0.0, 0.0)
    assert hand.read(10.0 + JOG_S - 1e-6).twist[2] == -0.4
    sample = hand.read(10.0 + JOG_S)
    assert sample.twist == ZERO6 and sample.takeover


def test_two_keys_jog_together(hand):
    hand.jog(0, 1.0)
    hand.jog(5, -1.0)
    assert hand.read(10.01).twist == (0.5, 0.0, 0.0, 0.0, 0.0, -0.5)


def test_the_gizmo_pulls_in_proportion_and_for_its_time(hand):
    hand.pull(Pose((0.51, -1.0, 0.2), HERE.quat_xyzw))
    twist = hand.read(10.01).twist
    assert twist[:3] == pytest.approx((0.5, -1.0, 0.0)) and twist[3:] == pytest.approx((0.0, 0.0, 0.0))
    assert hand.read(10.0 + PULL_S).twist != ZERO6
    assert hand.read(10.0 + PULL_S + PERIOD_S).twist == ZERO6


def test_a_page_that_leaves_while_it_drives_stops_the_heartbeat_until_the_next_episode(hand):
    hand.jog(0, 1.0)
    assert hand.read(10.01).heartbeat_s == 10.01
    hand.gone()
    assert hand.read(10.2).heartbeat_s == 10.01  # the guard holds: S13
    hand.rest()
    assert hand.read(10.3).heartbeat_s == 10.3 and not hand.read(10.31).takeover


def test_a_page_that_only_watched_may_leave(hand):
    hand.gone()
    assert hand.read(10.5).heartbeat_s == 10.5


def test_the_gripper_closes_and_opens_in_turn(hand):
    hand.toggle_gripper()
    assert hand.read(10.01).gripper is Gripper.CLOSE
    hand.toggle_gripper()
    assert hand.read(10.02).gripper is Gripper.OPEN


def test_a_verdict_stands_until_the_next_episode(hand):
    hand.judge("discard")
    hand.rest()
    assert hand.verdict() == "discard"
    hand.new_episode(0)
    assert hand.verdict() is None


def test_what_was_asked_during_a_reset_counts_for_nothing(hand):
    hand.rest()
    hand.jog(0, 1.0)
    hand.new_episode(0)
    assert not hand.read(10.01).takeover


def test_it_counts_the_time_at_the_controls(hand):
    hand.take_over()
    for tick in range(1, 51):
        hand.read(10.0 + tick * PERIOD_S)
    assert hand.stats.driving_s == pytest.approx(0.5) and hand.stats.takeovers == 1


def test_resting_waits_for_the_operator():
    waited = []
    BrowserHand(lambda: HERE, lambda: waited.append(True)).rest()
    assert waited
