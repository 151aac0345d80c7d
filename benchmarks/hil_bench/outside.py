"""Another project's learner on the bench: anything that learns in a gymnasium environment.

``robot-rl bench hil --learner module:function --methods NAME`` calls ``function(env, demos, env_steps, seed)``, which
returns a policy: a callable from an observation to an action in [-1, 1]. In ``env`` the person is at the teleop device
and takes over as in every other run: ``info["source"]`` says who drove a step, ``info["executed_action"]`` is what was
done, which a learner should store in place of what it proposed. ``demos`` are episodes, each a list of
:class:`robot_rl.types.Step`. :mod:`benchmarks.hil_bench.example_learner` is one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import gymnasium
import numpy as np

from benchmarks.hil_bench.run import Run, history, rows_of
from benchmarks.hil_bench.score import History
from benchmarks.hil_bench.tasks import DEMOS, TASKS
from hardware.interfaces import Source
from robot_rl.cli import jsonable
from robot_rl.commands import evaluation_summary
from robot_rl.demonstrations import collect_demos
from robot_rl.evaluate import evaluate
from robot_rl.peoples_code import load_callable
from robot_rl.rollout import TRAIN_SEEDS, episode_seed
from robot_rl.types import Episode

Observation = dict[str, np.ndarray]
Learner = Callable[[gymnasium.Env[Any, Any], list[Episode], int, int], Callable[[Observation], np.ndarray]]


class OutOfSteps(RuntimeError):
    """The run has had all of its environment steps: a learner that steps on is stopped by this."""


class Meter(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Keeps the history of a training in ``env``, seeds its episodes from the training stream of ``seed``, and ends it
    after ``env_steps``."""

    def __init__(self, env: gymnasium.Env[Any, Any], env_steps: int, seed: int) -> None:
        super().__init__(env)
        self.left, self._seed, self._began_s = env_steps, seed, time.monotonic()
        self._episodes: list[tuple[int, int, bool, float]] = []
        self._steps = self._driven = 0

    def reset(self, **_: Any) -> tuple[Any, dict[str, Any]]:
        """Whatever seed is asked for: methods meet the same episodes."""
        self._end(False)
        return self.env.reset(seed=episode_seed(self._seed, TRAIN_SEEDS, len(self._episodes)))

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        if self.left == 0:
            raise OutOfSteps("all environment steps are used up")
        seen, reward, terminated, truncated, info = self.env.step(action)
        self.left -= 1
        self._steps += 1
        self._driven += info.get("source") == Source.HUMAN
        if terminated or truncated:
            self._end(bool(info.get("success", info.get("is_success", False))))
        return seen, reward, terminated, truncated, info

    def _end(self, success: bool) -> None:
        if self._steps:
            self._episodes.append((self._steps, self._driven, success, time.monotonic() - self._began_s))
        self._steps = self._driven = 0

    def history(self, hz: float) -> History:
        self._end(False)
        steps, driven, success, wall_s = zip(*self._episodes, strict=True) if self._episodes else ((),) * 4
        return History(steps, driven, success, hz, True, wall_s)


class _Callable:
    """A callable as a policy."""

    def __init__(self, call: Callable[[Observation], np.ndarray]) -> None:
        self._call = call

    def act(self, observation: Observation, deterministic: bool = False) -> np.ndarray:
        return np.clip(np.asarray(self._call(observation), np.float32), -1.0, 1.0)


def run_learner(run: Run, learner: str) -> dict[str, Any]:
    """Train and test ``learner`` (``module:function``) as the run's method; the result of the run. It starts anew where
    it was interrupted, only the demonstrations stay."""
    learn: Learner = load_callable(learner)
    out, seed, env_steps, alone = run.out, run.seed, run.env_steps, TASKS[run.task].spec()
    watched = partial(TASKS[run.task].spec, person=run.person.level, person_seed=run.person.seed)
    demos = collect_demos(out / "demos", watched(takeover="always"), DEMOS, seed)
    env = watched(takeover="no_progress").make()
    hz, meter = env.task.spec.control_hz, Meter(env, env_steps, seed)
    began_s = time.monotonic()
    policy = learn(meter, demos, env_steps, seed)
    wall_s = time.monotonic() - began_s
    env.close()
    test_env = alone.make()
    tested = evaluate(test_env, alone, _Callable(policy), run.tests, seed)
    test_env.close()
    return {
        **run.described(),
        "env_steps": env_steps - meter.left,
        "wall_s": wall_s,
        "tests": {"policy": jsonable(evaluation_summary(tested))},
        "demos": history(rows_of(out / "demos"), hz, watched=True).saved(),
        "training": meter.history(hz).saved(),
    }
