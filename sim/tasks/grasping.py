"""What tasks with a loose object share: where it is as eye and tracker see it, and how a hand takes it."""

from __future__ import annotations

from abc import abstractmethod
from math import atan2, dist, hypot, pi

import numpy as np

from hardware.geometry import pose_delta, quat_inverse, quat_rotate
from hardware.interfaces import Gripper, Pose, Quaternion, RobotObservation, Vector3, Vector6
from sim.tasks.base import Setup, TwinTask, deflection, pointing_down, yaw_of

QUARTER = 0.5 * pi
YAW_SCALE_RAD = 0.2
CLEAR_HEIGHT_M, CLEAR_ASIDE_M = 0.11, 0.12
"""A hand this high, or this far aside, leaves room to put the object back."""
OPEN_WIDTH_M = 0.07
"""Wider than this, the fingers have not begun to close."""


class GraspTask(TwinTask):
    """A task with one loose, square object, the free body :attr:`loose`."""

    loose: str
    held_widths_m: tuple[float, float]
    """Finger distances that mean: it is between them."""
    grip_offset_m: float = 0.0
    """How far above the object's centre it is taken."""
    in_hand_m: float = 0.02
    fixed_keys: tuple[str, ...] = ()

    @property
    @abstractmethod
    def tracking_error(self) -> tuple[float, float, float]:
        """Constant error of the tracker this episode: x, y (m), yaw (rad)."""

    def untouched(self, drawn: Setup) -> Setup:
        """Without teleporting the operator puts the object back, unless the hand is in the way: then it stays put."""
        x, y, *_ = drawn[self.loose]  # type: ignore[misc]
        ex, ey, ez = self.world.site_pose("ee").position_m
        setup = super().untouched(drawn)
        if ez > CLEAR_HEIGHT_M or hypot(x - ex, y - ey) > CLEAR_ASIDE_M:
            self._setup = dict(setup)
            self.arrange()
            self.world.refresh()
            return setup
        thing = self.object_pose()
        return {**setup, self.loose: [*thing.position_m[:2], face_yaw(thing)]}

    def object_pose(self) -> Pose:
        """``T_base_object``, true."""
        return self.world.body_pose(self.loose)

    def width_m(self) -> float:
        """Finger distance."""
        return float(self.world.data.qpos[7] + self.world.data.qpos[8])

    def grip_point(self, thing: Pose) -> Vector3:
        """Where the fingertips should be to take the object."""
        x, y, z = thing.position_m
        dx, dy, dz = quat_rotate(
            thing.quat_xyzw, (0.0, 0.0, -self.grip_offset_m)
        )  # its z axis points down, as a hand's
        return x + dx, y + dy, z + dz

    def in_hand(self, ee: Pose, thing: Pose) -> bool:
        """Whether the object is between the fingers."""
        low, high = self.held_widths_m
        return low < self.width_m() < high and dist(ee.position_m, self.grip_point(thing)) < self.in_hand_m

    def features(self, observation: RobotObservation) -> np.ndarray:
        """Where the tracker has the object from the hand, in task axes: float32 (4,), position and yaw to its nearest
        faces. The tracker follows the object all along, with its constant error."""
        thing, ee = self.object_pose(), observation.arm.T_base_ee
        (x, y, z), (dx, dy, dyaw) = self.grip_point(thing), self.tracking_error
        ex, ey, ez = ee.position_m
        offset = quat_rotate(quat_inverse(self.task_frame.quat_xyzw), (x + dx - ex, y + dy - ey, z - ez))
        turn = fold(face_yaw(thing) + dyaw - yaw_of(ee))
        return np.array([*(o / self.spec.position_scale_m for o in offset), turn / YAW_SCALE_RAD], np.float32)

    def reach_for(self, ee: Pose, thing: Pose) -> tuple[Vector6, Gripper]:
        """What a hand does to take the object: over it, down a funnel, close."""
        (x, y, z), (ex, ey, ez) = self.grip_point(thing), ee.position_m
        tilt_x, tilt_y = level_error(ee.quat_xyzw)
        turn = fold(face_yaw(thing) - yaw_of(ee))
        aside = hypot(x - ex, y - ey)
        slack = 1.0 if self.width_m() > OPEN_WIDTH_M else 2.0  # once closing, it is not called off for a trifle
        if aside < 0.006 * slack and abs(ez - z) < 0.006 * slack and abs(turn) < 0.12 * slack:
            return deflection((0.0, 0.0, 0.0), (tilt_x, tilt_y, 0.0)), Gripper.CLOSE
        above = min(max(3.0 * (aside - 0.008), 0.0), 0.07)  # the wider aside, the higher
        return deflection((x - ex, y - ey, z + above - ez), (tilt_x, tilt_y, turn)), Gripper.OPEN


def face_yaw(thing: Pose) -> float:
    """Yaw of the faces of an upright or tumbled square object, rad, up to quarter turns."""
    for axis in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)):
        x, y, z = quat_rotate(thing.quat_xyzw, axis)
        if abs(z) < 0.7:
            break
    return atan2(y, x)


def fold(yaw_rad: float, period_rad: float = QUARTER) -> float:
    """The same faces by the shortest turn: rad, half a period at most either way."""
    return yaw_rad - period_rad * round(yaw_rad / period_rad)


def level_error(quat: Quaternion) -> tuple[float, float]:
    """Rotation about base x and y that makes a hand point straight down, rad."""
    here = Pose((0.0, 0.0, 0.0), quat)
    *_, rx, ry, _ = pose_delta(here, Pose((0.0, 0.0, 0.0), pointing_down(yaw_of(here))))
    return rx, ry
