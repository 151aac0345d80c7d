"""What the operator may ask of the guard, and when: pure functions that return or raise :class:`EngageError`."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from hardware.geometry import pose_distance
from hardware.guard_inputs import DiskHealth
from hardware.guard_state import GuardSettings, GuardState
from hardware.interfaces import ArmState, GuardMode, Pose
from hardware.posture import Presence

MISFIT_M, MISFIT_RAD = 0.03, 0.15
"""Reported pose against reported joints: more than the lead that S7 allows, less than another tool would make."""


class EngageError(RuntimeError):
    """The guard refused to engage, to resume or to recover; the message says why and what to do."""


def may_engage(
    settings: GuardSettings,
    state: GuardState,
    arm: ArmState,
    disk: DiskHealth | None,
    now: float,
    neighbours: Sequence[Presence] = (),
) -> None:
    """DISARMED, the cell's other arms in sight (S30), no cause to stop for a while (S11), room to record (S26),
    everything streaming (S10), inside (S4)."""
    if state.mode is not GuardMode.DISARMED:
        raise EngageError(f"the guard is {state.mode.name}, not DISARMED; reset it before engaging")
    if len(neighbours) < len(settings.other_arms):
        raise EngageError(
            f"S30: of the cell's other arms ({', '.join(settings.other_arms)}) {len(neighbours)} can be seen; join "
            "their guards to this one (hardware.neighbours.join) and let all of them tick"
        )
    _has_stopped(settings, state, now)
    _can_record(settings, disk)
    pose, limits = arm.T_base_ee, settings.limits
    if not isfinite(sum((*pose.position_m, *pose.quat_xyzw))):
        raise EngageError(f"the arm reports {pose}, which is not finite; reconnect it before engaging")
    _fits_model(settings, arm)
    if arm.stopped:
        raise EngageError(f"S12: the arm's own controller has stopped it ({arm.stopped}); clear that before engaging")
    streaming_s = state.streamed_ticks * settings.period_s
    if streaming_s < limits.stream_before_arm_s - 1e-9:
        raise EngageError(
            f"S10: arm, cameras and teleop device have streamed for {streaming_s:.2f} s of "
            f"{limits.stream_before_arm_s:g} s ({state.reason}); wait, or check what is missing"
        )
    excess = settings.workspace.excess(pose.position_m)
    if excess > limits.max_workspace_excess_m:
        raise EngageError(
            f"the arm stands {1000 * excess:.1f} mm outside the workspace, at {_millimetres(pose)}; "
            "move it inside by hand before engaging"
        )


def may_resume(settings: GuardSettings, state: GuardState, reference: Pose, arm: ArmState, now: float) -> None:
    """HOLD, at rest, no cause to stop for a while (S11), and the arm near the ``reference`` it was held at (S9)."""
    limits = settings.limits
    if state.mode is not GuardMode.HOLD:
        raise EngageError(f"the guard is {state.mode.name}, not HOLD; there is nothing to resume")
    _is_at_rest(state)
    _has_stopped(settings, state, now)
    metres, radians = pose_distance(reference, arm.T_base_ee)
    # Written so that a NaN refuses.
    if not (metres <= limits.max_engage_mismatch_m and radians <= limits.max_engage_mismatch_rad):
        raise EngageError(
            f"the arm is {1000 * metres:.0f} mm and {radians:.2f} rad from where it was held, more than "
            f"{1000 * limits.max_engage_mismatch_m:.0f} mm or {limits.max_engage_mismatch_rad:.2f} rad; "
            "reset the guard and engage"
        )


def may_recover(settings: GuardSettings, state: GuardState, now: float) -> tuple[float, ...]:
    """S12: HOLD or FAULT, at rest, and not too often. Returns when it was done within the window, ``now`` included."""
    limits = settings.limits
    if state.mode < GuardMode.HOLD:
        raise EngageError(f"the guard is {state.mode.name}; the arm's errors are cleared in HOLD or FAULT only")
    _is_at_rest(state)
    times = tuple(t for t in state.counts.recoveries_s if now - t < limits.recovery_window_s)
    if len(times) >= limits.max_recoveries:
        raise EngageError(
            f"S12: {len(times)} recoveries in {limits.recovery_window_s / 60:g} min, {limits.max_recoveries} are "
            "allowed; find out what stops the arm, or restart the guard"
        )
    return (*times, now)


def _is_at_rest(state: GuardState) -> None:
    if not (state.translation.at_rest and state.rotation.at_rest):
        raise EngageError("the guard still brakes; ask again once the arm has stopped")


def _has_stopped(settings: GuardSettings, state: GuardState, now: float) -> None:
    stopped_s, min_stop_s = now - state.stopped_s, settings.limits.min_stop_s
    if stopped_s < min_stop_s - 1e-9:
        raise EngageError(
            f"S11: the last cause to stop was {max(0.0, stopped_s):.2f} s ago ({state.reason}), {min_stop_s:g} s must "
            "pass; wait, or clear the cause (reset the guard where the arm presses on: it lets go)"
        )


def _fits_model(settings: GuardSettings, arm: ArmState) -> None:
    """S32: the joints it reports are those of the cell's arm, tool and all."""
    body, joints = settings.whole_arm.body, arm.joint_positions_rad
    expected, name = len(body.model.joints), body.model.name
    if expected == 0:
        return
    if len(joints) != expected or not isfinite(sum(joints)):
        raise EngageError(
            f"S32: the arm reports joints {joints}; {name!r} has {expected}: check `arm` in the cell file"
        )
    view = body.view(joints, arm.T_base_ee)
    metres, radians = pose_distance(view.ee, view.ee_by_joints)
    if metres > MISFIT_M or radians > MISFIT_RAD:
        raise EngageError(
            f"S32: by its joints the end effector of {name!r} is {1000 * metres:.0f} mm and {radians:.2f} rad from "
            "where the arm reports it; set the arm's tool frame to the model's, or correct the model"
        )


def _can_record(settings: GuardSettings, disk: DiskHealth | None) -> None:
    limits = settings.limits
    if disk is None:
        return
    if disk.failed or not (disk.free_bytes >= limits.min_disk_bytes and disk.left_s >= limits.min_disk_time_s):
        trouble = "failed" if disk.failed else f"has room for {disk.left_s / 60:.0f} min"
        raise EngageError(
            f"S26: the recorder's disk {trouble}, {disk.free_bytes / 1e9:.1f} GB free; an episode needs "
            f"{limits.min_disk_bytes / 1e9:g} GB and {limits.min_disk_time_s / 60:g} min: free some space"
        )


def _millimetres(pose: Pose) -> str:
    return "(" + ", ".join(f"{1000 * x:.0f}" for x in pose.position_m) + ") mm"
