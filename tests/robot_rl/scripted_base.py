"""A base policy as a user would write one for :mod:`tests.robot_rl.point_env`: go half of the way to the goal."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from robot_rl.types import Observation

calls: list[str] = []


def halfway() -> Callable[[Observation], np.ndarray]:
    calls.append("made")
    return lambda observation: 0.5 * np.clip((observation["state"][:1] - observation["state"][1:]) / 0.2, -1.0, 1.0)


def wrong() -> Callable[[Observation], np.ndarray]:
    return lambda observation: np.zeros(3)


def lost() -> Callable[[Observation], np.ndarray]:
    return lambda observation: np.full(1, np.nan)
