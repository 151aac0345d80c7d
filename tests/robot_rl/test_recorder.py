"""The recorder: a loop that hands over never waits, and hears of a disk that fails before its next step."""

from __future__ import annotations

from pathlib import Path
from threading import Event

import numpy as np
import pytest

from robot_rl import recorder
from robot_rl.episode_writer import EpisodeWriter
from robot_rl.episodes import EpisodeStore
from robot_rl.recorder import Recorder
from robot_rl.rollout import EnvSpec, Rollout
from tests.robot_rl.test_episodes import make_episode, same

POINT = EnvSpec("tests.robot_rl.point_env:PointReach-v0")


class Still:
    def act(self, observation: object, deterministic: bool = False) -> np.ndarray:
        return np.zeros(1, np.float32)


def test_what_was_handed_over_is_filed_in_order(tmp_path: Path) -> None:
    store, episodes = EpisodeStore(tmp_path), [make_episode(episode=number) for number in range(3)]
    recording = Recorder(store)
    for episode in episodes:
        recording.begin(episode.header)
        for step in episode.steps:
            recording.add(step)
        recording.finish(episode.final_observation, episode.final_base_action)
    recording.flush()
    assert all(same(store.read(row), episode) for row, episode in zip(store.list(), episodes, strict=True))
    store.close()


def test_a_loop_does_not_wait_for_a_disk_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps wait in memory, up to a bound; then the next is not taken."""
    woken, write = Event(), EpisodeWriter.add

    def hang(*arguments: object) -> None:
        woken.wait()
        write(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(EpisodeWriter, "add", hang)
    monkeypatch.setattr(recorder, "MAX_WAITING", 30)
    store, env = EpisodeStore(tmp_path), POINT.make()
    rollout = Rollout(env, POINT, "run", 0, store=store)
    with pytest.raises(OSError, match="too slow: 30 steps wait"):
        for _ in range(100):
            rollout.step(Still())
    woken.set()
    rollout.abort()
    assert sum(row.steps for row in store.list()) > 20
    store.close()


def test_a_step_that_could_not_be_kept_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    store, env = EpisodeStore(tmp_path), POINT.make()
    rollout = Rollout(env, POINT, "run", 0, store=store)
    step, _ = rollout.step(Still())
    rollout.flush()
    with monkeypatch.context() as patched:
        patched.setattr(EpisodeWriter, "add", full)
        rollout.step(Still())
        with pytest.raises(OSError, match="No space left"):
            rollout.flush()
    before = env.now()
    with pytest.raises(OSError, match="No space left"):
        rollout.step(Still())
    assert env.now() == before
    rollout.abort()
    step, _ = rollout.step(Still())
    assert (step.id.episode, step.id.step) == (1, 0), "after the episode was given up the next begins"
    rollout.abort()
    store.close()
