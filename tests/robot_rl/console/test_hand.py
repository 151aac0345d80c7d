"""The browser's hand: what is asked ends by itself, and a page that goes away while driving is a dead reader."""

from __future__ import annotations

import pytest

from hardware.interfaces import ZERO6, Gripper, Pose
from robot_rl.console.hand import JOG_S, LOST, PULL_S, SILENT_S, STILL_S, BrowserHand

HERE = Pose((0.5, 0.0, 0.2), (1.0, 0.0, 0.0, 0.0))
PERIOD_S = 0.01


class FakeRobot:
    """Logs what the operator asks of it, and makes the page ask to resume after three waits."""

    def __init__(self, refuse: bool = False) -> None:
        self.clock, self.refuse, self.log, self.asked = self, refuse, [], []

    def hold(self, reason: str) -> None:
        self.log.append("hold")

    def resume(self) -> None:
        if self.refuse:
            raise RuntimeError("it still brakes")
        self.log.append("resume")

    def now(self) -> float:
        return 0.0

    def sleep_until(self, deadline_s: float) -> None:
        self.log.append("wait")
        if self.log.count("wait") == 3:
            self.hand.resume()


class Hand(BrowserHand):
    """One whose page asks for what is put into ``asked``."""

    def __init__(self, robot: FakeRobot) -> None:
        self.asked: list[list] = []
        robot.hand = self
        super().__init__(robot, lambda: HERE, self._taken)

    def _taken(self) -> list[list]:
        taken, self.asked = self.asked, []
        return taken


@pytest.fixture
def hand() -> Hand:
    hand = Hand(FakeRobot())
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
    hand.pull([0.51, -1.0, 0.2], list(HERE.quat_xyzw))
    twist = hand.read(10.01).twist
    assert twist[:3] == pytest.approx((0.5, -1.0, 0.0)) and twist[3:] == pytest.approx((0.0, 0.0, 0.0))
    hand.asked = [["alive"]]
    assert hand.read(10.0 + PULL_S).twist != ZERO6
    sample = hand.read(10.0 + PULL_S + PERIOD_S)
    assert sample.twist == ZERO6 and sample.takeover


def test_a_page_that_leaves_while_it_drives_stops_the_heartbeat_until_the_next_episode(hand):
    hand.jog(0, 1.0)
    assert hand.read(10.01).heartbeat_s == 10.01
    hand.gone()
    hand.alive()
    assert hand.read(10.2).heartbeat_s == 10.01  # the guard holds: S13
    hand.rest()
    assert hand.read(10.3).heartbeat_s == 10.3 and not hand.read(10.31).takeover


def test_a_tab_that_falls_silent_while_it_drives_rests_and_then_stops_the_heartbeat(hand):
    hand.pull([0.6, 0.0, 0.2], list(HERE.quat_xyzw))
    assert hand.read(10.0 + STILL_S - PERIOD_S).twist[0] == 1.0
    resting = hand.read(10.0 + STILL_S + PERIOD_S)
    assert resting.twist == ZERO6 and resting.takeover and resting.heartbeat_s == 10.0 + STILL_S + PERIOD_S
    last_s = 10.0 + SILENT_S
    assert hand.read(last_s).heartbeat_s == last_s and not hand.trouble
    assert hand.read(last_s + PERIOD_S).heartbeat_s == last_s and hand.trouble == LOST  # the guard holds: S13
    hand.asked = [["alive"]]
    assert hand.read(12.0).heartbeat_s == 12.0
    hand.rest()
    hand.take_over()
    assert not hand.trouble


def test_silence_of_a_page_that_does_not_drive_is_nothing(hand):
    assert hand.read(99.0).heartbeat_s == 99.0


def test_a_page_that_only_watched_may_leave(hand):
    hand.gone()
    assert hand.read(10.5).heartbeat_s == 10.5


def test_the_gripper_closes_and_opens_in_turn(hand):
    hand.gripper()
    assert hand.read(10.01).gripper is Gripper.CLOSE
    hand.gripper()
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


@pytest.mark.parametrize(("refuse", "trouble"), [(False, ""), (True, "it still brakes")])
def test_resting_waits_while_the_operator_holds(refuse, trouble):
    robot = FakeRobot(refuse)
    hand = Hand(robot)
    hand.rest()
    assert robot.log == []
    hand.hold()
    hand.rest()
    assert robot.log == ["hold", "wait", "wait", "wait", *([] if refuse else ["resume"])]
    assert hand.trouble == trouble and not hand.paused


def test_every_wish_of_the_page_is_obeyed(hand):
    wishes = [["take_over"], ["jog", 0, 1.0], ["set_speed", 7.0], ["gripper"], ["alive"], ["judge", "failure"]]
    hand.asked = wishes
    sample = hand.read(10.01)
    assert sample.twist[0] == 1.0 and sample.gripper is Gripper.CLOSE and hand.verdict() == "failure"
    hand.asked = [["pull", [0.6, 0.0, 0.2], list(HERE.quat_xyzw)], ["hold"], ["resume"], ["gone"], ["hand_back"]]
    assert not hand.read(10.02).takeover
