"""Rollouts over real environments: identities, seeds, labels, episode ends; environments and functions by name."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from hardware.interfaces import Source
from robot_rl.env import RobotEnv
from robot_rl.episodes import EpisodeStore
from robot_rl.foreign import ForeignEnv
from robot_rl.peoples_code import load_callable
from robot_rl.rollout import (
    DEMO_SEEDS,
    EVALUATION_SEEDS,
    TRAIN_SEEDS,
    EnvSpec,
    Rollout,
    episode_seed,
)
from robot_rl.types import Observation

POINT = EnvSpec("tests.robot_rl.point_env:PointReach-v0")
REACH = EnvSpec("sim:Reach-v0")
FIRST_TEST_SEEDS = [993632895, 1961547765, 1425400168]


class Still:
    """Proposes nothing."""

    def __init__(self, action_dim: int):
        self.action = np.zeros(action_dim, np.float32)

    def act(self, observation: Observation, deterministic: bool = False) -> np.ndarray:
        return self.action


def rollout(spec: EnvSpec = POINT, **options: object) -> Rollout:
    return Rollout(spec.make(), spec, "run", 0, **options)  # type: ignore[arg-type]


# -- seeds -------------------------------------------------------------------------------------------------------------


def test_streams_and_runs_never_share_an_episode_seed() -> None:
    streams = itertools.product(range(3), (TRAIN_SEEDS, DEMO_SEEDS, EVALUATION_SEEDS))
    seeds = [episode_seed(seed, stream, episode) for seed, stream in streams for episode in range(300)]
    assert len(set(seeds)) == len(seeds)


def test_the_declared_test_is_the_same_on_every_machine() -> None:
    assert [episode_seed(0, EVALUATION_SEEDS, episode) for episode in range(3)] == FIRST_TEST_SEEDS


def test_a_rollout_resets_with_the_seeds_of_its_stream() -> None:
    for stream in (TRAIN_SEEDS, EVALUATION_SEEDS):
        headers = [e.header for e in rollout(stream=stream, first_episode=5).episodes(Still(1), 3)]
        assert [h.episode for h in headers] == [5, 6, 7]
        assert [h.seed for h in headers] == [episode_seed(0, stream, n) for n in (5, 6, 7)]


def test_a_part_of_a_series_sees_the_same_scenes_as_the_whole() -> None:
    whole = [e.header.setup for e in rollout(REACH, stream=EVALUATION_SEEDS).episodes(Still(6), 3)]
    part = [e.header.setup for e in rollout(REACH, stream=EVALUATION_SEEDS, first_episode=2).episodes(Still(6), 1)]
    assert part == whole[2:] and whole[0] != whole[1]


# -- records -----------------------------------------------------------------------------------------------------------


def test_steps_are_numbered_and_the_final_observation_is_the_true_one() -> None:
    """The observation after the last step belongs to this episode, not to the reset that follows."""
    going = rollout()
    first, second = going.episodes(Still(1), 2)
    assert [s.id.step for s in first.steps] == list(range(20)) and first.steps[0].id.episode == 0
    assert second.steps[0].id.episode == 1
    assert np.array_equal(first.final_observation["state"], first.steps[-1].observation["state"]), "nothing moved"
    assert not np.array_equal(first.final_observation["state"], second.steps[0].observation["state"])
    last = first.steps[-1]
    assert last.truncated and not last.terminated and not first.success


@pytest.mark.parametrize("label", [Source.POLICY, Source.BASE, Source.DEMO])
def test_the_policys_steps_count_for_whom_they_are_labelled(label: Source) -> None:
    (episode,) = rollout().episodes(Still(1), 1, label=label)
    assert {s.source for s in episode.steps} == {label}


def test_a_person_who_demonstrates_is_a_demo_and_one_who_corrects_is_human() -> None:
    spec = EnvSpec("sim:Reach-v0", {"person": "expert", "takeover": "always"})
    for label, expected in ((Source.DEMO, Source.DEMO), (Source.POLICY, Source.HUMAN)):
        (episode,) = rollout(spec).episodes(Still(6), 1, label=label)
        assert episode.success and episode.steps[-1].source == expected
        assert (episode.intervened_steps > 0) == (label == Source.POLICY)


def test_executed_and_proposed_actions_are_both_kept() -> None:
    policy = Still(1)
    policy.action = np.array([5.0], np.float32)
    step, _ = rollout().step(policy)
    assert step.proposed_action == 5.0 and step.executed_action == 1.0


def test_an_aborted_episode_is_not_counted_and_its_number_not_reused(tmp_path: Path) -> None:
    store = EpisodeStore(tmp_path)
    going = rollout(store=store)
    going.step(Still(1))
    going.abort()
    (episode,) = going.episodes(Still(1), 1)
    assert episode.header.episode == 1 and len(episode.steps) == 20
    assert [row.episode for row in store.list()] == [1]
    store.close()


# -- environments and functions by name --------------------------------------------------------------------------------


def test_our_environments_come_as_they_are_and_others_wrapped() -> None:
    assert isinstance(REACH.make(), RobotEnv)
    assert isinstance(POINT.make(), ForeignEnv)


def test_changes_override_what_the_spec_says() -> None:
    env = EnvSpec("sim:Reach-v0", {"max_steps": 7}).make(max_steps=3)
    assert isinstance(env, RobotEnv) and env.max_steps == 3


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (EnvSpec("Nothing-v0"), "no environment 'Nothing-v0'"),
        (EnvSpec("no_such_module:Nothing-v0"), "No module named 'no_such_module'"),
        (EnvSpec("no_such_module/Nothing-v0"), "No module named 'no_such_module'"),
        (EnvSpec("Pendulum-v1", {"gravitas": 1}), "unexpected keyword argument 'gravitas'"),
        (EnvSpec("CartPole-v1"), "can be learned"),
    ],
)
def test_an_environment_that_is_not_there_is_one_line(spec: EnvSpec, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        spec.make()
    assert spec.id in str(caught.value) and "\n" not in str(caught.value)


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A person's folder, with a module of theirs, as the current one."""
    (tmp_path / "lab_envs.py").write_text(
        "import gymnasium\n"
        "gymnasium.register('lab_envs/Swing-v0', 'gymnasium.envs.classic_control:PendulumEnv', max_episode_steps=5)\n"
        "def swing(env):\n    return lambda observation: [0.0]\n"
        "STRENGTH = 3\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "lab_envs", raising=False)
    yield tmp_path
    sys.modules.pop("lab_envs", None)
    gymnasium.registry.pop("lab_envs/Swing-v0", None)


def test_the_namespace_of_an_id_is_imported(own_folder: Path) -> None:
    env = EnvSpec("lab_envs/Swing-v0").make()
    assert isinstance(env, ForeignEnv) and env.task.spec.max_steps == 5


def test_a_function_in_the_current_folder_is_found(own_folder: Path) -> None:
    assert load_callable("lab_envs:swing")(None)(None) == [0.0]


@pytest.mark.parametrize("path", ["lab_envs:sway", "lab_envs", "nowhere:swing", "", ":swing", "lab_envs:STRENGTH"])
def test_what_is_no_function_is_refused_by_name(own_folder: Path, path: str) -> None:
    with pytest.raises(ValueError, match="give it as module:function"):
        load_callable(path)
