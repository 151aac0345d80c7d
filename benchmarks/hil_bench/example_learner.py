"""A learner for :mod:`benchmarks.hil_bench.outside`, as short as one can be: do what the person did where it was most
alike. It acts among what was demonstrated and adds each step that the person drove (DAgger with nearest neighbours)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np

from benchmarks.hil_bench.outside import Observation, OutOfSteps
from hardware.interfaces import Source
from robot_rl.types import Episode

NEIGHBOURS = 5


def learn(
    env: gymnasium.Env[Any, Any], demos: list[Episode], env_steps: int, seed: int
) -> Callable[[Observation], np.ndarray]:
    states = [step.observation["state"] for episode in demos for step in episode.steps]
    actions = [step.executed_action for episode in demos for step in episode.steps]
    scale = np.std(states, axis=0) + 1e-3
    known, done = np.array(states) / scale, np.array(actions)

    def act(observation: Observation) -> np.ndarray:
        distance = np.square(known - observation["state"] / scale).sum(axis=1)
        return done[np.argpartition(distance, NEIGHBOURS)[:NEIGHBOURS]].mean(axis=0)

    try:
        while True:
            observation, _ = env.reset()
            over, shown = False, []
            while not over:
                following, _, terminated, truncated, info = env.step(act(observation))
                if info["source"] == Source.HUMAN:
                    shown.append((observation["state"] / scale, info["executed_action"]))
                observation, over = following, terminated or truncated
            if shown:
                known = np.concatenate([known, [state for state, _ in shown]])
                done = np.concatenate([done, [action for _, action in shown]])
    except OutOfSteps:
        return act
