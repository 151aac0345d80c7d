"""The whole arm under the guard (S31 to S33) in every task of the twin, judged by MuJoCo's own geometry.

Random policies and persons drive at everything; what the arm's shapes, joints and tool then do at each tick is measured
in the physics, not in the guard's model. Each property prints the worst it saw (``pytest -s``); ``GUARD_STORIES`` makes
the stories as many as one likes.
"""

from __future__ import annotations

import os

import numpy as np
import pytest

from benchmarks.whole_arm_judge import CELL, WholeArmJudge
from hardware.fakes import FakeTeleop
from hardware.geometry import pose_add
from hardware.guard import EngageError
from hardware.guard_inputs import GuardInputs
from hardware.guard_state import GuardState
from hardware.interfaces import ArmCommand, ExecutedCommand, GuardMode
from hardware.local_robot import LocalRobot
from sim.drivers import SimArm, SimClock
from sim.tasks import TASKS, make_task

STORIES = int(os.environ.get("GUARD_STORIES", "4"))
"""Random stories a task; a quarter as many by default, since there are so many tasks."""
SECONDS = 12.0


class Story:
    """One random story in a task."""

    def __init__(self, task: str, seed: int):
        rng = np.random.default_rng([seed, 57])
        twin = make_task(task)
        plan = twin.reset(rng, teleport=True)
        plan.teleport()
        self.clock = SimClock(twin.world, command_delay_s=0.0)
        self.judge = WholeArmJudge(twin, task)
        self.limits_hit: set[str] = set()
        self.arm = SimArm(twin.world, reference_period_s=CELL.guard_period_s)
        self.arm.connect()
        self.teleop = FakeTeleop()
        self.robot = LocalRobot(self.arm, {}, self.teleop, CELL, self.clock, task=task)
        self.guard = self.robot.guard
        self.guard.recorder = self._record
        self._again(lambda: self.guard.engage(self.arm.read(), self.clock.now(), plan.gripper))
        self.wait(0.02)
        self.clock.every(CELL.guard_period_s, lambda now: self.judge.look(self.executed.reference.T_base_ee.position_m))
        end_s = self.clock.now() + SECONDS
        while self.clock.now() < end_s and self.guard.mode is not GuardMode.FAULT:
            self._act(rng)
            if self.guard.mode is GuardMode.HOLD:
                self._clear_hold()

    def wait(self, seconds: float) -> None:
        self.clock.sleep_until(self.clock.now() + seconds)

    def _act(self, rng: np.random.Generator) -> None:
        """A policy that heads for a corner of the workspace or for something low, turns far, or a person who pushes."""
        kind = rng.choice(["corner", "low", "turn", "person"], p=[0.3, 0.4, 0.15, 0.15])
        direction = rng.uniform(-1.0, 1.0, 6)
        if kind == "person":
            self.teleop.push(*direction[:2], -abs(direction[2]), *direction[3:])
            self.wait(float(rng.uniform(0.2, 1.2)))
            self.teleop.release()
            return
        low, high = np.array(CELL.workspace.min_m), np.array(CELL.workspace.max_m)
        here = self.executed.reference.T_base_ee
        goal = np.where(rng.random(3) < 0.5, low, high) if kind == "corner" else rng.uniform(low, high)
        if kind == "low":
            goal[2] = rng.uniform(-0.1, 0.06)
        elif kind == "turn":
            goal = np.array(here.position_m)
        turn = 1.5 * direction[3:] * (rng.random() < 0.5 or kind == "turn")
        target = pose_add(here, (*(goal - here.position_m).tolist(), *turn.tolist()))
        for _ in range(int(rng.integers(10, 70))):
            self.robot.command(ArmCommand(target))
            self.wait(0.05)
            if self.guard.mode is GuardMode.HOLD:
                return

    def _clear_hold(self) -> None:
        """As an operator does: resume, or let an arm go that presses on, and engage it anew."""
        if not self._again(self.robot.resume, "S8"):
            self.guard.reset()
            self._again(lambda: self.guard.engage(self.arm.read(), self.clock.now()))

    def _again(self, call, unless: str = "never") -> bool:
        for _ in range(300):
            try:
                call()
                return True
            except EngageError:
                self.wait(0.01)
        assert self.guard.reason.startswith(unless), f"never: {self.guard.mode.name}, {self.guard.reason}"
        return False

    def _record(self, inputs: GuardInputs, state: GuardState, executed: ExecutedCommand) -> None:
        self.executed = executed
        self.limits_hit |= {refusal.limit for refusal in executed.refusals}


@pytest.fixture(scope="module")
def stories() -> list[Story]:
    return [Story(task, seed) for task in TASKS for seed in range(max(1, STORIES // 4))]


def worst_of(stories: list[Story], what: str, pick, limit: float, unit: str) -> float:
    worst = pick(story.judge.worst[what] for story in stories)
    print(f"\n  {what}: worst {worst:.4g} {unit}, allowed {limit:.4g}", end="")
    return worst


@pytest.mark.parametrize("what", ["links", "tips", "self"])
def test_s32_nothing_of_the_arm_comes_near_table_fixture_or_itself(stories, what):
    """Links and hand always, fingers and held tool outside the work zone."""
    limit = CELL.profile("collaborative").min_clearance_m
    assert worst_of(stories, what, min, limit, "m") >= limit


def test_s31_joints_stay_inside_their_ranges(stories):
    limit = CELL.profile("collaborative").min_joint_margin_rad
    assert worst_of(stories, "joint", min, limit, "rad") >= limit


def test_s31_no_joint_is_faster_than_its_share(stories):
    limit = CELL.profile("collaborative").max_joint_speed_share
    assert 0.05 < worst_of(stories, "speed", max, limit, "of the rating") <= limit


def test_s33_the_tool_stays_in_its_cone(stories):
    limit = CELL.profile("collaborative").max_tilt_rad
    assert 0.5 * limit < worst_of(stories, "tilt", max, limit, "rad") <= limit


def test_the_stories_hold_what_they_should(stories):
    """They run into the limits, and fingers work in the zone."""
    assert {"S32", "S33"} <= set().union(*(story.limits_hit for story in stories))
    assert sum(story.judge.inside for story in stories) > 100
    faults = {story.guard.reason[:3] for story in stories if story.guard.mode is GuardMode.FAULT}
    assert faults <= {"S8:"}, "only who drives into what stands in the work zone faults, by force"
