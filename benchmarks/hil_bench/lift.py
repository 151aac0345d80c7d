"""Lift of robosuite (arXiv 2009.12293) with a person at it: a Panda takes a cube from the table, in real time.

As its authors made it, with their Cartesian controller at 20 Hz and the low-dimensional observation that robomimic's
learners see. The person's hand goes half as fast as the controller lets a policy go, about 220 mm/s.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from benchmarks.hil_bench.helped import GraspByEye, Helped, needed

HZ, STEP_M, SPEED = 20.0, 0.02, 0.5
GRIPPED_M = 0.052
"""The cube has 40 to 44 mm, the open hand 78."""
LIFTED_M = 0.92
"""Where the person takes the cube's centre: the table's top is at 0.8 m, and success asks for 40 mm above it."""
SEEN = ("robot0_eef_pos", "robot0_eef_quat", "robot0_gripper_qpos", "object-state")


class LiftEye(GraspByEye):
    def see(self, observation: dict[str, np.ndarray]) -> None:
        fingers, cube = observation["robot0_gripper_qpos"], observation["object-state"][:3]
        goal = np.array([cube[0], cube[1], LIFTED_M])
        self.place(observation["robot0_eef_pos"], cube, goal, float(fingers[0] - fingers[1]))


class Lift(gymnasium.Env[dict[str, np.ndarray], np.ndarray]):
    """robosuite's own class, with gymnasium's interface."""

    def __init__(self) -> None:
        try:
            import robosuite
        except ModuleNotFoundError:
            raise needed("robosuite") from None
        shown = {"has_renderer": False, "has_offscreen_renderer": False, "use_camera_obs": False}
        self._env = robosuite.make(
            "Lift", robots="Panda", control_freq=HZ, ignore_done=True, hard_reset=False, seed=0, **shown
        )
        low, high = self._env.action_spec
        self.action_space = gymnasium.spaces.Box(low.astype(np.float32), high.astype(np.float32))
        boxes = {name: gymnasium.spaces.Box(-np.inf, np.inf, v.shape) for name, v in self._seen().items()}
        self.observation_space = gymnasium.spaces.Dict(boxes)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        # One generator draws all that is random in it, for the arm and for the cube.
        drawn = np.random.default_rng(int(self.np_random.integers(2**31)))
        self._env.rng.bit_generator.state = drawn.bit_generator.state
        self._env.reset()
        return self._seen(), {}

    def step(self, action: np.ndarray) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self._env.step(action)
        return self._seen(), 0.0, False, False, {"success": bool(self._env._check_success())}

    def close(self) -> None:
        self._env.close()

    def _seen(self) -> dict[str, np.ndarray]:
        seen = self._env._get_observations(force_update=True)
        return {name: np.asarray(seen[name], np.float32) for name in SEEN}


def make(person: str | None = None, takeover: str = "no_progress", person_seed: int = 0) -> Helped:
    """See :class:`Helped`. ModuleNotFoundError where robosuite is not installed."""
    return Helped(Lift(), LiftEye(STEP_M, GRIPPED_M), HZ, person, takeover, person_seed, SPEED, opens=-1.0)


gymnasium.register("HilLift-v0", make, max_episode_steps=200)
