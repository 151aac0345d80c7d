"""Who acts in the first steps of a run, before the policy does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from robot_rl.base_policy import BasePolicy
from robot_rl.types import Observation


@dataclass
class RandomPolicy:
    """Uniform actions, for warm-up without a base."""

    rng: np.random.Generator
    action_dim: int
    base: BasePolicy | None = None

    def act(self, observation: Observation, deterministic: bool = False, base_action: object = None) -> np.ndarray:
        return self.rng.uniform(-1.0, 1.0, self.action_dim).astype(np.float32)


@dataclass
class BaseCollector:
    """``source`` with uniform noise of ± ``noise`` on the arm: collects the first steps. ``base`` is the same policy
    where the actor works over it, and None where it only warms up."""

    source: BasePolicy
    rng: np.random.Generator
    noise: float
    arm_dim: int
    base: BasePolicy | None = None

    def reset(self) -> None:
        self.source.reset()

    def flush(self) -> None:
        self.source.flush()

    def act(
        self, observation: Observation, deterministic: bool = False, base_action: np.ndarray | None = None
    ) -> np.ndarray:
        action = np.array(self.source.act(observation) if base_action is None else base_action)
        if self.noise > 0:
            action[: self.arm_dim] += self.rng.uniform(-self.noise, self.noise, self.arm_dim).astype(np.float32)
        return np.clip(action, -1.0, 1.0)
