"""ForeignEnv over environments of gymnasium itself."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.wrappers import TimeAwareObservation

from hardware.interfaces import Source
from robot_rl.foreign import ForeignEnv


class WithCamera(gymnasium.ObservationWrapper[dict[str, Any], np.ndarray, Any]):
    """A grey picture beside the numbers, nested as some projects have it."""

    def __init__(self, env: gymnasium.Env[Any, Any]):
        super().__init__(env)
        picture = gymnasium.spaces.Box(0, 255, (8, 8, 3), np.uint8)
        self.observation_space = gymnasium.spaces.Dict({"front": picture, "numbers": env.observation_space})

    def observation(self, observation: Any) -> dict[str, Any]:
        return {"front": np.full((8, 8, 3), 7, np.uint8), "numbers": observation}


def foreign(env: gymnasium.Env[Any, Any]) -> ForeignEnv:
    return ForeignEnv(env, "it")


def test_actions_are_scaled_to_the_environments_own_bounds() -> None:
    """Pendulum's torque is within ± 2: action 0.5 must do what 1.0 does there, step by step."""
    ours, theirs = foreign(gymnasium.make("Pendulum-v1")), gymnasium.make("Pendulum-v1")
    observation, _ = ours.reset(seed=3)
    expected, _ = theirs.reset(seed=3)
    for action in (0.5, -1.0, 0.0, 1.0):
        assert np.array_equal(observation["state"], expected)
        observation, reward, *_ = ours.step(np.array([action], np.float32))
        expected, expected_reward, *_ = theirs.step(np.array([2.0 * action], np.float32))
        assert reward == pytest.approx(expected_reward)
    assert np.allclose(ours.action_scale, 2.0)


def test_actions_beyond_one_are_clipped_and_reported_as_executed() -> None:
    ours, limit = foreign(gymnasium.make("Pendulum-v1")), foreign(gymnasium.make("Pendulum-v1"))
    ours.reset(seed=1)
    limit.reset(seed=1)
    observation, *_, info = ours.step(np.array([5.0], np.float32))
    at_limit, *_ = limit.step(np.array([1.0], np.float32))
    assert info["executed_action"] == 1.0 and np.array_equal(observation["state"], at_limit["state"])


class Helped(gymnasium.Wrapper[Any, Any, Any, Any]):
    """A person pushes by 1 N m in the second and third of every four steps, as HIL-SERL's environments tell it."""

    steps = 0

    def step(self, action: Any) -> Any:
        self.steps += 1
        if self.steps % 4 not in (2, 3):
            return self.env.step(action)
        seen, *rest, info = self.env.step(np.array([1.0]))
        return seen, *rest, {**info, "intervene_action": np.array([1.0])}


def test_a_person_of_the_environments_own_is_heard() -> None:
    ours = foreign(Helped(gymnasium.make("Pendulum-v1")))
    ours.reset(seed=0)
    infos = [ours.step(np.array([-0.25], np.float32))[-1] for _ in range(6)]
    assert [info["executed_action"].item() for info in infos] == pytest.approx([-0.25, 0.5, 0.5, -0.25, -0.25, 0.5])
    assert [info["source"] is Source.HUMAN for info in infos] == [0, 1, 1, 0, 0, 1]
    assert [info.get("intervention_start", False) for info in infos] == [0, 1, 0, 0, 0, 1]


def test_unbounded_actions_pass_as_they_are() -> None:
    env = gymnasium.make("Pendulum-v1").unwrapped
    env.action_space = gymnasium.spaces.Box(-np.inf, np.inf, (1,), np.float32)
    assert np.array_equal(foreign(env).action_scale, [1.0])


def test_a_dict_observation_becomes_one_flat_state() -> None:
    inner = TimeAwareObservation(gymnasium.make("Pendulum-v1"), flatten=False)
    env = foreign(inner)
    observation, _ = env.reset(seed=2)
    expected, _ = inner.reset(seed=2)
    assert observation["state"].dtype == np.float32 and env.observation_space.contains(observation)
    assert len(env.state_names) == observation["state"].size == 4
    assert np.allclose(observation["state"], [*expected["obs"], *np.atleast_1d(expected["time"])])
    moved, *_ = env.step(np.zeros(1, np.float32))
    assert not np.array_equal(moved["state"], observation["state"])


def test_pictures_stay_apart_from_the_numbers() -> None:
    env = foreign(WithCamera(gymnasium.make("Pendulum-v1")))
    observation, _ = env.reset(seed=0)
    assert set(observation) == {"state", "front"} and observation["state"].shape == (3,)
    assert observation["front"].dtype == np.uint8 and env.observation_space.contains(observation)


def test_time_and_limits_come_from_the_environment() -> None:
    env = foreign(gymnasium.make("Pendulum-v1", max_episode_steps=4))
    assert env.task.spec.max_steps == 4 and env.task.spec.control_hz == 30.0
    env.reset(seed=0)
    ends = [env.step(np.zeros(1, np.float32))[2:4] for _ in range(4)]
    assert ends == [(False, False)] * 3 + [(False, True)], "a timeout is a truncation, not a termination"
    assert env.now() == pytest.approx(4 / 30)


@pytest.mark.parametrize("env_id", ["CartPole-v1", "MountainCar-v0"])
def test_discrete_actions_are_refused(env_id: str) -> None:
    with pytest.raises(ValueError, match=r"only a Box \(n,\) can be learned"):
        foreign(gymnasium.make(env_id))
