"""Base policies that are found by name, ours or other people's: a policy's folder keeps the name, not their weights.

``zero`` stays where it is, ``module:function`` is a script, ``lerobot:FOLDER`` a policy that LeRobot trained.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from robot_rl.base_policy import BasePolicy, ZeroBase
from robot_rl.peoples_code import load_callable
from robot_rl.types import Observation

LEROBOT = "lerobot:"


class NamedBase(BasePolicy, Protocol):
    """A base that can be found again."""

    @property
    def name(self) -> str:
        """What :func:`find_base` finds it by."""
        ...


class ScriptedBase:
    """``module:function`` as a base. ``function()`` is called where an episode begins or a person has driven, and
    returns a callable from an observation to an action (action_dim,) in [-1, 1], whose last entry is the gripper's
    target where there is a gripper. Its version is that of the module's source."""

    def __init__(self, name: str, action_dim: int) -> None:
        """Raises ValueError where there is no such function."""
        self.name, self.action_dim = name, action_dim
        self._make: Callable[[], Callable[[Observation], Any]] = load_callable(name)
        source = inspect.getsource(inspect.getmodule(self._make) or self._make)
        self.version = "scripted-" + hashlib.sha256(f"{name}\n{source}".encode()).hexdigest()[:16]
        self._act: Callable[[Observation], Any] | None = None

    def reset(self) -> None:
        self._act = None

    def flush(self) -> None:
        self._act = None

    def act(self, observation: Observation, deterministic: bool = True) -> np.ndarray:
        """ValueError for an action of another shape, or one that is not finite."""
        if self._act is None:
            self._act = self._make()
        return checked(self._act(observation), self.name, self.action_dim)


def checked(action: Any, name: str, action_dim: int) -> np.ndarray:
    """Another's ``action`` as a base's: float32 (action_dim,), clipped to [-1, 1]. ValueError where it is none."""
    given = np.asarray(action, np.float32)
    if given.shape != (action_dim,) or not np.isfinite(given).all():
        what = f"of shape {given.shape}" if given.shape != (action_dim,) else "that is not finite"
        raise ValueError(f"base '{name}' gave an action {what}: ({action_dim},), finite, is wanted")
    return np.clip(given, -1.0, 1.0)


def find_base(name: str, action_dim: int) -> NamedBase:
    """The base called ``name``. Raises ValueError where there is none."""
    if name == ZeroBase.name:
        return ZeroBase(action_dim)
    if name.startswith(LEROBOT):
        from robot_rl.lerobot_base import LeRobotBase

        return LeRobotBase(name.removeprefix(LEROBOT), action_dim)
    if ":" not in name:
        raise ValueError(f"no base '{name}': give clone, zero, module:function, lerobot:FOLDER, or a policy's folder")
    return ScriptedBase(name, action_dim)
