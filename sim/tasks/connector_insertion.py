"""Connector insertion: a keyed plug into a socket that latches.

One orientation fits: the socket stands anywhere within ± 45°, and turned by half a turn the plug's key keeps it out.
Two sprung balls in the socket hold it back with about 16 N, half way down, until the ridge at its tip has passed them.
Estimate and grasp are wrong as in peg insertion. The gripper is locked.
"""

from __future__ import annotations

from math import hypot, radians

import numpy as np

from hardware.geometry import pose_delta
from hardware.interfaces import Gripper, RobotObservation, Vector6
from robot_rl.task import TaskSpec
from sim.tasks.base import Setup
from sim.tasks.insertion import InsertionTask

TURN_RANGE_RAD = radians(45.0)
LATCH_M = 0.0065
"""Depth at which the ridge meets the balls."""
LATCH_LEAD_M = 0.013
"""Up to which a hand presses on against the latch: 26 N at the impedance's 2000 N/m."""
LATCH_PRESS = 0.3
"""Deflection downwards with which it does."""
BLIND_HOVER_M = 0.01
"""Where the blind script waits until it is aligned with the estimate."""


class ConnectorInsertion(InsertionTask):
    """Plug 16 x 10 mm, 0.4 mm of clearance a side, 15.6 mm deep. Success: the tip 14 mm down, well behind the latch."""

    spec = TaskSpec(
        "connector_insertion",
        "Plug the connector into its socket until it latches.",
        max_steps=120,
        max_step_m=0.004,
        max_step_rad=0.03,
        max_lead_m=0.010,  # getting past the latch takes 8 mm
        gripper=False,
    )
    scene = "connector_insertion.xml"
    tool = "connector_plug.xml"
    tool_m = 0.036
    success_depth_m = 0.014
    grasp_error_m = 0.0005
    estimate_error_m = 0.0025
    start_width_m = 0.018

    def draw(self, rng: np.random.Generator) -> Setup:
        setup = super().draw(rng)
        x, y, _ = setup["hole"]  # type: ignore[misc]
        return {**setup, "hole": [x, y, float(rng.uniform(-TURN_RANGE_RAD, TURN_RANGE_RAD))]}

    def guide(self, now: float) -> tuple[Vector6, Gripper]:
        """As into any hole; at the latch, press harder until it gives."""
        twist, gripper = super().guide(now)
        if self.depth_m() < LATCH_M:
            return twist, gripper
        press = LATCH_PRESS if -self.lead_m()[2] < LATCH_LEAD_M else 0.0
        return (twist[0], twist[1], -press, *twist[3:]), gripper

    def blind_action(self, observation: RobotObservation) -> np.ndarray:
        """To the estimate, then push until something gives. Steps from the commanded pose, which has no lag."""
        commanded, frame = observation.executed.target, self.task_frame
        delta = np.array(pose_delta(commanded, frame))
        aligned = hypot(delta[0], delta[1]) < 0.001 and abs(delta[5]) < radians(0.5)
        touching = observation.arm.T_base_ee.position_m[2] < frame.position_m[2] + 0.005
        action = delta / ([self.spec.max_step_m] * 3 + [self.spec.max_step_rad] * 3)
        lead = observation.arm.T_base_ee.position_m[2] - commanded.position_m[2]
        down = lead - LATCH_LEAD_M if aligned or touching else delta[2] + BLIND_HOVER_M
        action[2] = max(down / self.spec.max_step_m, -LATCH_PRESS)
        return np.clip(action, -1.0, 1.0).astype(np.float32)
