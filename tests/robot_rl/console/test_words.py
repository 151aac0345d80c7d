"""Snapshots in words: who drives and why not, when to take over, how well it goes."""

from __future__ import annotations

from dataclasses import replace
from math import nan
from threading import Thread
from typing import Any

import numpy as np
import pytest

from hardware.interfaces import (
    ZERO6,
    ArmReference,
    ArmState,
    ExecutedCommand,
    Gripper,
    GuardMode,
    Pose,
    Refusal,
    Source,
)
from robot_rl.console.operator import Operator
from robot_rl.console.snapshot import Slot, Snapshot
from robot_rl.console.words import action_bars, hint, status, streak, success_curve

POSE = Pose((0.5, 0.0, 0.2), (1.0, 0.0, 0.0, 0.0))
ARM = ArmState(1.0, POSE, ZERO6, (), (), ZERO6, 0.08)


def snapshot(mode: GuardMode = GuardMode.RUNNING, source: Source = Source.POLICY, reason: str = "", **more: Any):
    executed = ExecutedCommand(1.0, POSE, Gripper.OPEN, source, mode, ArmReference(POSE, ZERO6, 0.08), reason=reason)
    return Snapshot(1.0, ARM, executed, **more)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (snapshot(), ["policy drives", "RUNNING"]),
        (snapshot(source=Source.HUMAN), ["you drive"]),
        (snapshot(GuardMode.HOLD, Source.HOLD, "S8: 43 N & more"), ["guard holds", "HOLD: S8: 43 N &amp; more"]),
        (snapshot(GuardMode.DISARMED), ["nobody drives"]),
        (snapshot(refusal=(0.5, Refusal("S4", 0.012, Source.POLICY))), ["S4 by 0.012, 0.5 s ago"]),
        (snapshot(step=10, human_steps=3), ["30% of this episode"]),
        (snapshot(training={"env_steps": 1200.0, "buffer": 0.25}), ["1,200", "25%"]),
    ],
)
def test_the_status_says(given, words):
    assert all(word in status(given) for word in words)


def test_the_hint_comes_only_where_the_policy_gets_nowhere():
    assert hint(snapshot(stalled_s=1.0)) == ""
    assert "no progress for 4 s" in hint(snapshot(stalled_s=4.0))
    assert hint(snapshot(GuardMode.HOLD, stalled_s=4.0)) == ""
    assert hint(snapshot(source=Source.HUMAN, stalled_s=4.0)) == ""


def test_a_streak_is_broken_by_help_and_by_failure():
    alone, helped, failed = (True, False), (True, True), (False, False)
    assert streak([]) == 0
    assert streak([alone, alone]) == 2
    assert streak([alone, helped, alone]) == 1
    assert streak([alone, failed]) == 0


def test_the_curve_counts_unaided_successes_within_its_interval():
    number, share, low, high = success_curve([(True, False), (True, True), (False, False), (True, False)])
    assert number.tolist() == [1, 2, 3, 4] and share.tolist() == [1.0, 0.5, 1 / 3, 0.5]
    assert np.all(low <= share) and np.all(share <= high)
    assert [len(column) for column in success_curve([])] == [0, 0, 0, 0]


def test_bars_of_an_action_stay_in_the_picture_whatever_was_proposed():
    picture = action_bars(snapshot(proposed=(nan, 7.0, -0.5), done=(0.0, 1.0, -0.5)))
    assert "nan" not in picture and "width='100.0'" in picture and "x='100.0'" in picture


def test_a_slot_keeps_the_newest_only():
    slot = Slot()
    assert slot.take(0.0) is None
    for step in range(5):
        slot.put(snapshot(step=step))
    taken = slot.take(0.0)
    assert taken is not None and taken.step == 4 and slot.take(0.0) is None


def test_a_slot_wakes_who_waits():
    slot, taken = Slot(), []
    waiting = Thread(target=lambda: taken.append(slot.take(30.0)))
    waiting.start()
    slot.put(snapshot(step=7))
    waiting.join()
    assert taken[0].step == 7


class FakeRobot:
    """Counts what the operator asks of it; ``refuse`` times resuming fails."""

    def __init__(self, refuse: bool = False) -> None:
        self.clock, self.refuse, self.log = self, refuse, []

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
            self.operator.resume()


@pytest.mark.parametrize(("refuse", "trouble"), [(False, ""), (True, "it still brakes")])
def test_the_run_waits_while_the_operator_holds(refuse, trouble):
    robot = FakeRobot(refuse)
    robot.operator = operator = Operator(robot)  # type: ignore[attr-defined, arg-type]
    operator.wait()
    assert robot.log == []
    operator.hold()
    operator.wait()
    assert robot.log == ["hold", "wait", "wait", "wait"] + ([] if refuse else ["resume"])
    assert operator.trouble == trouble and not operator.paused


def test_snapshots_are_values():
    assert replace(snapshot(), step=3).step == 3
