"""A scripted demonstrator for gym-hil's PandaPickCube: ``--demo-policy benchmarks.gym_hil.scripted:pick_cube``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from robot_rl.types import Observation

STEP_M = 0.025
"""Translation of action 1 in gym-hil."""
TCP, CUBE = slice(15, 18), slice(18, 21)
"""Where gym-hil's flattened state holds tool point and cube, m."""
NOISE = 0.15
"""Standard deviation of the hand's unsteadiness, in actions."""
ABOVE_M, LEVEL_M, GRASP_M = 0.06, 0.015, 0.012
"""Height at which the hand comes over the cube; how well centred before it goes down, and before it closes."""
CLOSING_STEPS = 4


class PickCube:
    """Over the cube, down, close, lift; one episode, from the observation alone."""

    def __init__(self, rng: np.random.Generator):
        self.rng, self.closing = rng, 0

    def __call__(self, observation: Observation) -> np.ndarray:
        """float32 (4,) in [-1, 1]: x, y, z and the gripper (+1 closes, -1 opens)."""
        state = observation["state"]
        offset = state[CUBE] - state[TCP]
        level = np.linalg.norm(offset[:2])
        if self.closing == 0 and level < GRASP_M and offset[2] > -GRASP_M:
            self.closing = 1
        if self.closing:
            self.closing += 1
            lift = 0.0 if self.closing <= CLOSING_STEPS else 1.0
            return np.array([0.0, 0.0, lift, 1.0 if self.closing <= CLOSING_STEPS + 1 else 0.0], np.float32)
        offset[2] += 0.0 if level < LEVEL_M else ABOVE_M
        move = np.clip(offset / STEP_M, -1.0, 1.0) + self.rng.normal(0.0, NOISE, 3)
        return np.append(np.clip(move, -1.0, 1.0), -1.0).astype(np.float32)


def pick_cube(env: Any) -> Callable[[Observation], np.ndarray]:
    """A demonstrator for one episode of ``env``, unsteady in a way that the episode's seed decides."""
    return PickCube(np.random.default_rng(int(env.np_random.integers(2**31))))
