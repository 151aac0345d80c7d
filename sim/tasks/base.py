"""What every task of the twin shares: its world, its resets, and the eyes of the person who helps."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import atan2, cos, sin

import mujoco
import numpy as np

from hardware.geometry import pose_delta, quat_normalize, quat_rotate
from hardware.interfaces import Gripper, Pose, Quaternion, ResetPlan, RobotObservation, Vector3, Vector6
from robot_rl.task import TaskSpec
from sim.kinematics import READY_JOINTS_RAD, InverseKinematics
from sim.world import World

Setup = dict[str, float | list[float]]
"""The numbers drawn for an episode; JSON-able."""


class TwinTask(ABC):
    """A task over a :class:`World` of its own. Implements :class:`robot_rl.task.Task`.

    A subclass gives ``spec``, ``scene`` (and ``tool``, fixed to the hand), says what is random (:meth:`draw`), puts it
    there (:meth:`arrange`), knows when it is done (:meth:`success`), what the policy is told (:attr:`task_frame`), and
    what a person would do (:meth:`guide`, :meth:`remaining_m`, :meth:`in_funnel`).
    """

    spec: TaskSpec
    scene: str
    tool: str | None = None
    files: Mapping[str, bytes] = {}
    """Pictures that scene and tool name."""
    start_width_m: float = 0.08
    """Finger distance at the start of an episode; with a locked gripper, always."""
    start_gripper: Gripper = Gripper.OPEN
    fixed_keys: tuple[str, ...] = ()
    """Numbers of the setup that stay as they were in a reset without teleporting, since nobody moves the fixture."""
    lift_m: float = 0.08
    """In a reset without teleporting the arm first goes straight up by this."""
    span_m: float = 0.1
    """What :meth:`remaining_m` is at a typical start."""

    def __init__(self, meshes: str | None = None) -> None:
        self.world = World(self.scene, self.tool, meshes=meshes, files=self.files)
        self.inverse_kinematics = InverseKinematics(self.world.model)
        self._target = int(self.world.model.body("target").mocapid[0])
        self._setup: Setup = {}
        self._place_arm(READY_JOINTS_RAD)
        self.world.refresh()

    # -- to be written for each task -----------------------------------------------------------------------------------

    @abstractmethod
    def draw(self, rng: np.random.Generator) -> Setup:
        """Numbers for one episode; ``"start"`` (x, y, z, yaw: m, rad) is where the hand begins, pointing down."""

    @abstractmethod
    def arrange(self) -> None:
        """Put fixtures and objects where the setup has them, with :meth:`World.place`."""

    @property
    @abstractmethod
    def task_frame(self) -> Pose:
        """``T_base_task`` as the policy believes it; z along the approach (down), so that the hand's rotation in it is
        small."""

    @abstractmethod
    def success(self, observation: RobotObservation) -> bool:
        """Whether the task is done, by the true scene."""

    @abstractmethod
    def guide(self, now: float) -> tuple[Vector6, Gripper]:
        """What a competent hand would do now, judging by eye: twist in [-1, 1], base axes, 1 = full step rate."""

    @abstractmethod
    def remaining_m(self) -> float:
        """How far from success, as the eye sees it, in metres of motion still to make."""

    @abstractmethod
    def in_funnel(self) -> bool:
        """Whether success is near from here without help."""

    @abstractmethod
    def blind_action(self, observation: RobotObservation) -> np.ndarray:
        """float32 (action_dim,): a script's action that knows only :attr:`task_frame` and the robot's own state."""

    def features(self, observation: RobotObservation) -> np.ndarray:
        """None beyond what the environment gives."""
        return np.zeros(0, np.float32)

    # -- the environment's side ----------------------------------------------------------------------------------------

    @property
    def setup(self) -> Mapping[str, float | list[float]]:
        """The numbers of this episode."""
        return self._setup

    def reset(self, rng: np.random.Generator, teleport: bool) -> ResetPlan:
        """Draw an episode from ``rng``. Without ``teleport`` the arm moves to its start, and the scene stays as it was
        left."""
        drawn = self.draw(rng)
        if teleport:
            return self.apply_setup(drawn)
        first = not self._setup
        plan = self.apply_setup(drawn if first else self.untouched(drawn))
        if first:
            self.arrange()
            self.world.refresh()
        here = self.world.site_pose("ee")
        x, y, z = here.position_m
        above = Pose((x, y, z + self.lift_m), here.quat_xyzw)
        return replace(plan, teleport=None, waypoints=(above,))

    def apply_setup(self, setup: Mapping[str, float | list[float]]) -> ResetPlan:
        """Build an episode again from its recorded numbers."""
        self._setup = copy.deepcopy(dict(setup))
        x, y, z, yaw = self.numbers("start")
        return ResetPlan(Pose((x, y, z), pointing_down(yaw)), self.start_gripper, teleport=self._teleport)

    def untouched(self, drawn: Setup) -> Setup:
        """``drawn`` less what only a person's hands (or a teleport) could bring about."""
        return {**drawn, **{key: self._setup[key] for key in self.fixed_keys}}

    def snapshot(self) -> np.ndarray:
        """The full physics state, float64."""
        return self.world.save_state()

    def render(self, camera: str = "scene", height: int = 360, width: int = 480) -> np.ndarray:
        """uint8 (height, width, 3) RGB."""
        return self.world.render(camera, height, width)

    def views(self) -> np.ndarray:
        """uint8 (360, 840, 3) RGB: the whole cell, and beside it what happens at the fingertips."""
        return np.hstack([self.render("scene", 360, 480), self.render("front", 360, 360)])

    def numbers(self, key: str) -> list[float]:
        """A list of the setup."""
        value = self._setup[key]
        assert isinstance(value, list)
        return value

    # -- what a person sees and does -----------------------------------------------------------------------------------

    def progress(self) -> float:
        """About 0 at the start, 1 at success."""
        return 1.0 - self.remaining_m() / self.span_m

    def lead_m(self) -> Vector3:
        """How far the commanded point leads the hand: consoles draw it, and pressing shows in it."""
        target, ee = self.world.data.mocap_pos[self._target].tolist(), self.world.data.sensordata[6:9].tolist()
        return target[0] - ee[0], target[1] - ee[1], target[2] - ee[2]

    def blind_step(
        self, observation: RobotObservation, goal: Pose, gain: float = 0.5, limit: float = 1.0
    ) -> np.ndarray:
        """float32 (action_dim,): one step of a proportional approach to ``goal``; the gripper, if any, holds."""
        spec = self.spec
        delta = np.array(pose_delta(observation.arm.T_base_ee, goal))
        delta[:3] /= spec.max_step_m
        delta[3:] /= spec.max_step_rad
        action = np.zeros(spec.action_dim, np.float32)
        action[:6] = np.clip(gain * delta, -limit, limit)
        return action

    def _teleport(self) -> None:
        self.world.reset()
        x, y, z, yaw = self.numbers("start")
        self.arrange()  # First: how the tool is held is in the model, and rounds differently in the kinematics.
        self._place_arm(self.inverse_kinematics(Pose((x, y, z), pointing_down(yaw))))
        self.world.refresh()

    def _place_arm(self, joints_rad: Sequence[float] | np.ndarray) -> None:
        """At rest, fingers at the start width, everything that pulls on it slack."""
        world, data = self.world, self.world.data
        data.qpos[:7] = joints_rad
        data.qpos[7:9] = 0.5 * self.start_width_m
        data.qvel[:9] = 0.0
        data.ctrl[:] = 0.0
        data.ctrl[world.model.actuator("gripper").id] = 0.5 * self.start_width_m
        mujoco.mj_kinematics(world.model, data)
        world.place("target", world.site_pose("ee"))


def pointing_down(yaw_rad: float) -> Quaternion:
    """Hand straight down, turned by ``yaw_rad`` about the vertical (base z); at 0 its x axis is the base's."""
    return quat_normalize((cos(0.5 * yaw_rad), sin(0.5 * yaw_rad), 0.0, 0.0))


def yaw_of(pose: Pose) -> float:
    """The yaw of :func:`pointing_down` that comes nearest to the orientation of ``pose``, rad in [-pi, pi]."""
    x, y, _ = quat_rotate(pose.quat_xyzw, (1.0, 0.0, 0.0))
    return atan2(y, x)


def deflection(position_m: Vector3, rotation_rad: Vector3, near_m: float = 0.02, near_rad: float = 0.4) -> Vector6:
    """A hand's twist towards something this far away: full beyond ``near_*``, proportional within. Eye, hand and arm
    together are a quarter of a second late, so that a gain beyond about 2/s would overshoot to and fro."""
    dx, dy, dz = (min(max(d / near_m, -1.0), 1.0) for d in position_m)
    rx, ry, rz = (min(max(r / near_rad, -1.0), 1.0) for r in rotation_rad)
    return dx, dy, dz, rx, ry, rz
