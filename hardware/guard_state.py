"""The guard's constants and its state: immutable values, and the one rule of how modes escalate."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import NamedTuple

from hardware.cell import Cell, GripperSettings, Workspace
from hardware.geometry import IDENTITY_POSE, IDENTITY_QUAT
from hardware.interfaces import Gripper, GuardMode, Pose, Quaternion, Vector3
from hardware.limits import Limits
from hardware.mux import MuxState
from hardware.reference import ZERO3, Motion, Planner, Profiles, Track, rotation_profiles, translation_profiles
from hardware.safety import CHECKS, GripperState

_AT_ORIGIN = Track(Motion(ZERO3), ZERO3)


@dataclass(frozen=True)
class GuardSettings:
    """Constants of a guard, limits already turned into per-axis profiles."""

    limits: Limits
    workspace: Workspace
    gripper: GripperSettings
    release_s: float
    period_s: float
    teleop_speed: tuple[float, float]
    """Speed of the person's target at full deflection, per axis: m/s and rad/s."""
    translation: Profiles
    rotation: Profiles
    planner: Planner

    @classmethod
    def of(cls, cell: Cell, limits_profile: str, teleop_speed: tuple[float, float]) -> GuardSettings:
        """Settings of a cell under one of its profiles; raises ``CellError`` for an unknown profile."""
        limits, period_s = cell.profile(limits_profile), cell.guard_period_s
        return cls(
            limits=limits,
            workspace=cell.workspace,
            gripper=cell.gripper,
            release_s=cell.teleop.release_s,
            period_s=period_s,
            teleop_speed=teleop_speed,
            translation=translation_profiles(limits, period_s),
            rotation=rotation_profiles(limits, period_s),
            planner=Planner(),
        )


class Target(NamedTuple):
    """An accepted target, as a pose and in the reference generator's coordinates."""

    pose: Pose = IDENTITY_POSE
    position: Vector3 = ZERO3
    rotation: Vector3 = ZERO3
    """Rotation vector about the anchor."""


class GuardState(NamedTuple):
    """Everything the next tick depends on besides its inputs."""

    mode: GuardMode = GuardMode.DISARMED
    reason: str = "not engaged"
    """Why the guard does not run; empty when it does."""
    anchor: Quaternion = IDENTITY_QUAT
    """Orientation at engagement: origin of the rotation vectors."""
    translation: Track = _AT_ORIGIN
    rotation: Track = _AT_ORIGIN
    target: Target = Target()
    gripper: GripperState = GripperState()
    mux: MuxState = MuxState()
    resetting: bool = False
    """A reset moves the arm: slower (S27), and the person is not listened to."""
    engaged_s: float = -inf
    bad_commands_s: tuple[float, ...] = ()
    """When the policy sent something malformed, within the window of S1."""
    since_s: tuple[float | None, ...] = (None,) * len(CHECKS)
    """Since when each check has been over its limit."""


def escalate(state: GuardState, mode: GuardMode, reason: str) -> GuardState:
    """``state`` in ``mode`` if that is a higher one: HOLD and FAULT are left only by the operator."""
    return state if mode <= state.mode else state._replace(mode=mode, reason=reason)


def gripped(settings: GuardSettings, command: Gripper, now: float) -> GripperState:
    """The gripper's state once ``command`` (OPEN or CLOSE) is let through."""
    is_open = command == Gripper.OPEN
    return GripperState(command, now, settings.gripper.open_width_m if is_open else settings.gripper.closed_width_m)
