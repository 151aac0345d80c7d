"""The values that cross the seams of the robot side; import them from :mod:`hardware.interfaces`.

Values are immutable and hold tuples of Python floats: the guard's tick runs on them at 100 Hz, where a three-element
tuple costs a tenth of a three-element array. Images and observations, which are large, are numpy arrays.

Conventions: SI units; poses are of the end effector (the point between the fingertips) in the arm's base frame;
quaternions are xyzw with positive w; twists are ``(vx, vy, vz, wx, wy, wz)`` in base axes; time is seconds of the
injected :class:`~hardware.interfaces.Clock`, stamped by the receiver.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

import numpy as np

Vector3 = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]
Vector6 = tuple[float, float, float, float, float, float]

ZERO6: Vector6 = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


class Pose(NamedTuple):
    """A rigid transform: ``position_m`` (3,) and ``quat_xyzw`` (4,), unit norm."""

    position_m: Vector3
    quat_xyzw: Quaternion


class Gripper(IntEnum):
    """A discrete gripper command. HOLD keeps the last target."""

    CLOSE = -1
    HOLD = 0
    OPEN = 1


class Source(IntEnum):
    """Who drove a step. The guard's mux yields POLICY, HUMAN or HOLD; rollouts relabel POLICY as BASE or DEMO."""

    POLICY = 0
    HUMAN = 1
    BASE = 2
    DEMO = 3
    HOLD = 4


class GuardMode(IntEnum):
    """Engagement of the guard; order is precedence (a higher mode wins)."""

    DISARMED = 0
    ARMED = 1
    RUNNING = 2
    HOLD = 3
    FAULT = 4


@dataclass(frozen=True, slots=True)
class ArmState:
    """What an arm measures at one instant."""

    stamp_s: float
    T_base_ee: Pose
    ee_twist: Vector6
    """Measured end-effector twist, m/s and rad/s."""
    joint_positions_rad: tuple[float, ...]
    joint_velocities_rad_s: tuple[float, ...]
    wrench: Vector6
    """Filtered external wrench on the end effector: N and N·m in base axes, about the end-effector point."""
    gripper_width_m: float
    stopped: str = ""
    """Why the arm's own controller has stopped it (reflex, protective stop, emergency stop); empty while it runs."""


@dataclass(frozen=True, slots=True)
class ArmCommand:
    """What a policy asks of the guard: an absolute target, never sent to an arm directly."""

    T_base_ee: Pose
    gripper: Gripper = Gripper.HOLD
    sequence: int = 0
    """Counts up within a session; old or repeated numbers are dropped."""
    session: int = 0


@dataclass(frozen=True, slots=True)
class ArmReference:
    """What the guard sends to an arm driver every tick: pose to track, twist to feed forward, width to hold."""

    T_base_ee: Pose
    twist: Vector6
    gripper_width_m: float


@dataclass(frozen=True, slots=True)
class TeleopSample:
    """The newest reading of a teleop device."""

    heartbeat_s: float
    """Time of the reader's last successful poll (an idle SpaceMouse sends no report, its reader still beats)."""
    twist: Vector6 = ZERO6
    """Deflection in [-1, 1] per axis, base axes; 1 means the task's full step rate."""
    takeover: bool = False
    """The person wants to drive: deflection over the dead-band, or the takeover button."""
    gripper: Gripper = Gripper.HOLD
    success: bool = False
    """The person labels the episode a success."""
    failure: bool = False
    enabled: bool | None = None
    """Whether the enable switch is pressed; None: the device has none."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One limit that changed or stopped a command: which, by how much (SI, over the limit), and whose command."""

    limit: str
    amount: float
    source: Source


@dataclass(frozen=True, slots=True)
class ExecutedCommand:
    """What the guard accepted in one tick."""

    stamp_s: float
    target: Pose
    """The accepted target, inside every limit; not the smoothed motion towards it."""
    gripper: Gripper
    """The last gripper command let through: CLOSE or OPEN (HOLD before the first)."""
    source: Source
    mode: GuardMode
    reference: ArmReference
    refusals: tuple[Refusal, ...] = ()
    reason: str = field(default="", compare=False)
    """Why the guard does not run; empty when it does. That of a limit begins with its id: ``S8: the arm ...``."""
    proposed: Pose | None = field(default=None, compare=False)
    """What the policy last asked for in this session, whoever drives; None before its first sound command."""

    @property
    def stop_limit(self) -> str:
        """Id of the limit whose breach stopped the arm; empty where it was not stopped, or not by a limit."""
        limit, colon, _ = self.reason.partition(": ")
        return limit if colon and limit[0] == "S" and limit[1:].isdigit() and self.mode >= GuardMode.HOLD else ""


class FrameStamp(NamedTuple):
    """What a camera says of its newest frame without handing it out."""

    stamp_s: float
    sequence: int
    digest: int | None = None
    """Hash of the pixels; None where the driver makes none."""


@dataclass(frozen=True, slots=True)
class CameraFrame:
    """``image`` is uint8 HWC RGB; ``sequence`` is the device's frame counter; ``stamp_s`` when it was exposed."""

    stamp_s: float
    sequence: int
    image: np.ndarray
    depth_m: np.ndarray | None = None
    """float32 HW, metres, aligned to ``image``, 0 where unknown; None where there is no depth."""


@dataclass(frozen=True, slots=True)
class RobotObservation:
    """All that a robot reports at the end of a step."""

    stamp_s: float
    arm: ArmState
    frames: Mapping[str, CameraFrame]
    executed: ExecutedCommand
    """The newest accepted command. Its ``source`` is HUMAN if the person drove in any tick since the last command, else
    HOLD if the guard held in any, else POLICY; its ``refusals`` are those of all these ticks, the greatest of each
    limit and source."""
    changes: tuple[ExecutedCommand, ...] = ()
    """Ticks since the last command at which the accepted target, the gripper or the source changed: enough to run the
    motion again exactly."""


@dataclass(frozen=True)
class ResetPlan:
    """How a robot gets to the start of an episode. Every motion goes through the guard and its arrival is verified."""

    start: Pose
    """Where the end effector begins."""
    gripper: Gripper = Gripper.HOLD
    waypoints: tuple[Pose, ...] = ()
    """Poses to pass on the way (lift out of a hole before going home)."""
    teleport: Callable[[], None] | None = None
    """Twin only: puts the arm and scene in place at once. None moves there through the guard."""
    position_tolerance_m: float = 0.005
    rotation_tolerance_rad: float = 0.05
    timeout_s: float = 15.0
