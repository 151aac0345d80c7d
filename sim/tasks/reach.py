"""Reach: bring the fingertips to a point in the air."""

from __future__ import annotations

from math import dist

import numpy as np

from hardware.geometry import pose_delta
from hardware.interfaces import Gripper, Pose, RobotObservation, Vector6
from robot_rl.task import TaskSpec
from sim.tasks.base import Setup, TwinTask, deflection, pointing_down

TOLERANCE_M = 0.01


class Reach(TwinTask):
    """Within 10 mm of the goal. The goal is known, so this tests the plumbing rather than the learner."""

    spec = TaskSpec("reach", "Move the fingertips to the red ball.", max_steps=50, gripper=False)
    scene = "reach.xml"
    start_width_m = 0.0
    start_gripper = Gripper.HOLD
    span_m = 0.15

    def draw(self, rng: np.random.Generator) -> Setup:
        return {
            "goal": rng.uniform((0.40, -0.15, 0.08), (0.60, 0.15, 0.28)).tolist(),
            "start": [*rng.uniform((0.45, -0.10, 0.15), (0.55, 0.10, 0.25)).tolist(), 0.0],
        }

    def arrange(self) -> None:
        self.world.place("goal", self.task_frame)

    @property
    def task_frame(self) -> Pose:
        x, y, z = self.numbers("goal")
        return Pose((x, y, z), pointing_down(0.0))

    def success(self, observation: RobotObservation) -> bool:
        return dist(observation.arm.T_base_ee.position_m, self.numbers("goal")) < TOLERANCE_M

    def guide(self, now: float) -> tuple[Vector6, Gripper]:
        delta = pose_delta(self.world.site_pose("ee"), self.task_frame)
        return deflection(delta[:3], delta[3:], near_m=0.04), Gripper.HOLD

    def remaining_m(self) -> float:
        return dist(self.world.site_pose("ee").position_m, self.numbers("goal"))

    def in_funnel(self) -> bool:
        return self.remaining_m() < 0.3

    def blind_action(self, observation: RobotObservation) -> np.ndarray:
        return self.blind_step(observation, self.task_frame)
