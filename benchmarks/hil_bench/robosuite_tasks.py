"""Lift and Square (NutAssemblySquare) of robosuite (arXiv 2009.12293) with a person at them: a Panda takes a cube from
the table, or a square nut by its handle and puts it over a peg.

As their authors made them, with their Cartesian controller at 20 Hz and the low-dimensional observation that
robomimic's learners see. The person's hand goes half as fast as the controller lets a policy go, about 220 mm/s.
"""

from __future__ import annotations

from math import pi
from typing import Any

import gymnasium
import numpy as np

from benchmarks.hil_bench.helped import GraspByEye, Helped, needed
from hardware.geometry import quat_rotate
from hardware.interfaces import ZERO6, Gripper, Pose, Vector6
from sim.tasks.base import yaw_of
from sim.tasks.grasping import fold

HZ, STEP_M, SPEED = 20.0, 0.02, 0.5
STEP_RAD, TURNING = 0.2, 0.4
"""A hand at full deflection turns by so much a step, which is this share of what the controller lets a policy turn."""
CUBE_GRIPPED_M = 0.052
"""The cube has 40 to 44 mm, the open hand 78."""
LIFTED_M = 0.92
"""Where the person takes the cube's centre: the table's top is at 0.8 m, and success asks for 40 mm above it."""
HANDLE_M, HANDLE_GRIPPED_M = 0.054, 0.045
"""Of the nut's handle: where it is from the nut's centre, along the nut's x, and how far apart the fingers on its 32 mm
are at most."""
PEG_M = np.array([0.23, 0.1])
CARRY_M, DOWN_M = 1.0, 0.86
"""Height of the nut's centre on its way (the peg ends at 0.95 m), and where it is on the peg: success asks for 0.87."""
OVER_M, ALIGNED_RAD, CLEAR_M = 0.008, 0.2, 0.02
"""From where on the nut goes down, and how near its height on the way it must be before it goes sideways."""
AROUND_M, AROUND_TOP_M = 0.012, 0.92
"""The nut, let go here, drops."""
TURNED_RAD = 0.2
"""How well the hand is turned to the handle before it goes down."""
FAR_TURNED_RAD = 1.9
"""No hand turns further from where it began."""
SEEN = ("robot0_eef_pos", "robot0_eef_quat", "robot0_gripper_qpos", "object-state")


class LiftEye(GraspByEye):
    def see(self, observation: dict[str, np.ndarray]) -> None:
        fingers, cube = observation["robot0_gripper_qpos"], observation["object-state"][:3]
        goal = np.array([cube[0], cube[1], LIFTED_M])
        self.place(observation["robot0_eef_pos"], cube, goal, float(fingers[0] - fingers[1]))


class SquareEye(GraspByEye):
    """The thing is the nut's handle, larger than a cube; its goal follows from where the nut has to be."""

    LEVEL_M, GRASP_M = 0.02, 0.018
    SPAN_M, FUNNEL_M = 0.8, 0.4

    def see(self, observation: dict[str, np.ndarray]) -> None:
        hand = _pose(observation["robot0_eef_pos"], observation["robot0_eef_quat"])
        nut = _pose(*np.split(observation["object-state"][7:], [3]))
        handle = np.array(nut.position_m) + quat_rotate(nut.quat_xyzw, (HANDLE_M, 0.0, 0.0))
        hand_yaw, nut_yaw, height = yaw_of(hand), yaw_of(nut), nut.position_m[2]
        aside, turn = PEG_M - nut.position_m[:2], fold(-nut_yaw)
        off, up = float(np.hypot(*aside)), CARRY_M - height
        self._around = off < AROUND_M and height < AROUND_TOP_M
        over = off < OVER_M and abs(turn) < ALIGNED_RAD
        if over or (up > CLEAR_M and off < 2.0 * OVER_M):
            way, left_m = np.append(aside, DOWN_M - height), off + height - DOWN_M
        else:
            way, left_m = np.append(aside * (up < CLEAR_M), up), off + abs(up) + CARRY_M - DOWN_M
        left, right = observation["robot0_gripper_qpos"].tolist()
        self.place(np.array(hand.position_m), handle, handle + way, left - right, left_m)
        self._turn = turn if self._held else fold(nut_yaw - hand_yaw, pi)
        if abs(hand_yaw + self._turn) > FAR_TURNED_RAD:
            self._turn -= np.copysign(0.5 * pi if self._held else pi, self._turn)
        self._turned = abs(self._turn) < TURNED_RAD

    def guide(self, now: float) -> tuple[Vector6, Gripper]:
        (x, y, z, *_), gripper = super().guide(now)
        if self._around:  # it drops by itself; held askew it would jam
            return ZERO6, Gripper.OPEN
        return (x, y, z, 0.0, 0.0, float(np.clip(self._turn / STEP_RAD, -1.0, 1.0))), gripper


class Robosuite(gymnasium.Env[dict[str, np.ndarray], np.ndarray]):
    """robosuite's own class ``name``, with gymnasium's interface."""

    def __init__(self, name: str) -> None:
        try:
            import robosuite
        except ModuleNotFoundError:
            raise needed("robosuite") from None
        shown = {"has_renderer": False, "has_offscreen_renderer": False, "use_camera_obs": False}
        self._env = robosuite.make(
            name, robots="Panda", control_freq=HZ, ignore_done=True, hard_reset=False, seed=0, **shown
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


def lift(person: str | None = None, takeover: str = "no_progress", person_seed: int = 0) -> Helped:
    """See :class:`Helped`. ModuleNotFoundError where robosuite is not installed."""
    eye = LiftEye(STEP_M, CUBE_GRIPPED_M)
    return Helped(Robosuite("Lift"), eye, HZ, person, takeover, person_seed, SPEED, opens=-1.0)


def square(person: str | None = None, takeover: str = "no_progress", person_seed: int = 0) -> Helped:
    """As :func:`lift`."""
    eye, env = SquareEye(STEP_M, HANDLE_GRIPPED_M), Robosuite("NutAssemblySquare")
    return Helped(env, eye, HZ, person, takeover, person_seed, SPEED, TURNING, opens=-1.0)


def _pose(position: np.ndarray, quat_xyzw: np.ndarray) -> Pose:
    return Pose(tuple(position.tolist()), tuple(quat_xyzw.tolist()))


gymnasium.register("HilLift-v0", lift, max_episode_steps=200)
gymnasium.register("HilSquare-v0", square, max_episode_steps=500)
