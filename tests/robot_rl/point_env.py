"""A small environment of another project: a point on a line, pushed to a goal. Learned in seconds."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np


class PointReach(gymnasium.Env[dict[str, np.ndarray], np.ndarray]):
    """Dict observation (position, goal), Box action in ± 0.2 m: not our bounds on purpose. A step takes ``period_s`` of
    real time, and leaves (goal, position, action), float32, in the file ``log``: that it was taken is known whatever
    happens to the process."""

    def __init__(self, period_s: float = 0.0, log: str = "") -> None:
        self.period_s = period_s
        self._log = None if not log else Path(log).open("ab", buffering=0)  # noqa: SIM115
        box = gymnasium.spaces.Box(-2.0, 2.0, (1,), np.float64)
        self.observation_space = gymnasium.spaces.Dict({"position": box, "goal": box})
        self.action_space = gymnasium.spaces.Box(-0.2, 0.2, (1,), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        super().reset(seed=seed)
        self.position = np.zeros(1)
        self.goal = self.np_random.uniform(-1.0, 1.0, 1)
        return self._observation(), {}

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        time.sleep(self.period_s)
        if self._log is not None:
            self._log.write(np.concatenate([self.goal, self.position, action]).astype(np.float32).tobytes())
        self.position = np.clip(self.position + np.clip(action, -0.2, 0.2), -2.0, 2.0)
        success = bool(abs(self.position - self.goal)[0] < 0.05)
        return self._observation(), float(success), success, False, {"is_success": success}

    def _observation(self) -> dict[str, np.ndarray]:
        return {"position": self.position.copy(), "goal": self.goal.copy()}


class SeenPoint(PointReach):
    """The same, and a picture: a bright column where the goal is."""

    def __init__(self) -> None:
        super().__init__()
        picture = gymnasium.spaces.Box(0, 255, (16, 16, 3), np.uint8)
        self.observation_space = gymnasium.spaces.Dict({**self.observation_space.spaces, "view": picture})

    def _observation(self) -> dict[str, np.ndarray]:
        picture = np.zeros((16, 16, 3), np.uint8)
        picture[:, int(8 + 7 * self.goal[0])] = 255
        return {**super()._observation(), "view": picture}


class ThrownAwayPoint(PointReach):
    """The same; whoever watches throws every second episode away as it ends."""

    episodes = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        self.episodes += 1
        return super().reset(seed=seed, options=options)

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        *stepped, info = super().step(action)
        return (*stepped, info | {"discarded": self.episodes % 2 == 0})  # type: ignore[return-value]


class NoisyPoint(PointReach):
    """The same beside a picture of noise, which cannot be compressed; it does not end before its time."""

    def __init__(self) -> None:
        super().__init__()
        picture = gymnasium.spaces.Box(0, 255, (48, 48, 3), np.uint8)
        self.observation_space = gymnasium.spaces.Dict({**self.observation_space.spaces, "view": picture})

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        observation, reward, _, _, info = super().step(action)
        return observation, reward, False, False, info

    def _observation(self) -> dict[str, np.ndarray]:
        return {**super()._observation(), "view": self.np_random.integers(0, 256, (48, 48, 3), np.uint8)}


gymnasium.register("NoisyPoint-v0", entry_point=f"{__name__}:NoisyPoint", max_episode_steps=12)
gymnasium.register("SeenPoint-v0", entry_point=f"{__name__}:SeenPoint", max_episode_steps=20)
gymnasium.register("ThrownAwayPoint-v0", entry_point=f"{__name__}:ThrownAwayPoint", max_episode_steps=20)
gymnasium.register("PointReach-v0", entry_point=f"{__name__}:PointReach", max_episode_steps=20)


def demonstrate(env: PointReach) -> Callable[[Any], np.ndarray]:
    """A scripted person: straight to the goal, which it reads from the environment itself."""
    return lambda observation: np.clip((env.goal - env.position) / 0.2, -1.0, 1.0)


def give_up(env: PointReach) -> Callable[[Any], np.ndarray]:
    """A demonstrator that never succeeds: it runs away from the goal."""
    return lambda observation: -np.sign(env.goal - env.position)
