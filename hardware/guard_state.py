"""The guard's constants and its state: immutable values, and the one rule of how modes escalate."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import NamedTuple

from hardware.cell import Cell, GripperSettings, Workspace
from hardware.geometry import IDENTITY_POSE, IDENTITY_QUAT
from hardware.interfaces import Gripper, GuardMode, Pose, Quaternion, Vector3
from hardware.limits import Limits
from hardware.mux import MuxState
from hardware.reference import ZERO3, Motion, Planner, Profiles, Track, rotation_profiles, translation_profiles
from hardware.safety import GripperState
from hardware.whole_arm import Outlook, WholeArm, paces

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
    command_timeout_s: float
    """Age of the policy's newest command beyond which it is stale (S2); infinite where no rate was promised."""
    max_dropped: float
    """Observations that may be dropped in their window (S18)."""
    enable_switch: bool
    """The cell has an enable switch (S15)."""
    other_arms: tuple[str, ...]
    """The cell's others, whose guards must be joined to this one (S30)."""
    translation: Profiles
    rotation: Profiles
    paces: tuple[tuple[Profiles, Profiles], ...]
    """Both, at each of the speeds that a singularity leaves (S31)."""
    planner: Planner
    whole_arm: WholeArm

    @classmethod
    def of(
        cls,
        cell: Cell,
        limits_profile: str,
        teleop_speed: tuple[float, float],
        control_hz: float | None,
        task: str = "",
    ) -> GuardSettings:
        """Settings of a cell under one of its profiles, in one of its tasks, for a policy that commands at
        ``control_hz`` (None: as it likes, as in a replay); raises ``CellError`` for an unknown profile."""
        limits, period_s = cell.profile(limits_profile), cell.guard_period_s
        translation, rotation = translation_profiles(limits, period_s), rotation_profiles(limits, period_s)
        settings = cls(
            limits=limits,
            workspace=cell.workspace,
            gripper=cell.gripper,
            release_s=cell.teleop.release_s,
            period_s=period_s,
            teleop_speed=teleop_speed,
            command_timeout_s=inf,
            max_dropped=inf,
            enable_switch=cell.teleop.enable_switch,
            other_arms=cell.other_arms,
            translation=translation,
            rotation=rotation,
            paces=paces(translation, rotation),
            planner=Planner(),
            whole_arm=cell.whole_arm(limits_profile, task),
        )
        return settings.at_rate(control_hz)

    def at_rate(self, control_hz: float | None) -> GuardSettings:
        """These for a policy that commands, and observes, at ``control_hz``; None: as it likes."""
        if control_hz is None:
            return replace(self, command_timeout_s=inf, max_dropped=inf)
        limits = self.limits
        timeout_s = max(limits.command_timeout_periods / control_hz, limits.min_command_timeout_s)
        dropped = limits.max_dropped_share * limits.dropped_window_s * control_hz
        return replace(self, command_timeout_s=timeout_s, max_dropped=dropped)


class Target(NamedTuple):
    """An accepted target, as a pose and in the reference generator's coordinates."""

    pose: Pose = IDENTITY_POSE
    position: Vector3 = ZERO3
    rotation: Vector3 = ZERO3
    """Rotation vector about the anchor."""


class Counts(NamedTuple):
    """When things happened that are allowed now and then: times within their window, oldest first."""

    bad_commands_s: tuple[float, ...] = ()
    """S1."""
    recoveries_s: tuple[float, ...] = ()
    """S12."""
    dropped_s: tuple[float, ...] = ()
    """S18."""
    corrupt_s: tuple[float, ...] = ()
    """S21."""
    pushes_s: tuple[float, ...] = ()
    """S29."""

    def forgiven(self) -> Counts:
        """What remains when the operator resumes."""
        return Counts(self.bad_commands_s, self.recoveries_s)


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
    disarming: bool = False
    """HOLD ends DISARMED once at rest."""
    engaged_s: float = -inf
    stopped_s: float = -inf
    """When there last was a cause to stop (S11)."""
    tick_s: float = -inf
    """When the guard last ticked, or engaged (S25)."""
    streamed_ticks: int = 0
    """For how many ticks in a row arm, cameras and teleop reader have been fresh (S10)."""
    actor: int | None = None
    """Whose commands these are (S24)."""
    outlook: Outlook | None = None
    """How far around the last look the whole arm is known to be clear (S30 to S33)."""
    pace: int = 0
    """Index into ``GuardSettings.paces``."""
    counts: Counts = Counts()
    since_s: tuple[float | None, ...] = ()
    """Since when each check has been over its limit; empty when none is."""


def escalate(state: GuardState, mode: GuardMode, reason: str, now: float) -> GuardState:
    """``state`` in ``mode`` if that is a higher one: HOLD and FAULT are left only by the operator, and not before some
    time has passed since the last cause to stop."""
    if mode > state.mode:
        return state._replace(mode=mode, reason=reason, stopped_s=now)
    return state._replace(stopped_s=now)


def disarmed(state: GuardState, reason: str) -> GuardState:
    """``state`` with nothing commanded any more; commands on their way are of an old session."""
    return GuardState(
        reason=reason,
        gripper=state.gripper,
        mux=MuxState(session=state.mux.session + 1),
        stopped_s=state.stopped_s,
        tick_s=state.tick_s,
        streamed_ticks=state.streamed_ticks,
        actor=state.actor,
        counts=state.counts.forgiven(),
    )


def resting_at(state: GuardState, pose: Pose) -> GuardState:
    """``state`` with its reference at rest at ``pose``, which nobody has looked around yet."""
    position = pose.position_m
    return state._replace(
        anchor=pose.quat_xyzw,
        translation=Track(Motion(position), position),
        rotation=_AT_ORIGIN,
        target=Target(pose, position, ZERO3),
        outlook=None,
    )


def gripped(settings: GuardSettings, command: Gripper, now: float) -> GripperState:
    """The gripper's state once ``command`` (OPEN or CLOSE) is let through."""
    is_open = command == Gripper.OPEN
    return GripperState(command, now, settings.gripper.open_width_m if is_open else settings.gripper.closed_width_m)
