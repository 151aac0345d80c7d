"""A scripted demonstrator for gym-hil's PandaPickCube, from its observation alone: ``--demo-policy scripted:pick_cube``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

STEP_M = 0.025
"""Translation of action 1 in gym-hil."""
TCP, CUBE = slice(15, 18), slice(18, 21)
"""Where gym-hil's flattened state holds tool point and cube, in metres."""


class PickCube:
    """Over the cube, down, close, lift; noisy, as a person is."""

    def __init__(self, seed: int, noise: float = 0.15):
        self.rng, self.noise, self.closing = np.random.default_rng(seed), noise, 0

    def act(self, observation: Mapping[str, np.ndarray], deterministic: bool = True) -> np.ndarray:
        """float32 (4,): x, y, z and the gripper (+1 closes, -1 opens)."""
        state = observation["state"]
        offset = state[CUBE] - state[TCP]
        if np.linalg.norm(state[7:14]) < 1e-3:
            self.closing = 0  # the arm is at rest only where an episode begins
        level = np.linalg.norm(offset[:2])
        if self.closing == 0 and level < 0.012 and offset[2] > -0.012:
            self.closing = 1
        if self.closing:
            self.closing += 1
            move = np.array([0.0, 0.0, 0.0 if self.closing <= 4 else 1.0])
            return np.append(move, 1.0 if self.closing <= 5 else 0.0).astype(np.float32)
        height = 0.0 if level < 0.015 else 0.06
        move = np.clip((offset + [0.0, 0.0, height]) / STEP_M, -1.0, 1.0)
        move += self.noise * self.rng.standard_normal(3)
        return np.append(np.clip(move, -1.0, 1.0), -1.0).astype(np.float32)


def pick_cube(seed: int) -> PickCube:
    return PickCube(seed)
