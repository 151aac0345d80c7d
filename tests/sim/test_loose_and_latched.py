"""What must hold of pick_cube, connector_insertion and pick_and_insert alike; each has a file of its own besides."""

from __future__ import annotations

import numpy as np
import pytest

from hardware.interfaces import GuardMode, Source
from robot_rl.env import RobotEnv
from sim.envs import make

TASKS = ("pick_cube", "connector_insertion", "pick_and_insert")
UNSEEN = {
    # What is true, and the error that must hide a change of it from the policy.
    "connector_insertion": ("hole", "estimate_error"),
    "pick_and_insert": ("hole", "estimate_error"),
    "pick_cube": ("cube", "tracking_error"),
}


def episode(env: RobotEnv, seed: int, blind: bool = False) -> tuple[bool, int]:
    """Success and steps of one episode, driven by the blind script or by whoever sits at the device."""
    env.reset(seed=seed)
    still = np.zeros(env.action_space.shape, np.float32)
    steps = 0
    while True:
        action = env.task.blind_action(env.latest) if blind else still
        _, _, terminated, truncated, info = env.step(action)
        steps += 1
        assert not info["held"], env.robot.guard.mode
        if terminated or truncated:
            return info["success"], steps


@pytest.mark.parametrize("task", TASKS)
def test_same_seed_same_episode_to_the_bit(task: str) -> None:
    def trace(seed: int) -> np.ndarray:
        env = make(task)
        rng = np.random.default_rng(5)
        observations = [env.reset(seed=seed)[0]["state"]]
        for _ in range(12):
            observations.append(env.step(rng.uniform(-1, 1, env.action_space.shape).astype(np.float32))[0]["state"])
        return np.array(observations)

    first = trace(3)
    assert np.array_equal(first, trace(3))
    assert not np.array_equal(first, trace(4))


@pytest.mark.parametrize("task", TASKS)
def test_a_recorded_setup_builds_the_same_scene(task: str) -> None:
    env = make(task)
    _, info = env.reset(seed=11)
    env.reset(seed=12)
    plan = env.task.apply_setup(info["setup"])
    env.robot.reset(plan)
    after = env.task.snapshot()
    arm = slice(1, 1 + env.task.world.model.nq)  # Time leads the vector; it goes on.
    assert np.array_equal(after[arm], info["initial_state"][arm])


@pytest.mark.parametrize("task", TASKS)
def test_the_policy_sees_no_truth(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Moving what is hidden, with what is told kept, changes no number of the observation."""
    env = make(task)
    first, info = env.reset(seed=21)
    truth, error = UNSEEN[task]
    shift = np.array([0.001, -0.0008, 0.01])
    setup = {
        **info["setup"],
        truth: (np.array(info["setup"][truth]) + shift).tolist(),
        error: (np.array(info["setup"][error]) - shift).tolist(),
    }
    monkeypatch.setattr(env.task, "draw", lambda rng: setup)
    second, _ = env.reset(seed=21)
    np.testing.assert_allclose(second["state"], first["state"], atol=2e-4)


@pytest.mark.parametrize("task", TASKS)
def test_an_experienced_person_succeeds_through_the_guard(task: str) -> None:
    env = make(task, person="expert", takeover="always")
    results = [episode(env, seed) for seed in range(500, 506)]
    assert all(success for success, _ in results)
    assert env.robot.teleop.stats.takeovers == 6
    assert env.latest.executed.source == Source.HUMAN and env.latest.executed.mode == GuardMode.RUNNING


@pytest.mark.parametrize(
    ("task", "low", "high"), [("pick_cube", 5, 5), ("connector_insertion", 1, 3), ("pick_and_insert", 0, 3)]
)
def test_the_blind_script_is_a_floor(task: str, low: int, high: int) -> None:
    """It shows what knowing the task frame alone is worth: nearly everything for the cube, little for an insertion."""
    env = make(task)
    assert low <= sum(episode(env, seed, blind=True)[0] for seed in range(700, 705)) <= high


@pytest.mark.parametrize("task", TASKS)
def test_doing_nothing_and_flailing_do_not_succeed(task: str) -> None:
    env = make(task, max_steps=40)
    assert not episode(env, 900)[0]
    env.reset(seed=901)
    rng = np.random.default_rng(0)
    for _ in range(40):
        _, _, terminated, truncated, info = env.step(rng.uniform(-1, 1, env.action_space.shape).astype(np.float32))
        assert not info["success"]
        if terminated or truncated:
            break


@pytest.mark.parametrize("task", TASKS)
def test_progress_rises_from_start_to_success(task: str) -> None:
    env = make(task, person="expert", takeover="always")
    env.reset(seed=503)
    progress = [env.task.progress()]
    terminated = truncated = False
    while not (terminated or truncated):
        _, _, terminated, truncated, _ = env.step(np.zeros(env.action_space.shape, np.float32))
        progress.append(env.task.progress())
    assert terminated
    assert progress[0] < 0.4 and progress[-1] > 0.9
    smooth = np.convolve(progress, np.ones(10) / 10, "valid")
    assert np.min(np.diff(smooth)) > -0.02


@pytest.mark.parametrize("task", TASKS)
def test_a_reset_without_teleporting_moves_the_arm_through_the_guard(task: str) -> None:
    env = make(task, reset="scripted", person="expert", takeover="always")
    _, first = env.reset(seed=1)
    for _ in range(10):
        env.step(np.zeros(env.action_space.shape, np.float32))
    _, info = env.reset(seed=2)
    assert info["reset_s"] > 0.5
    if "hole" in info["setup"]:
        assert info["setup"]["hole"] == first["setup"]["hole"]  # nobody moved the fixture
