"""Pick and insert: take a peg that stands loose on the table, carry it, insert it. Long and sparse.

A tracker follows the peg with a constant error of up to 2 mm and 3° an episode; the hole is known to 3 mm and 3°. The
peg is held by friction alone: knocked over or dropped it is lost, and pressed askew it turns in the hand.
"""

from __future__ import annotations

from math import cos, dist, hypot, radians, sin

import numpy as np

from hardware.geometry import pose_delta
from hardware.interfaces import Gripper, Pose, RobotObservation, Vector3, Vector6
from robot_rl.task import TaskSpec
from sim.tasks.base import Setup, deflection, pointing_down
from sim.tasks.grasping import GraspTask, face_yaw, fold, level_error

PEG_HALF_M = 0.03
SURFACE_M = 0.024
SUCCESS_DEPTH_M = 0.018
IN_HOLE_M = 0.003
CARRY_M = 0.025
"""Of the tip over the hole's surface, on the way."""
CLEAR_M = 0.012
"""Below this the tip might hit the fixture: no moving sideways."""
OVER_M = 0.0025
INSERTION = 0.2
"""Deflection downwards into the hole."""
PRESS_LEAD_M = 0.006
SEARCH_M, SEARCH_RAD_S = 0.0015, 4.0
NEAR_M, FINE = 2.0 * IN_HOLE_M, 4.0
"""So near the hole a millimetre counts as several on the way: who counts them alike never hands back in time."""
MAX_LEAN_RAD = 0.35
"""A hand leans no further to right a peg that turned in it."""
MAX_TILT_RAD = 0.35
REACHABLE_M = 0.3


class PickAndInsert(GraspTask):
    """Peg 20 mm square and 60 mm long, 0.5 mm of clearance a side. Success: the tip 18 mm down in the hole."""

    spec = TaskSpec(
        "pick_and_insert",
        "Pick up the square peg and insert it into the hole.",
        max_steps=250,
        feature_names=("peg_x", "peg_y", "peg_z", "peg_yaw"),
        position_scale_m=0.1,
    )
    scene = "pick_and_insert.xml"
    loose = "peg"
    held_widths_m = (0.016, 0.025)
    grip_offset_m = 0.012
    fixed_keys = ("hole",)
    span_m = 0.53

    def draw(self, rng: np.random.Generator) -> Setup:
        def around(middle: tuple[float, ...], ranges: tuple[float, ...]) -> list[float]:
            return (np.array(middle) + rng.uniform(-1.0, 1.0, len(ranges)) * ranges).tolist()

        return {
            "peg": around((0.5, -0.10, 0.0), (0.04, 0.03, radians(15.0))),
            "hole": around((0.5, 0.10, 0.0), (0.03, 0.03, radians(10.0))),
            "tracking_error": around((0.0, 0.0, 0.0), (0.002, 0.002, radians(3.0))),
            "estimate_error": around((0.0, 0.0, 0.0), (0.003, 0.003, radians(3.0))),
            "sight_error": around((0.0, 0.0, 0.0), (0.0008, 0.0008, radians(1.0))),
            "start": around((0.5, -0.02, 0.17, 0.0), (0.02, 0.03, 0.02, 0.1)),
        }

    def arrange(self) -> None:
        x, y, yaw = self.numbers("hole")
        self.world.place("fixture", Pose((x, y, SURFACE_M), (0.0, 0.0, sin(0.5 * yaw), cos(0.5 * yaw))))
        x, y, yaw = self.numbers("peg")
        self.world.place("peg", Pose((x, y, PEG_HALF_M), pointing_down(yaw)))

    @property
    def tracking_error(self) -> tuple[float, float, float]:
        dx, dy, dyaw = self.numbers("tracking_error")
        return dx, dy, dyaw

    @property
    def task_frame(self) -> Pose:
        """Where the hand would be with the tip of a well gripped peg touching the surface over the hole."""
        (x, y, yaw), (dx, dy, dyaw) = self.numbers("hole"), self.numbers("estimate_error")
        return Pose((x + dx, y + dy, SURFACE_M + PEG_HALF_M + self.grip_offset_m), pointing_down(yaw + dyaw))

    def success(self, observation: RobotObservation) -> bool:
        x, y, z = self._tip()
        aside = dist((x, y), self.numbers("hole")[:2])
        return aside < IN_HOLE_M and SURFACE_M - z >= SUCCESS_DEPTH_M

    # -- the person ----------------------------------------------------------------------------------------------------

    def guide(self, now: float) -> tuple[Vector6, Gripper]:
        """Take it, lift it, carry it over the hole, turn it, and down."""
        ee, peg = self.world.site_pose("ee"), self.object_pose()
        if not self.in_hand(ee, peg):
            return self.reach_for(ee, peg)
        dx, dy, above, turn = self._seen(peg)
        lean = level_error(ee.quat_xyzw)
        rotation = (*(lean if hypot(*lean) > MAX_LEAN_RAD else level_error(peg.quat_xyzw)), turn)
        aligned = hypot(dx, dy) < OVER_M and abs(turn) < radians(3.0)
        if aligned or (above < -0.001 and hypot(dx, dy) < 2.0 * IN_HOLE_M):
            lead = -self.lead_m()[2]
            if above > -0.003 and lead > 0.5 * PRESS_LEAD_M:  # it stands on the edge: feel around
                dx, dy = dx + SEARCH_M * cos(SEARCH_RAD_S * now), dy + SEARCH_M * sin(SEARCH_RAD_S * now)
            press = PRESS_LEAD_M - lead
            down = -INSERTION * min(max(press / PRESS_LEAD_M, -1.0), 1.0)
            x, y, _, *rotations = deflection((dx, dy, 0.0), rotation)
            return (x, y, down, *rotations), Gripper.CLOSE  # type: ignore[return-value]
        over = CLEAR_M if hypot(dx, dy) < 0.02 else CARRY_M
        clear = above > CLEAR_M - 0.004
        lateral = (dx, dy) if clear else (0.0, 0.0)
        return deflection((*lateral, over - above), rotation, near_m=0.03), Gripper.CLOSE

    def remaining_m(self) -> float:
        ee, peg = self.world.site_pose("ee"), self.object_pose()
        dx, dy, above, _ = self._seen(peg)
        aside = hypot(dx, dy)
        if aside < NEAR_M:
            return FINE * (aside + SUCCESS_DEPTH_M + max(min(above, 0.0), -SUCCESS_DEPTH_M)) + max(above, 0.0)
        carry = aside - NEAR_M + max(CARRY_M - above, 0.0) + CARRY_M + FINE * (NEAR_M + SUCCESS_DEPTH_M)
        return carry if self.in_hand(ee, peg) else carry + 0.03 + dist(ee.position_m, self.grip_point(peg))

    def in_funnel(self) -> bool:
        ee, peg = self.world.site_pose("ee"), self.object_pose()
        upright = hypot(*level_error(peg.quat_xyzw)) < MAX_TILT_RAD and hypot(*level_error(ee.quat_xyzw)) < MAX_TILT_RAD
        return upright and dist(ee.position_m, peg.position_m) < REACHABLE_M

    def _tip(self) -> Vector3:
        x, y, z = self.world.data.site("peg_tip").xpos.tolist()
        return x, y, z

    def _seen(self, peg: Pose) -> tuple[float, float, float, float]:
        """From the tip to the hole as the eye has it, x and y (m); the tip's height over the surface (m); the turn that
        lays the peg's faces along the hole's (rad)."""
        (x, y, yaw), (dx, dy, dyaw) = self.numbers("hole"), self.numbers("sight_error")
        tx, ty, tz = self._tip()
        return x + dx - tx, y + dy - ty, tz - SURFACE_M, fold(yaw + dyaw - face_yaw(peg))

    # -- the floor -----------------------------------------------------------------------------------------------------

    def blind_action(self, observation: RobotObservation) -> np.ndarray:
        """To where the tracker saw the peg at the start, grasp, up, over to the estimate of the hole, down."""
        commanded = observation.executed.target
        closed = observation.executed.gripper == Gripper.CLOSE
        low, high = self.held_widths_m
        holding = closed and low < observation.arm.gripper_width_m < high
        action = self._blind_carry(commanded) if holding else self._blind_reach(commanded)
        reached = float(np.abs(action[:6]).max()) < 0.2
        action[6] = -1.0 if closed or reached else 1.0
        return action

    def _blind_reach(self, commanded: Pose) -> np.ndarray:
        (x, y, yaw), (dx, dy, dyaw) = self.numbers("peg"), self.tracking_error
        grip = Pose((x + dx, y + dy, PEG_HALF_M + self.grip_offset_m), pointing_down(yaw + dyaw))
        return self._towards(commanded, grip, hover_m=0.05)

    def _blind_carry(self, commanded: Pose) -> np.ndarray:
        x, y, z = self.task_frame.position_m
        goal = Pose((x, y, z - SUCCESS_DEPTH_M - PRESS_LEAD_M), self.task_frame.quat_xyzw)
        return self._towards(commanded, goal, hover_m=SUCCESS_DEPTH_M + PRESS_LEAD_M + CARRY_M)

    def _towards(self, commanded: Pose, goal: Pose, hover_m: float) -> np.ndarray:
        """float32 (7,): up to ``hover_m`` over the goal, sideways, down."""
        delta = np.array(pose_delta(commanded, goal))
        up = delta[2] + hover_m
        if hypot(delta[0], delta[1]) > 0.002 or abs(delta[5]) > radians(1.0):
            delta[2] = up
            if up > 0.005:
                delta[:2] = 0.0
        action = np.zeros(self.spec.action_dim, np.float32)
        action[:3], action[3:6] = delta[:3] / self.spec.max_step_m, delta[3:] / self.spec.max_step_rad
        return np.clip(action, -1.0, 1.0)
