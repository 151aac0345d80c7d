"""The twin's arm, moved by words typed."""

from __future__ import annotations

import numpy as np
import pytest

from hardware.arm_in_hand import ArmInHand
from hardware.interfaces import GuardMode, NoTeleop
from hardware.local_robot import LocalRobot
from sim.envs import make


@pytest.fixture
def hand():
    env = make("reach")
    plan = env.task.reset(np.random.default_rng(0), teleport=True)
    assert plan.teleport is not None and isinstance(env.robot, LocalRobot)
    plan.teleport()
    yield ArmInHand(env.robot)
    env.close()


def test_it_goes_where_it_is_told_and_lets_go(hand):
    before = np.array(hand.position_m)
    hand.obey("z -30")
    hand.obey("y 50")
    assert np.array(hand.position_m) - before == pytest.approx([0.0, 0.05, -0.03], abs=0.006)
    turned = hand.joint_positions_rad
    hand.obey("yaw 20")
    assert hand.joint_positions_rad[-1] - turned[-1] == pytest.approx(-0.35, abs=0.1)
    hand.obey("free")
    hand.robot.clock.sleep_until(hand.robot.clock.now() + 0.5)
    assert hand.robot.guard.mode is GuardMode.DISARMED
    hand.obey("close")
    assert hand.robot.arm.read().gripper_width_m < 0.07


@pytest.mark.parametrize(
    ("words", "match"),
    [("w 5", "no word"), ("x", "how far"), ("x nan", "at most 200 mm"), ("yaw 90", "at most 45 degrees")],
)
def test_words_that_make_no_sense_move_nothing(hand, words, match):
    before = hand.position_m
    with pytest.raises(ValueError, match=match):
        hand.obey(words)
    assert (hand.position_m, hand.robot.guard.mode) == (before, GuardMode.DISARMED)


def test_without_a_device_nobody_drives(hand):
    hand.robot.teleop = NoTeleop()
    with pytest.raises(ValueError, match="no teleop device to drive with"):
        hand.obey("drive")


def test_what_the_guard_refuses_is_said_and_leaves_the_arm_in_its_care(hand):
    with pytest.raises(ValueError, match="pushing at a limit; `clear`"):
        for _ in range(3):
            hand.obey("z -150")
    assert hand.position_m[2] > 0.0
    hand.obey("clear")
    assert hand.robot.guard.mode is GuardMode.DISARMED
    hand.obey("z 40")


def test_at_rest_it_feels_nothing(hand):
    wrench, spread_n = hand.wrench_at_rest()
    assert (wrench, spread_n) == (pytest.approx([0.0] * 6, abs=0.1), pytest.approx(0.0, abs=0.1))


def test_a_stop_once_it_has_arrived_is_said(hand, monkeypatch, capsys):
    arrive = hand.go_to
    monkeypatch.setattr(hand, "go_to", lambda *goal: (arrive(*goal), hand.robot.hold("somebody came")))
    hand.obey("z 40")
    assert "HOLD (somebody came; `clear`, then on), end effector at" in capsys.readouterr().err
