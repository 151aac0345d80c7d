"""Tasks of other projects with a person at them; skipped but in the environment of ``make bench-outside``."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("gymnasium_robotics", reason="not installed; `make bench-outside` has an environment for it")
pytest.importorskip("robosuite", reason="not installed; `make bench-outside` has an environment for it")

from benchmarks.hil_bench.tasks import TASKS, BenchTask
from hardware.interfaces import Source
from robot_rl.demonstrations import RestingPolicy
from robot_rl.rollout import EnvSpec, Rollout


def outcomes(spec: EnvSpec, episodes: int, watched: bool = True) -> list[tuple[bool, int]]:
    """Success and steps that the person drove, of a policy that does nothing."""
    env = spec.make()
    rollout = Rollout(env, spec, "run", 0)
    rollout.watched = watched
    found = [
        (episode.success, sum(step.source == Source.HUMAN for step in episode.steps))
        for episode in rollout.episodes(RestingPolicy(env.action_space.shape[0]), episodes)
    ]
    env.close()
    return found


@pytest.fixture(params=["fetch", "lift", "square"], name="task")
def of_others(request: pytest.FixtureRequest) -> BenchTask:
    return TASKS[request.param]


@pytest.mark.parametrize(("level", "least"), [("expert", 9), ("novice", 6)])
def test_a_person_can_do_it(task: BenchTask, level: str, least: int) -> None:
    found = outcomes(task.spec(person=level, takeover="always"), 10)
    assert sum(success for success, _ in found) >= least and all(driven > 10 for _, driven in found)


def test_who_gets_nowhere_is_helped_unless_nobody_is_there(task: BenchTask) -> None:
    helped = task.spec(person="expert", takeover="no_progress")
    assert all(driven > 0 for _, driven in outcomes(helped, 2))
    assert not any(driven for _, driven in outcomes(helped, 2, watched=False))
    assert not any(driven for _, driven in outcomes(task.spec(), 2))


def test_seeds_decide_all(task: BenchTask) -> None:
    spec = task.spec(person="novice", takeover="no_progress", person_seed=3)
    seen = []
    for _ in range(2):
        env = spec.make()
        env.reset(seed=5)
        seen.append(
            [
                env.step(np.full(env.action_space.shape, 0.1, np.float32))[0]["state"]
                for _ in range(9 * env.task.spec.max_steps // 10)
            ]
        )
        env.close()
    assert np.array_equal(*seen)
