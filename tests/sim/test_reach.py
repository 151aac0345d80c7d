"""Reach, and through it everything between ``gymnasium.make`` and the twin's arm."""

from __future__ import annotations

import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import sim  # noqa: F401  (registers the environments)
from hardware.interfaces import Source
from sim.envs import make
from sim.world import RendererUnavailable


def run(env, policy, steps: int = 50) -> tuple[bool, int]:
    for step in range(steps):
        _, _, terminated, truncated, _ = env.step(policy())
        if terminated or truncated:
            return terminated, step + 1
    return False, steps


@pytest.mark.parametrize("name", ["Reach", "PegInsertion"])
def test_gymnasium_accepts_it(name: str) -> None:
    env = gymnasium.make(f"sim:{name}-v0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Unbounded observations are meant.
        check_env(env.unwrapped, skip_render_check=True)
    env.close()


def test_a_script_reaches_every_goal() -> None:
    env = make("reach")
    for seed in range(10):
        env.reset(seed=seed)
        reached, steps = run(env, lambda: env.task.blind_action(env.latest))
        assert reached and steps < 40
        assert 0.8 < env.task.progress() < 1.0


def test_doing_nothing_reaches_nothing_and_times_out() -> None:
    env = make("reach", max_steps=15)
    env.reset(seed=0)
    for step in range(15):
        _, reward, terminated, truncated, _ = env.step(np.zeros(6, np.float32))
        assert not terminated and reward == 0.0
        assert truncated == (step == 14)


def test_the_person_reaches_every_goal_and_is_named() -> None:
    env = make("reach", person="expert", takeover="always")
    for seed in range(5):
        env.reset(seed=seed)
        _, _, _, _, info = env.step(np.zeros(6, np.float32))
        assert info["source"] is Source.HUMAN and info["intervention_start"]
        assert run(env, lambda: np.zeros(6, np.float32))[0]


def test_a_scripted_reset_arrives_where_a_teleport_would() -> None:
    states = []
    for reset in ("teleport", "scripted"):
        env = make("reach", reset=reset)
        env.reset(seed=3)  # The first of all waits until everything has streamed for a second (S10).
        observation, info = env.reset(seed=4)
        states.append(observation["state"])
        assert (info["reset_s"] > 0.3) == (reset == "scripted")
    assert np.allclose(states[0][:3], states[1][:3], atol=0.1)  # 5 mm in units of 50 mm: the tolerance of a reset.


def test_a_late_command_is_late() -> None:
    """The same first command, 50 ms later, has moved the arm less by the end of the first step."""
    moved = []
    for delay in (0.0, 0.05):
        env = make("reach", command_delay_s=delay)
        env.reset(seed=2)
        env.step(np.array([1, 0, 0, 0, 0, 0], np.float32))
        moved.append(env.latest.arm.ee_twist[0])
    assert moved[0] > 1.5 * moved[1] > 0.0


def test_cameras_become_observations() -> None:
    try:
        env = make("reach", cameras=("front", "wrist"), image_size=48)
    except RendererUnavailable as error:
        pytest.skip(str(error))
    observation, _ = env.reset(seed=0)
    for _ in range(3):
        observation, *_ = env.step(np.array([1, 1, -1, 0, 0, 0], np.float32))
    assert env.observation_space.contains(observation)
    age = env.latest.stamp_s - env.latest.frames["front"].stamp_s
    assert age == pytest.approx(0.03) and observation["wrist"].std() > 5
    env.close()


def test_unknown_names_are_refused_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="did you mean 'front'"):
        make("reach", cameras=("fornt",))
    with pytest.raises(ValueError, match="expert"):
        make("reach", person="exprt")
