"""FetchPickAndPlace of gymnasium-robotics (arXiv 1802.09464) with a person at it: a task that nobody here wrote.

Three things are as a robot beside a person asks for them: a step lasts 0.2 s in place of 0.04, which makes its 50 mm
the 250 mm/s that our guard allows (S5); an episode ends with success; and that pays 1, all else 0. Whoever drives
instead of the policy is told as HIL-SERL's environments tell it, by ``info["intervene_action"]``.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from hardware.interfaces import Gripper, Vector6
from sim.scripted_human import ScriptedHuman

HZ, POLLS = 5.0, 4
"""Steps a second; looks at the person's hand in each."""
ABOVE_M, LEVEL_M, GRASP_M = 0.06, 0.012, 0.015
"""How high the hand comes over the cube; how well centred before it goes down, and before it closes."""
GRASPED_M = 0.056
"""Distance of the fingers below which there is a grip: the cube has 50 mm."""
STEP_M = 0.05
SPAN_M = 0.3
FUNNEL_M = 0.35


class PickAndPlaceByEye:
    """What a person sees of the task and would do. Implements :class:`sim.scripted_human.Guided`."""

    def see(self, observation: dict[str, np.ndarray]) -> None:
        """What the environment shows now."""
        state = observation["observation"]
        self._hand, self._cube, self._fingers_m = state[:3], state[3:6], float(state[9] + state[10])
        self._goal = observation["desired_goal"]

    @property
    def _held(self) -> bool:
        return self._fingers_m < GRASPED_M and float(np.linalg.norm(self._cube - self._hand)) < 2.0 * GRASP_M

    def guide(self, now: float) -> tuple[Vector6, Gripper]:
        way, offset = self._goal - self._cube, self._cube - self._hand
        gripper = Gripper.CLOSE
        if not self._held:
            over = float(np.hypot(*offset[:2]))
            way = offset if over < LEVEL_M else offset + np.array([0.0, 0.0, ABOVE_M])
            gripper = Gripper.CLOSE if float(np.linalg.norm(offset)) < GRASP_M else Gripper.OPEN
        x, y, z = np.clip(way / STEP_M, -1.0, 1.0).tolist()
        return (x, y, z, 0.0, 0.0, 0.0), gripper

    def progress(self) -> float:
        far = self._goal - self._cube if self._held else self._cube - self._hand
        return 0.5 * (1.0 + self._held - min(1.0, float(np.linalg.norm(far)) / SPAN_M))

    def in_funnel(self) -> bool:
        return float(np.linalg.norm(self._cube - self._hand)) < FUNNEL_M


class PickAndPlace(gymnasium.Wrapper[Any, Any, Any, Any]):
    """``person`` (``expert``, ``intermediate``, ``novice``), ``takeover`` and ``person_seed`` as in the twin. Raises
    ``ValueError`` for an unknown name, ``ModuleNotFoundError`` where gymnasium-robotics is not installed."""

    def __init__(self, person: str | None = None, takeover: str = "no_progress", person_seed: int = 0) -> None:
        try:
            import gymnasium_robotics
        except ModuleNotFoundError:
            raise ModuleNotFoundError(
                "it needs gymnasium-robotics and an older MuJoCo: `make bench-outside` has an environment for it"
            ) from None
        gymnasium.register_envs(gymnasium_robotics)
        super().__init__(gymnasium.make("FetchPickAndPlace-v4").unwrapped)  # Its time limit is ours to keep.
        self.metadata = {**self.env.metadata, "render_fps": HZ}
        self._eye = PickAndPlaceByEye()
        self._person = None if person is None else ScriptedHuman.of_level(self._eye, person, takeover, person_seed)
        self._steps, self._gripper = 0, 0.0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """``options["watched"]`` False: the person is away."""
        seen, info = self.env.reset(seed=seed)
        self._steps, self._gripper = 0, 0.0
        self._eye.see(seen)
        if self._person is not None:
            self._person.rest()
            person_seed = int(self.np_random.integers(2**31))
            if (options or {}).get("watched", True):
                self._person.new_episode(person_seed)
        return seen, info

    def step(self, action: np.ndarray) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        taken = self._by_hand()
        seen, _, _, truncated, info = self.env.step(action if taken is None else taken)
        self._steps += 1
        self._eye.see(seen)
        success = bool(info["is_success"])
        info |= {"success": success} | ({} if taken is None else {"intervene_action": taken})
        return seen, float(success), success, truncated, info

    def _by_hand(self) -> np.ndarray | None:
        """The person's action, where they drive at the end of this step."""
        if self._person is None:
            return None
        samples = [self._person.read((self._steps + n / POLLS) / HZ) for n in range(POLLS)]
        driven = [sample for sample in samples if sample.takeover]
        if not samples[-1].takeover:
            return None
        for sample in driven:
            self._gripper = {Gripper.OPEN: 1.0, Gripper.CLOSE: -1.0}.get(sample.gripper, self._gripper)
        hand = np.mean([sample.twist[:3] for sample in driven], axis=0)
        return np.array([*hand, self._gripper], np.float32)


gymnasium.register("HilFetchPickAndPlace-v0", PickAndPlace, max_episode_steps=50)
