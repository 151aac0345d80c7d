"""Success means inserted. A learner finds every other way to be counted: a tool held low beside the fixture was one."""

from __future__ import annotations

import numpy as np
import pytest

from robot_rl.command import task_id
from robot_rl.env import RobotEnv
from robot_rl.rollout import EnvSpec

INSERTIONS = ("peg_insertion", "connector_insertion")


@pytest.mark.parametrize("task", INSERTIONS)
@pytest.mark.parametrize("side", [(1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0)])
def test_a_tool_low_beside_the_fixture_is_no_success(task: str, side: tuple[float, float]) -> None:
    env = EnvSpec(task_id(task)).make()
    assert isinstance(env, RobotEnv)
    env.reset(seed=1)
    sideways = np.array([*side, 0.0, 0.0, 0.0, 0.0], np.float32)
    down = np.array([0.0, 0.0, -1.0, 0.0, 0.0, 0.0], np.float32)
    height = env.latest.arm.T_base_ee.position_m[2]
    for step in range(40):
        _, _, terminated, truncated, _ = env.step(sideways if step < 14 else down)
        assert not terminated, f"success at {env.latest.arm.T_base_ee.position_m} m, far from {env.task.task_frame}"
        if truncated:
            break
    assert env.latest.arm.T_base_ee.position_m[2] < height - 0.03, "the test must have got low"
    env.close()
