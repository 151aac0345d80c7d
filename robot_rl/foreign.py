"""Environments of other projects: any gymnasium id with Box or Dict observations and a Box action."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from hardware.interfaces import Source
from robot_rl.task import TaskSpec


class ForeignTask:
    """The part of the Task seam that an environment without a robot can offer."""

    def __init__(self, spec: TaskSpec):
        self.spec = spec


class ForeignEnv(gymnasium.Env[dict[str, np.ndarray], np.ndarray]):
    """Another project's environment in our terms: ``"state"`` is every low-dimensional entry, flattened in the order of
    its keys; uint8 HWC entries stay cameras; actions in [-1, 1] are scaled to the environment's own bounds. A person of
    the environment's own is heard as in HIL-SERL's: ``info["intervene_action"]`` is what they did instead."""

    latest: None = None
    """There is no robot whose reports could be recorded."""
    classifier: None = None
    """Its own rules say what succeeded."""

    def __init__(self, env: gymnasium.Env[Any, Any], env_id: str):
        if not isinstance(env.action_space, gymnasium.spaces.Box) or len(env.action_space.shape) != 1:
            raise ValueError(f"'{env_id}' has the action space {env.action_space}: only a Box (n,) can be learned")
        self.env = env
        self._low, self._high = env.action_space.low, env.action_space.high
        flat = gymnasium.spaces.flatten_space(self._numbers(env.observation_space))
        self.state_names = tuple(f"state_{i}" for i in range(flat.shape[0]))  # type: ignore[index]
        state = gymnasium.spaces.Box(-np.inf, np.inf, (len(self.state_names),), np.float32)
        seen = gymnasium.spaces.Dict({"state": state, **self._cameras()})
        self.observation_space: gymnasium.spaces.Dict = seen  # type: ignore[assignment]
        dim = env.action_space.shape[0]
        self.action_space: gymnasium.spaces.Box = gymnasium.spaces.Box(-1.0, 1.0, (dim,), np.float32)
        self._bounded = np.isfinite(self._low) & np.isfinite(self._high)
        self.action_scale = np.where(self._bounded, (self._high - self._low) / 2.0, 1.0)
        steps = env.spec.max_episode_steps if env.spec and env.spec.max_episode_steps else 1_000
        hz = float(env.metadata.get("render_fps", 10.0))
        self.task = ForeignTask(TaskSpec(env_id, env_id, steps, control_hz=hz))
        self._steps, self._driven = 0, False

    def now(self) -> float:
        return self._steps / self.task.spec.control_hz

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        observation, _ = self.env.reset(seed=seed, options=options)
        self._driven = False
        return self._observation(observation), {}

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        clipped = np.clip(action, -1.0, 1.0).astype(np.float32)
        own = np.where(self._bounded, self._low + (clipped + 1.0) * self.action_scale, clipped)  # `_ours`, inverted
        observation, reward, terminated, truncated, info = self.env.step(own.astype(self.env.action_space.dtype))
        self._steps += 1
        kept = {"executed_action": clipped, "source": Source.POLICY}
        kept |= {k: info[k] for k in ("success", "is_success", "discarded") if k in info}
        before, self._driven = self._driven, "intervene_action" in info
        if self._driven:
            taken = {"executed_action": self._ours(info["intervene_action"]), "source": Source.HUMAN}
            kept |= taken | {"intervention_start": not before}
        kept |= {"success": info["succeed"]} if "succeed" in info else {}
        return self._observation(observation), float(reward), bool(terminated), bool(truncated), kept

    def close(self) -> None:
        self.env.close()

    def _ours(self, action: np.ndarray) -> np.ndarray:
        """An action of the environment's as one of ours."""
        inside = np.where(self._bounded, (action - self._low) / self.action_scale - 1.0, action)
        return np.clip(inside, -1.0, 1.0).astype(np.float32)

    def _numbers(self, space: gymnasium.Space[Any]) -> gymnasium.Space[Any]:
        if not isinstance(space, gymnasium.spaces.Dict):
            return space
        return gymnasium.spaces.Dict({k: self._numbers(s) for k, s in space.items() if not _is_image(s)})

    def _cameras(self) -> dict[str, gymnasium.Space[Any]]:
        space = self.env.observation_space
        return {k: s for k, s in space.items() if _is_image(s)} if isinstance(space, gymnasium.spaces.Dict) else {}

    def _observation(self, value: Any) -> dict[str, np.ndarray]:
        space = self.env.observation_space
        numbers = self._numbers(space)
        kept = {k: value[k] for k in numbers} if isinstance(numbers, gymnasium.spaces.Dict) else value
        state = np.asarray(gymnasium.spaces.flatten(numbers, kept), np.float32)
        return {"state": state} | {name: value[name] for name in self._cameras()}


def _is_image(space: gymnasium.Space[Any]) -> bool:
    return isinstance(space, gymnasium.spaces.Box) and space.dtype == np.uint8 and len(space.shape) == 3
