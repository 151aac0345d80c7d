"""The seams of the robot side: the Protocols of drivers and robots, and the values that cross them.

The values stand in :mod:`hardware.messages`, with the conventions on units, frames and time; everybody imports both
from here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from hardware.messages import (
    ZERO6,
    ArmCommand,
    ArmReference,
    ArmState,
    CameraFrame,
    ExecutedCommand,
    FrameStamp,
    Gripper,
    GuardMode,
    Pose,
    Quaternion,
    Refusal,
    ResetPlan,
    RobotObservation,
    Source,
    TeleopSample,
    Vector3,
    Vector6,
)

__all__ = [
    "ZERO6",
    "Arm",
    "ArmCommand",
    "ArmReference",
    "ArmState",
    "Camera",
    "CameraFrame",
    "Clock",
    "ExecutedCommand",
    "FrameStamp",
    "Gripper",
    "GuardMode",
    "NoTeleop",
    "Pose",
    "Quaternion",
    "Refusal",
    "ResetError",
    "ResetPlan",
    "Robot",
    "RobotObservation",
    "Source",
    "TeleopDevice",
    "TeleopSample",
    "Vector3",
    "Vector6",
]


@runtime_checkable
class Clock(Protocol):
    """Time, injected. A sim clock's ``sleep_until`` *is* the physics stepping."""

    def now(self) -> float:
        """Seconds; monotonic, arbitrary origin."""
        ...

    def sleep_until(self, deadline_s: float) -> None:
        """Return at or just after ``deadline_s``; at once if it is past."""
        ...

    def every(self, period_s: float, call: Callable[[float], None], phase_s: float = 0.0) -> None:
        """Call ``call(now)`` each period, at times ``phase_s`` modulo ``period_s``: on a thread with absolute
        deadlines (real) or between physics steps, in the order registered (twin)."""
        ...

    def delay_s(self, kind: str) -> float:
        """Latency to impose on ``"command"`` or ``"camera"`` now; a real clock says 0: reality imposes its own."""
        ...


@runtime_checkable
class Arm(Protocol):
    """An arm with a gripper under Cartesian impedance control. Only a guard may call :meth:`command`."""

    def connect(self) -> None: ...

    def read(self) -> ArmState:
        """The newest state; raises ``ConnectionError`` when the arm is gone."""
        ...

    def command(self, reference: ArmReference) -> None:
        """Track ``reference``. Without a new one for ``watchdog_s`` the controller itself stops the arm (S3)."""
        ...

    @property
    def watchdog_s(self) -> float: ...

    def recover(self) -> None:
        """Clear an error of the arm's own controller (reflex, protective stop); nothing where there is none. Called for
        the operator, with no references on their way; ``ConnectionError`` when the arm is gone."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class Camera(Protocol):
    """A camera that keeps only its newest frame."""

    name: str

    def connect(self) -> None: ...

    def read_latest(self, max_age_s: float) -> CameraFrame:
        """The newest frame; raises ``TimeoutError`` naming the camera when it is older than ``max_age_s``."""
        ...

    def newest(self) -> FrameStamp | None:
        """When the newest frame was exposed and its counter, at once and at next to no cost: the guard asks every tick.
        None before the first."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class TeleopDevice(Protocol):
    """A SpaceMouse, gamepad, keyboard, browser or scripted person."""

    def connect(self) -> None: ...

    def read(self, now: float) -> TeleopSample:
        """The newest sample, without waiting; polled at the guard's rate."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class Robot(Protocol):
    """One robot cell: what an environment drives. ``LocalRobot`` in this process, ``RosRobot`` over topics."""

    clock: Clock

    def reset(self, plan: ResetPlan) -> RobotObservation:
        """Bring the arm to ``plan.start`` and engage; raises ``ResetError`` if it does not arrive."""
        ...

    def command(self, command: ArmCommand) -> None:
        """Propose a target to the guard; returns at once."""
        ...

    def observe(self) -> RobotObservation: ...

    def end_episode(self) -> None:
        """No commands will come until the next :meth:`reset`."""
        ...

    def close(self) -> None: ...


class ResetError(RuntimeError):
    """A reset did not arrive where it should; the message says how far away it stopped."""


@dataclass(frozen=True)
class NoTeleop:
    """No person: the device of an autonomous run. Its reader beats, its stick rests."""

    name: str = field(default="none")

    def connect(self) -> None: ...

    def read(self, now: float) -> TeleopSample:
        return TeleopSample(heartbeat_s=now)

    def close(self) -> None: ...
