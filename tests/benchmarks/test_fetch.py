"""gymnasium-robotics' pick and place with a person at it; skipped but in the environment of ``make bench-outside``."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("gymnasium_robotics", reason="gymnasium-robotics is not installed; `make bench-outside` has it")

from benchmarks.hil_bench.tasks import TASKS
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
        for episode in rollout.episodes(RestingPolicy(4), episodes)
    ]
    env.close()
    return found


@pytest.mark.parametrize(("level", "least"), [("expert", 9), ("novice", 6)])
def test_a_person_can_do_it(level: str, least: int) -> None:
    found = outcomes(TASKS["fetch"].spec(person=level, takeover="always"), 10)
    assert sum(success for success, _ in found) >= least and all(driven > 10 for _, driven in found)


def test_who_gets_nowhere_is_helped_unless_nobody_is_there() -> None:
    helped = TASKS["fetch"].spec(person="expert", takeover="no_progress")
    assert all(driven > 0 for _, driven in outcomes(helped, 4))
    assert not any(driven for _, driven in outcomes(helped, 4, watched=False))
    assert not any(driven for _, driven in outcomes(TASKS["fetch"].spec(), 4))


def test_seeds_decide_all() -> None:
    spec = TASKS["fetch"].spec(person="novice", takeover="no_progress", person_seed=3)
    seen = []
    for _ in range(2):
        env = spec.make()
        env.reset(seed=5)
        seen.append([env.step(np.full(4, 0.1, np.float32))[0]["state"] for _ in range(50)])
        env.close()
    assert np.array_equal(*seen)
