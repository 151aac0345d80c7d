"""pick_and_insert: only a peg in the hole counts."""

from __future__ import annotations

import numpy as np
import pytest

from hardware.geometry import pose_add
from hardware.interfaces import ZERO6, Gripper, Pose
from robot_rl.env import RobotEnv
from sim.envs import make
from sim.takeover import Handover
from sim.tasks.base import pointing_down
from sim.tasks.pick_and_insert import SURFACE_M


@pytest.fixture
def env() -> RobotEnv:
    env = make("pick_and_insert")
    env.reset(seed=0)
    return env


def put_peg(env: RobotEnv, x: float, y: float, tip_m: float, yaw: float, settle: int = 5) -> bool:
    """Success after letting go of the peg with its tip at height ``tip_m``."""
    env.task.world.place("peg", Pose((x, y, tip_m + 0.03), pointing_down(yaw)))
    env.task.world.refresh()
    done = [env.step(np.zeros(7, np.float32))[2] for _ in range(settle)]
    return done[-1]


def test_a_peg_in_the_hole_counts(env: RobotEnv) -> None:
    x, y, yaw = env.task.numbers("hole")
    assert put_peg(env, x, y, SURFACE_M - 0.015, yaw)  # falls the rest of the way


def test_a_peg_on_the_table_is_as_low_but_does_not_count(env: RobotEnv) -> None:
    x, y, yaw = env.task.numbers("hole")
    assert not put_peg(env, x + 0.06, y, 0.0, yaw)


def test_a_peg_on_the_fixture_does_not_count(env: RobotEnv) -> None:
    x, y, yaw = env.task.numbers("hole")
    assert not put_peg(env, x, y, SURFACE_M + 0.001, yaw + np.pi / 4)


def test_a_peg_askew_does_not_enter(env: RobotEnv) -> None:
    x, y, yaw = env.task.numbers("hole")
    assert not put_peg(env, x, y, SURFACE_M + 0.001, yaw + 0.25)


def test_a_fallen_peg_is_out_of_the_funnel(env: RobotEnv) -> None:
    assert env.task.in_funnel()
    x, y, _ = env.task.numbers("peg")
    env.task.world.place("peg", Pose((x, y, 0.011), (0.0, 0.7071067811865476, 0.0, 0.7071067811865476)))
    env.task.world.refresh()
    assert not env.task.in_funnel()


def test_a_peg_let_go_is_no_longer_in_the_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    env = make("pick_and_insert", person="expert", takeover="always")
    env.reset(seed=500)
    for _ in range(45):
        env.step(np.zeros(7, np.float32))
    task = env.task
    assert task.in_hand(task.world.site_pose("ee"), task.object_pose())
    monkeypatch.setattr(task, "guide", lambda now: (ZERO6, Gripper.OPEN))
    for _ in range(15):
        env.step(np.zeros(7, np.float32))
    assert not task.in_hand(task.world.site_pose("ee"), task.object_pose())


def test_a_person_who_brought_the_peg_into_the_hole_may_hand_back(env: RobotEnv) -> None:
    """The way in is worth what a hand-back asks for, with some of it left to the policy."""
    x, y, yaw = env.task.numbers("hole")

    def progress(depth_m: float) -> float:
        env.task.world.place("peg", Pose((x, y, SURFACE_M - depth_m + 0.03), pointing_down(yaw)))
        env.task.world.refresh()
        return env.task.progress()

    assert progress(0.015) - progress(0.0) > Handover().regain
    assert progress(0.018) > progress(0.015)


@pytest.mark.parametrize("lean, rights_the_peg", [(0.2, True), (0.5, False)])
def test_a_hand_leans_only_so_far_to_right_a_peg(env: RobotEnv, monkeypatch, lean: float, rights_the_peg: bool) -> None:
    upright, task = Pose((0.5, 0.1, 0.1), pointing_down(0.0)), env.task
    monkeypatch.setattr(task, "in_hand", lambda ee, peg: True)
    monkeypatch.setattr(task.world, "site_pose", lambda name: pose_add(upright, (0, 0, 0, lean, 0, 0)))
    monkeypatch.setattr(task, "object_pose", lambda: pose_add(upright, (0, 0, 0, -0.3, 0, 0)))
    turn = task.guide(0.0)[0][3]
    assert (turn > 0) == rights_the_peg, "the peg would want more lean, the hand less"
