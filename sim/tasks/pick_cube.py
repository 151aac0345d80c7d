"""Pick cube: grasp a loose cube and hold it up."""

from __future__ import annotations

from collections.abc import Mapping
from math import dist, hypot, pi

import numpy as np

from hardware.interfaces import Gripper, Pose, ResetPlan, RobotObservation, Vector6
from robot_rl.task import TaskSpec
from sim.tasks.base import Setup, deflection, pointing_down
from sim.tasks.grasping import GraspTask, level_error

HALF_M = 0.02
LIFT_M = 0.10
HOLD_S = 0.5
CARRY_M = 0.13
"""Where person and script carry it: a little higher than asked."""
REACHABLE_M = 0.25
MAX_TILT_RAD = 0.35


class PickCube(GraspTask):
    """Lift a 40 mm cube by 10 cm and hold it there for half a second.

    The cube lies within ± 50 mm and ± 30°. A tracker follows it, wrong by a constant of up to 3 mm and 3° an episode;
    the task frame is where it saw the cube at the start.
    """

    spec = TaskSpec(
        "pick_cube",
        "Pick up the red cube and hold it up.",
        max_steps=100,
        feature_names=("cube_x", "cube_y", "cube_z", "cube_yaw"),
    )
    scene = "pick_cube.xml"
    loose = "cube"
    held_widths_m = (0.034, 0.046)
    span_m = 0.28

    def __init__(self, meshes: str | None = None) -> None:
        super().__init__(meshes)
        self._raised_since_s: float | None = None

    def draw(self, rng: np.random.Generator) -> Setup:
        return {
            "cube": rng.uniform((0.45, -0.05, -pi / 6), (0.55, 0.05, pi / 6)).tolist(),
            "tracking_error": rng.uniform((-0.003, -0.003, -pi / 60), (0.003, 0.003, pi / 60)).tolist(),
            "start": rng.uniform((0.47, -0.03, 0.12, -0.1), (0.53, 0.03, 0.16, 0.1)).tolist(),
        }

    def arrange(self) -> None:
        x, y, yaw = self.numbers("cube")
        self.world.place("cube", Pose((x, y, HALF_M), pointing_down(yaw)))

    def apply_setup(self, setup: Mapping[str, float | list[float]]) -> ResetPlan:
        self._raised_since_s = None
        return super().apply_setup(setup)

    @property
    def tracking_error(self) -> tuple[float, float, float]:
        dx, dy, dyaw = self.numbers("tracking_error")
        return dx, dy, dyaw

    @property
    def task_frame(self) -> Pose:
        (x, y, yaw), (dx, dy, dyaw) = self.numbers("cube"), self.tracking_error
        return Pose((x + dx, y + dy, HALF_M), pointing_down(yaw + dyaw))

    def success(self, observation: RobotObservation) -> bool:
        cube = self.object_pose().position_m
        in_hand = dist(cube, observation.arm.T_base_ee.position_m) < 2.0 * HALF_M  # off centre is held as well
        if not in_hand or cube[2] < HALF_M + LIFT_M:
            self._raised_since_s = None
            return False
        if self._raised_since_s is None:
            self._raised_since_s = observation.stamp_s
        return observation.stamp_s - self._raised_since_s >= HOLD_S - 1e-6

    def guide(self, now: float) -> tuple[Vector6, Gripper]:
        ee, cube = self.world.site_pose("ee"), self.object_pose()
        if not self.in_hand(ee, cube):
            return self.reach_for(ee, cube)
        up = HALF_M + CARRY_M - ee.position_m[2]
        return deflection((0.0, 0.0, up), (*level_error(ee.quat_xyzw), 0.0)), Gripper.CLOSE

    def remaining_m(self) -> float:
        ee, cube = self.world.site_pose("ee"), self.object_pose()
        if self.in_hand(ee, cube):
            return max(0.0, HALF_M + LIFT_M - cube.position_m[2])
        return dist(ee.position_m, cube.position_m) + LIFT_M + 0.03

    def in_funnel(self) -> bool:
        ee = self.world.site_pose("ee")
        near = dist(ee.position_m, self.object_pose().position_m) < REACHABLE_M
        return near and hypot(*level_error(ee.quat_xyzw)) < MAX_TILT_RAD

    def blind_action(self, observation: RobotObservation) -> np.ndarray:
        frame, arm = self.task_frame, observation.arm
        x, y, z = frame.position_m
        closed = observation.executed.gripper == Gripper.CLOSE
        holding = closed and arm.gripper_width_m < self.held_widths_m[1]
        action = self.blind_step(observation, Pose((x, y, z + CARRY_M), frame.quat_xyzw) if holding else frame)
        action[6] = -1.0 if closed or dist(arm.T_base_ee.position_m, frame.position_m) < 0.005 else 1.0
        return action
