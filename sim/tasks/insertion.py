"""What insertion tasks share: a tool fixed to the hand, a hole in a fixture, errors nobody measures, a searching hand.

The fixture is the mocap body ``fixture`` (origin in the middle of the hole at its surface, z up); the held part is the
body ``tool/held``, its end the site ``tool/tip``. A subclass gives the scene, the tool and the lengths.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import cos, hypot, pi, radians, sin

import numpy as np

from hardware.geometry import pose_delta
from hardware.interfaces import Gripper, Pose, ResetPlan, RobotObservation, Vector6
from sim.tasks.base import Setup, TwinTask, deflection, pointing_down
from sim.world import TOOL

HOLE_XY_M = (0.5, 0.0)
HOLE_RANGE_M, HOLE_RANGE_RAD = 0.03, radians(10.0)
START_RANGE_M, START_RANGE_RAD = 0.02, radians(10.0)
START_HEIGHT_M = (0.04, 0.06)
"""Of the tool's tip over the surface."""
SIGHT_ERROR_M, SIGHT_ERROR_RAD = 0.0008, radians(1.0)
"""How well a person judges alignment by eye, constant within an episode."""
CONTACT_M = 0.004
"""Below this height a hand slows down and feels its way."""
PRESS_M = 0.005
"""How far a careful hand lets the commanded point lead downwards: 10 N at the impedance's 2000 N/m."""
DESCENT_M_S, INSERTION_M_S = 0.02, 0.014
"""Downwards, over the hole and into it: as careful people go."""
INSIDE_M = 0.002
"""The tip is nearer to the hole's axis than this only inside the hole, whose play is half a millimetre."""
HAND_GAIN, TURN_GAIN = 4.0, 2.5
"""Speed for each unit of error the eye sees, 1/s: what the delays of eye, hand and arm can bear without swinging."""
STALL_S, STALL_M = 0.4, 0.0004
SPIRAL_TURNS_PER_S, SPIRAL_M_PER_S, SPIRAL_M = 0.8, 0.0005, 0.003
WIGGLE_RAD, WIGGLE_HZ = 0.03, 1.0


class InsertionTask(TwinTask):
    """A tool into a hole. The gripper is locked. The errors of grasp and estimate are never observed."""

    surface_m = 0.03
    """Height of the fixture's surface."""
    tool_m = 0.035
    """From the end-effector point to the tool's tip."""
    success_depth_m = 0.018
    grasp_error_m = 0.001
    estimate_error_m = 0.002
    estimate_error_rad = radians(2.0)
    start_width_m = 0.02
    start_gripper = Gripper.HOLD
    fixed_keys = ("hole", "grasp_offset", "sight_error")
    span_m = 0.08

    def __init__(self, meshes: str | None = None) -> None:
        super().__init__(meshes)
        self._held = self.world.model.body(f"{TOOL}held")
        self._nominal_xy = self._held.pos[:2].copy()
        self._stall = _Stall()

    def draw(self, rng: np.random.Generator) -> Setup:
        def around(*ranges: float) -> list[float]:
            return (rng.uniform(-1.0, 1.0, len(ranges)) * ranges).tolist()

        hole = around(HOLE_RANGE_M, HOLE_RANGE_M, HOLE_RANGE_RAD)
        error = around(self.estimate_error_m, self.estimate_error_m, self.estimate_error_rad)
        start = around(START_RANGE_M, START_RANGE_M, START_RANGE_RAD)
        x, y = HOLE_XY_M
        height = self.surface_m + self.tool_m + rng.uniform(*START_HEIGHT_M)
        return {
            "hole": [x + hole[0], y + hole[1], hole[2]],
            "estimate_error": error,
            "grasp_offset": around(self.grasp_error_m, self.grasp_error_m),
            "sight_error": around(SIGHT_ERROR_M, SIGHT_ERROR_M, SIGHT_ERROR_RAD),
            # About the estimate, not the hole: the start must not give the hole away.
            "start": [x + hole[0] + error[0] + start[0], y + hole[1] + error[1] + start[1], height, start[2]],
        }

    def apply_setup(self, setup: Mapping[str, float | list[float]]) -> ResetPlan:
        self._stall = _Stall()
        return super().apply_setup(setup)

    def arrange(self) -> None:
        x, y, yaw = self.numbers("hole")
        self.world.place("fixture", Pose((x, y, self.surface_m), (0.0, 0.0, sin(0.5 * yaw), cos(0.5 * yaw))))
        self._held.pos[:2] = self._nominal_xy + self.numbers("grasp_offset")

    @property
    def task_frame(self) -> Pose:
        """Where the hand would be with its tool's tip touching the surface over the hole, if nothing were off."""
        (x, y, yaw), (dx, dy, dyaw) = self.numbers("hole"), self.numbers("estimate_error")
        return Pose((x + dx, y + dy, self.surface_m + self.tool_m), pointing_down(yaw + dyaw))

    def depth_m(self) -> float:
        """Of the tip below the surface; negative above."""
        return self.surface_m - float(self.world.data.site(f"{TOOL}tip").xpos[2])

    def success(self, observation: RobotObservation) -> bool:
        """Deep, and in the hole: a tool held low beside the fixture is deep as well."""
        x, y, _ = self.numbers("hole")
        tip = self.world.data.site(f"{TOOL}tip").xpos
        inside = hypot(float(tip[0]) - x, float(tip[1]) - y) < INSIDE_M
        return inside and self.depth_m() >= self.success_depth_m

    # -- the person ----------------------------------------------------------------------------------------------------

    def _seen(self) -> Vector6:
        """From the tip to the hole as the eye has it: m and rad, base axes; z down to the surface."""
        (x, y, yaw), (dx, dy, dyaw) = self.numbers("hole"), self.numbers("sight_error")
        hole = Pose((x + dx, y + dy, self.surface_m), pointing_down(yaw + dyaw))
        return pose_delta(self.world.site_pose(f"{TOOL}tip"), hole)

    def guide(self, now: float) -> tuple[Vector6, Gripper]:
        """Over the hole, turn, down; on contact press gently, and where it sticks search in a spiral and wiggle."""
        dx, dy, dz, *turn = self._seen()
        depth, spec = dz, self.spec
        speed_m_s, speed_rad_s = spec.max_step_m * spec.control_hz, spec.max_step_rad * spec.control_hz
        near_m, near_rad = speed_m_s / HAND_GAIN, speed_rad_s / TURN_GAIN
        stuck_s = self._stall.update(now, depth)
        if depth < -CONTACT_M:
            aligned = hypot(dx, dy) < 0.002 and abs(turn[2]) < radians(3.0)
            down = dz + 0.5 * CONTACT_M if aligned else dz + 4.0 * CONTACT_M
            twist = deflection((dx, dy, down), (turn[0], turn[1], turn[2]), near_m, near_rad)
            descent = DESCENT_M_S / speed_m_s
            return (*twist[:2], min(max(twist[2], -descent), descent), *twist[3:]), Gripper.HOLD
        inside = depth > 0.0015
        if stuck_s > 0.0:
            radius = min(SPIRAL_M_PER_S * stuck_s, SPIRAL_M) * (0.3 if inside else 1.0)
            angle = 2.0 * pi * SPIRAL_TURNS_PER_S * stuck_s
            dx, dy = dx + radius * cos(angle), dy + radius * sin(angle)
            turn[2] += WIGGLE_RAD * sin(2.0 * pi * WIGGLE_HZ * stuck_s)
        press = PRESS_M * (1.6 if inside else 1.0) + self.lead_m()[2]
        down = -INSERTION_M_S / speed_m_s * min(max(press / PRESS_M, -1.0), 1.0)
        lateral = deflection((dx, dy, 0.0), (turn[0], turn[1], turn[2]), near_m, near_rad)
        return (lateral[0], lateral[1], down, *lateral[3:]), Gripper.HOLD

    def remaining_m(self) -> float:
        dx, dy, dz, *_ = self._seen()
        return hypot(dx, dy) + max(self.success_depth_m - dz, 0.0)

    def in_funnel(self) -> bool:
        dx, dy, dz, *turn = self._seen()
        upright = max(abs(r) for r in turn) < radians(15.0)
        return upright and hypot(dx, dy) < 0.004 + max(-dz, 0.0) and dz > -0.12

    # -- the floor -----------------------------------------------------------------------------------------------------

    def blind_action(self, observation: RobotObservation) -> np.ndarray:
        """To the estimate, then push."""
        x, y, z = self.task_frame.position_m
        delta = pose_delta(observation.arm.T_base_ee, self.task_frame)
        over = hypot(delta[0], delta[1]) < 0.002 and abs(delta[5]) < radians(1.0)
        above = -delta[2]
        goal = z - PRESS_M - self.success_depth_m if over or above < 0.005 else z + 0.01
        action = self.blind_step(observation, Pose((x, y, goal), self.task_frame.quat_xyzw))
        action[2] = max(action[2], -0.25)
        return action


class _Stall:
    """How long the tool has not got deeper: a search begins then, at a radius that grows."""

    def __init__(self) -> None:
        self._best_m, self._since, self._seen_at = -1.0, 0.0, -1.0

    def update(self, now: float, depth_m: float) -> float:
        """Seconds of search so far, 0 while it gets deeper."""
        fresh = now - self._seen_at > STALL_S  # Nobody guided lately: another takeover, another episode.
        self._seen_at = now
        if fresh or depth_m > self._best_m + STALL_M:
            self._best_m, self._since = depth_m, now
        return max(0.0, now - self._since - STALL_S) if depth_m > -CONTACT_M else 0.0
