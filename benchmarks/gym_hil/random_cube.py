"""``benchmarks.gym_hil.random_cube:PandaPickCubeRandom-v0``: PandaPickCube, the cube elsewhere in each episode.

gym-hil draws the cube's place from NumPy's global generator, which its ``reset(seed=...)`` leaves alone. Here that
generator is seeded with each episode, so that an evaluation's episodes are the declared ones.
"""

from __future__ import annotations

from typing import Any

import gym_hil  # noqa: F401  (importing it registers its environments)
import gymnasium
import numpy as np


class SeededCube(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Seeds NumPy's global generator with the episode's seed."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """As of the environment within."""
        if seed is not None:
            np.random.seed(seed)  # noqa: NPY002
        return self.env.reset(seed=seed)


def make(**kwargs: Any) -> gymnasium.Env[Any, Any]:
    """``gym_hil/PandaPickCube-v0`` with ``random_block_position``."""
    kwargs |= {"random_block_position": True, "disable_env_checker": True}
    return SeededCube(gymnasium.make("gym_hil/PandaPickCube-v0", **kwargs))


gymnasium.register("PandaPickCubeRandom-v0", entry_point=make, max_episode_steps=100)
