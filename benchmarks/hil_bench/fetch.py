"""FetchPickAndPlace of gymnasium-robotics (arXiv 1802.09464) with a person at it.

As its authors made it, but that a step lasts 0.2 s in place of 0.04: so its 50 mm are the 250 mm/s that our guard
allows beside a person (S5).
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from benchmarks.hil_bench.helped import GraspByEye, Helped, needed

HZ, STEP_M = 5.0, 0.05
GRIPPED_M = 0.056
"""The cube has 50 mm."""


class FetchEye(GraspByEye):
    def see(self, observation: dict[str, np.ndarray]) -> None:
        state = observation["observation"]
        self.place(state[:3], state[3:6], observation["desired_goal"], float(state[9] + state[10]))


class Fetch(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Says ``success`` as we do. Without a time limit: that is kept outside."""

    def __init__(self) -> None:
        try:
            import gymnasium_robotics
        except ModuleNotFoundError:
            raise needed("gymnasium-robotics") from None
        gymnasium.register_envs(gymnasium_robotics)
        super().__init__(gymnasium.make("FetchPickAndPlace-v4").unwrapped)

    def step(self, action: np.ndarray) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        *stepped, info = self.env.step(action)
        return *stepped, info | {"success": bool(info["is_success"])}


def make(person: str | None = None, takeover: str = "no_progress", person_seed: int = 0) -> Helped:
    """See :class:`Helped`. ModuleNotFoundError where gymnasium-robotics is not installed."""
    return Helped(Fetch(), FetchEye(STEP_M, GRIPPED_M), HZ, person, takeover, person_seed)


gymnasium.register("HilFetchPickAndPlace-v0", make, max_episode_steps=50)
