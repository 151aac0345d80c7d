"""Evaluation on the twin's reach task: who may drive, what counts, and that sharing out changes nothing."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from robot_rl.evaluate import BlindPolicy, Evaluation, EvaluationProcesses, evaluate
from robot_rl.failures import OUT_OF_TIME, SHOWN, endings, last_picture, picture_of
from robot_rl.perceptrons import MlpPolicy
from robot_rl.rollout import EVALUATION_SEEDS, EnvSpec, Rollout, episode_seed
from robot_rl.types import Observation
from tests.reaching import REACH, save_clone

WATCHED = EnvSpec("sim:Reach-v0", {"person": "expert", "takeover": "always"})


class Still:
    def act(self, observation: Observation, deterministic: bool = False) -> np.ndarray:
        return np.zeros(6, np.float32)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> tuple[MlpPolicy, Path]:
    """A policy that arrives, in memory and saved."""
    folder = tmp_path_factory.mktemp("clone")
    return save_clone(folder), folder


def test_processes_and_one_after_the_other_agree_to_the_step(clone: tuple[MlpPolicy, Path]) -> None:
    """Also where the run's environment had a person: they are taken out, not only told to rest."""
    policy, folder = clone
    alone = evaluate(REACH.make(), REACH, policy, 5, seed=4)
    assert EvaluationProcesses(folder, WATCHED, 5, seed=4, workers=2).result() == alone
    assert alone.success >= 0.6 and len(set(alone.lengths)) > 1, "episodes all alike would prove nothing"


def test_a_series_is_the_same_again_and_another_seed_is_another(clone: tuple[MlpPolicy, Path]) -> None:
    policy, _ = clone
    env = REACH.make()
    first, second, other = (evaluate(env, REACH, policy, 3, seed=seed).lengths for seed in (3, 3, 4))
    assert first == second != other


def test_a_person_who_drives_spoils_an_evaluation() -> None:
    with pytest.raises(RuntimeError, match="a person drove"):
        evaluate(WATCHED.make(), WATCHED, Still(), 1)


def test_a_timeout_is_a_failure() -> None:
    outcome = evaluate(REACH.make(max_steps=2), REACH, Still(), 2)
    assert (outcome.successes, outcome.success, outcome.lengths) == (0, 0.0, (2, 2))
    assert math.isnan(outcome.cycle_s) and outcome.success_low == 0.0 < outcome.success_high


def test_seeds_are_those_of_the_evaluation_stream() -> None:
    scenes = [e.header.setup for e in Rollout(REACH.make(), REACH, "x", 0, EVALUATION_SEEDS).episodes(Still(), 2)]
    seen = []

    class Noting(Still):
        def act(self, observation: Observation, deterministic: bool = False) -> np.ndarray:
            if env.task.setup not in seen:
                seen.append(dict(env.task.setup))
            return super().act(observation)

    env = REACH.make(max_steps=2)
    evaluate(env, REACH, Noting(), 2)
    assert seen == scenes


def test_policies_are_told_whether_to_be_deterministic() -> None:
    told = []

    class Asking(Still):
        def act(self, observation: Observation, deterministic: bool = False) -> np.ndarray:
            told.append(deterministic)
            return super().act(observation)

    for deterministic in (True, False):
        assert evaluate(REACH.make(max_steps=1), REACH, Asking(), 1, 0, deterministic).deterministic == deterministic
    assert told == [True, False]


def test_the_blind_script_arrives_where_it_was_told_the_goal_is() -> None:
    env = REACH.make()
    blind = evaluate(env, REACH, BlindPolicy(env), 3)
    assert blind.success == 1.0 and blind.cycle_s == pytest.approx(np.median(blind.lengths) / 10.0)
    assert EvaluationProcesses("blind", REACH, 3, seed=0, workers=3).result() == blind


def test_an_environment_without_a_blind_script_says_so() -> None:
    with pytest.raises(ValueError, match="'Pendulum-v1' has no blind script"):
        BlindPolicy(EnvSpec("Pendulum-v1").make())


def test_a_process_that_fails_is_named_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no policy in") as caught:
        EvaluationProcesses(tmp_path, REACH, 2, seed=0, workers=1).result()
    assert "\n" not in str(caught.value)


def test_a_process_that_is_killed_is_said_and_the_others_end() -> None:
    test = EvaluationProcesses("blind", REACH, 400, seed=0, workers=2)
    test.processes[0].kill()
    with pytest.raises(RuntimeError, match="an evaluation process failed: it ended with code -9"):
        test.result()
    assert test.processes[1].exitcode == -9
    test.stop()


class Pushing(Still):
    """Down, whatever is there."""

    def act(self, observation: Observation, deterministic: bool = False) -> np.ndarray:
        return np.array([0, 0, -1, 0, 0, 0], np.float32)


def test_failures_say_how_they_ended() -> None:
    late = evaluate(REACH.make(max_steps=2), REACH, Still(), 2, seed=5)
    assert [(f.episode, f.steps, f.ending) for f in late.failures] == [(0, 2, OUT_OF_TIME), (1, 2, OUT_OF_TIME)]
    assert [f.seed for f in late.failures] == [episode_seed(5, EVALUATION_SEEDS, number) for number in (0, 1)]
    assert late.failures[0].best_progress is not None
    pushed = evaluate(REACH.make(max_steps=400), REACH, Pushing(), 1).failures[0]
    assert pushed.ending.startswith("S29: ") and pushed.steps < 400
    assert endings((*late.failures, pushed)) == {OUT_OF_TIME: 2, "S29": 1}


def test_pictures_of_failures_change_nothing_and_are_the_first_ones(
    clone: tuple[MlpPolicy, Path], tmp_path: Path
) -> None:
    """In a test with failures between successes, whose later episodes would show that something was moved."""
    policy, folder = clone
    short = EnvSpec(REACH.id, {"max_steps": sorted(evaluate(REACH.make(), REACH, policy, 8, seed=4).lengths)[3]})
    without = evaluate(short.make(), short, policy, 8, seed=4)
    failed = [failure.episode for failure in without.failures]
    assert 0 < len(failed) < 8
    (tmp_path / "0099.jpg").write_bytes(b"of an earlier test")
    assert EvaluationProcesses(folder, short, 8, seed=4, workers=2, pictures=tmp_path).result() == without
    try:
        views = short.make().task.views()  # type: ignore[union-attr]
    except RuntimeError as error:
        pytest.skip(str(error))
    kept = [picture_of(tmp_path, number) for number in failed[:SHOWN]]
    assert sorted(tmp_path.iterdir()) == kept
    assert all(Image.open(path).size == (views.shape[1], views.shape[0]) for path in kept)
    assert len({path.read_bytes() for path in kept}) == len(kept), "each shows its own episode"


def test_where_nothing_can_be_drawn_the_cameras_of_the_policy_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    env = REACH.make()

    def no_renderer() -> np.ndarray:
        raise RuntimeError("no off-screen OpenGL here")

    monkeypatch.setattr(env.task, "views", no_renderer)
    seen = {
        "state": np.zeros(3, np.float32),
        "front": np.ones((4, 6, 3), np.uint8),
        "hand": np.zeros((4, 4, 3), np.uint8),
    }
    picture = last_picture(env, seen)
    assert picture is not None and picture.shape == (4, 10, 3)
    assert last_picture(env, {"state": seen["state"]}) is None


def test_numbers_of_an_evaluation() -> None:
    """Wilson's interval of 9 in 10 by hand: (0.9 + 1.92/10 ± 1.96 √(0.09/10 + 0.9604/100)) / (1 + 3.84/10)."""
    outcome = Evaluation.of([True] * 9 + [False], [10, 20, 30, 40, 50, 60, 70, 80, 90, 100], 10.0, True)
    assert (outcome.episodes, outcome.successes, outcome.success) == (10, 9, 0.9)
    assert outcome.success_low == pytest.approx(0.5958, abs=1e-3)
    assert outcome.success_high == pytest.approx(0.9821, abs=1e-3)
    assert outcome.cycle_s == 5.0, "the median of the successes alone"
    assert outcome.mean_steps == 55.0
    none = Evaluation.of([], [], 10.0, True)
    assert none.success == 0.0 and math.isnan(none.mean_steps)
