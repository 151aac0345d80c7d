"""pick_cube: what counts as holding a cube up."""

from __future__ import annotations

import numpy as np
import pytest

from hardware.interfaces import Pose
from robot_rl.env import RobotEnv
from sim.envs import make
from sim.tasks.base import pointing_down


@pytest.fixture
def env() -> RobotEnv:
    return make("pick_cube")


def throw(env: RobotEnv, height_m: float, velocity_m_s: float, at_hand: bool) -> bool:
    """Whether a cube let go in the air at ``height_m`` ever counts as success within 1.5 s."""
    env.reset(seed=0)
    world = env.task.world
    x, y, z = env.latest.arm.T_base_ee.position_m if at_hand else (0.6, 0.1, 0.0)
    world.place("cube", Pose((x, y, z - 0.05 + height_m if at_hand else height_m), pointing_down(0.0)))
    world.data.qvel[-4] = velocity_m_s
    world.refresh()
    still = np.zeros(env.action_space.shape, np.float32)
    return any(env.step(still)[4]["success"] for _ in range(15))


def test_a_cube_thrown_into_the_air_is_not_held(env: RobotEnv) -> None:
    assert not throw(env, 0.3, 2.5, at_hand=False)


def test_a_cube_that_flies_past_the_hand_is_not_held(env: RobotEnv) -> None:
    assert not throw(env, 0.0, 1.0, at_hand=True)


def test_success_needs_the_height_for_half_a_second(env: RobotEnv) -> None:
    env = make("pick_cube", person="expert", takeover="always")
    env.reset(seed=4)
    raised = 0
    for _ in range(100):
        _, _, terminated, _, _ = env.step(np.zeros(7, np.float32))
        raised = raised + 1 if env.task.object_pose().position_m[2] >= 0.12 else 0
        if terminated:
            break
    assert terminated and raised == 6  # five periods between six sights


def test_a_held_cube_does_not_creep(env: RobotEnv) -> None:
    env = make("pick_cube", person="expert", takeover="always")
    env.reset(seed=4)
    while not env.step(np.zeros(7, np.float32))[2]:
        pass

    def in_hand() -> np.ndarray:
        return np.array(env.task.object_pose().position_m) - env.task.world.site_pose("ee").position_m

    before = in_hand()
    for _ in range(20):
        env.step(np.zeros(7, np.float32))
    assert np.linalg.norm(in_hand() - before) < 0.0005


def test_an_empty_fist_lifted_is_no_success(env: RobotEnv) -> None:
    env.reset(seed=0)
    action = np.array([0, 0, 1, 0, 0, 0, -1], np.float32)
    assert not any(env.step(action)[4]["success"] for _ in range(30))


def test_the_tracker_follows_the_cube_with_its_error(env: RobotEnv) -> None:
    env.reset(seed=6)
    (dx, dy, _), frame = env.task.tracking_error, env.task.task_frame
    cube = env.task.object_pose().position_m
    assert np.allclose(frame.position_m[:2], (cube[0] + dx, cube[1] + dy), atol=1e-4)
    before = env.task.features(env.latest)
    env.task.world.place("cube", Pose((cube[0] + 0.02, cube[1], cube[2]), pointing_down(0.0)))
    env.task.world.refresh()
    moved = env.task.features(env.latest) - before
    assert np.linalg.norm(moved[:3]) == pytest.approx(0.02 / env.task.spec.position_scale_m, rel=1e-2)
