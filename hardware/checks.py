"""The guard's watchdogs: one entry of :data:`CHECKS` each, a pure function of what a tick sees.

Ids are those of ``docs/safety.md``. Each says how far something is over its limit; a further one is a further entry.
"""

from __future__ import annotations

from collections.abc import Callable
from math import hypot, inf, isfinite
from typing import NamedTuple

from hardware.guard_inputs import GuardInputs
from hardware.guard_state import GuardSettings, GuardState
from hardware.interfaces import GuardMode, Source
from hardware.limits import Limits

Excess = Callable[[GuardSettings, GuardState, GuardInputs, float], float]
"""(settings, state, inputs, now) -> how far over the limit, SI; 0 or less is fine, and what is not a number is not."""


class Check(NamedTuple):
    """``excess`` > 0, for as long as ``persist_s`` says, moves the guard to ``mode``."""

    limit: str
    says: str
    """What it means when it trips, for people."""
    mode: GuardMode
    excess: Excess
    persist_s: Callable[[Limits], float] | None = None
    """None: it trips at once."""
    stream: bool = False
    """It watches a source that must be there before engaging (S10)."""
    disarms: bool = False
    """The stop that it causes ends DISARMED."""


def is_readable(inputs: GuardInputs) -> bool:
    """S1: every number from arm and person is finite."""
    # A sum is finite only if every term is: a few calls instead of fifty.
    arm, teleop = inputs.arm, inputs.teleop
    try:
        (x, y, z), (qx, qy, qz, qw) = arm.T_base_ee
        arms = (*arm.ee_twist, *arm.wrench, *arm.joint_positions_rad, *arm.joint_velocities_rad_s)
        others = (x, y, z, qx, qy, qz, qw, arm.gripper_width_m, arm.stamp_s, *teleop.twist, teleop.heartbeat_s)
        complete = len(arm.ee_twist) == len(arm.wrench) == len(teleop.twist) == 6
        return complete and isfinite(sum((*arms, *others)))
    except (TypeError, ValueError, OverflowError):
        return False


def _stale_command(settings: GuardSettings, state: GuardState, inputs: GuardInputs, now: float) -> float:
    # Age by when it came, never by what its sender stamped. A policy that has not begun is not late.
    commanded_s = state.mux.commanded_s
    if commanded_s is None or not _policy_drives(state):
        return 0.0
    return now - commanded_s - settings.command_timeout_s - 1e-9


def _policy_drives(state: GuardState) -> bool:
    return state.mode is GuardMode.RUNNING and state.mux.driver is Source.POLICY and not state.resetting


def _outside(settings: GuardSettings, state: GuardState, inputs: GuardInputs, now: float) -> float:
    return settings.workspace.excess(inputs.arm.T_base_ee.position_m) - settings.limits.max_workspace_excess_m


def _overspeed(settings: GuardSettings, state: GuardState, inputs: GuardInputs, now: float) -> float:
    return _beyond(inputs.arm.ee_twist, settings.limits.max_measured_speed_m_s)


def _pressed(settings: GuardSettings, state: GuardState, inputs: GuardInputs, now: float) -> float:
    return _beyond(inputs.arm.wrench, settings.limits.max_force_n)


def _hit(settings: GuardSettings, state: GuardState, inputs: GuardInputs, now: float) -> float:
    return _beyond(inputs.arm.wrench, settings.limits.max_force_to_fault_n)


def _pressed_in_reset(settings: GuardSettings, state: GuardState, inputs: GuardInputs, now: float) -> float:
    return _beyond(inputs.arm.wrench, settings.limits.max_reset_force_n) if state.resetting else 0.0


def _beyond(six: tuple[float, float, float, float, float, float], limit: float) -> float:
    """How far the first three of ``six`` are longer than ``limit``."""
    x, y, z, *_ = six
    return hypot(x, y, z) - limit


def _old_arm(settings: GuardSettings, state: GuardState, inputs: GuardInputs, now: float) -> float:
    return _old(now - inputs.arm.stamp_s, settings.limits.max_arm_state_age_s)


def _stopped_arm(settings: GuardSettings, state: GuardState, inputs: GuardInputs, now: float) -> float:
    return 1.0 if inputs.arm.stopped else 0.0


def _dead_teleop(settings: GuardSettings, state: GuardState, inputs: GuardInputs, now: float) -> float:
    return _old(now - inputs.teleop.heartbeat_s, settings.limits.max_teleop_age_s)


def _old(age_s: float, limit_s: float) -> float:
    """How much older than ``limit_s``. A stamp from the future is as bad: it would stay young for ever."""
    return _sure(abs(age_s) - limit_s - 1e-9)


def _sure(excess: float) -> float:
    """What is not a number is over any limit, and must not be lost in a ``max``."""
    return excess if excess == excess else inf


def _released(settings: GuardSettings, state: GuardState, inputs: GuardInputs, now: float) -> float:
    # A device that says nothing of its switch counts as released.
    return 1.0 if settings.enable_switch and inputs.teleop.enabled is not True else 0.0


def _blind(settings: GuardSettings, state: GuardState, inputs: GuardInputs, now: float) -> float:
    limits, worst = settings.limits, 0.0
    for camera in inputs.cameras:
        timeout_s = min(limits.camera_timeout_periods * camera.period_s, limits.max_camera_age_s)
        worst = max(worst, _old(now - camera.stamp_s, timeout_s))
    return worst


def _frozen(settings: GuardSettings, state: GuardState, inputs: GuardInputs, now: float) -> float:
    limits, worst = settings.limits, 0.0
    for camera in inputs.cameras:
        if camera.repeats >= limits.identical_frames:
            worst = max(worst, _sure(camera.moved_m - limits.max_frozen_motion_m))
    return worst


def _skewed(settings: GuardSettings, state: GuardState, inputs: GuardInputs, now: float) -> float:
    return _too_many(state, state.counts.dropped_s, now, settings.limits.dropped_window_s, settings.max_dropped)


def _corrupt(settings: GuardSettings, state: GuardState, inputs: GuardInputs, now: float) -> float:
    limits = settings.limits
    allowed = limits.corrupt_packets_to_hold - 1
    return _too_many(state, state.counts.corrupt_s, now, limits.corrupt_window_s, allowed)


def _too_many(state: GuardState, times_s: tuple[float, ...], now: float, window_s: float, allowed: float) -> float:
    # Resuming forgives what was counted: in HOLD it must not prolong the stop.
    if not times_s or state.mode >= GuardMode.HOLD:
        return 0.0
    return sum(now - t < window_s for t in times_s) - allowed


def _outdated(settings: GuardSettings, state: GuardState, inputs: GuardInputs, now: float) -> float:
    age_s = inputs.link.policy_age_s
    if age_s is None or not _policy_drives(state):
        return 0.0
    return age_s - settings.limits.max_policy_age_s


def _other_actor(settings: GuardSettings, state: GuardState, inputs: GuardInputs, now: float) -> float:
    actor = inputs.link.actor
    return 0.0 if actor is None or state.actor is None or actor == state.actor else 1.0


def _late(settings: GuardSettings, state: GuardState, inputs: GuardInputs, now: float) -> float:
    # Ticks missed, or, by a clock that runs backwards, the ticks it lost.
    passed = (now - state.tick_s) / settings.period_s
    return max(-passed, passed - 1.0 - settings.limits.max_missed_ticks - 1e-6)


def _other_arm_holds(settings: GuardSettings, state: GuardState, inputs: GuardInputs, now: float) -> float:
    return 1.0 if any(neighbour.holds for neighbour in inputs.neighbours) else 0.0


def _unrecorded(settings: GuardSettings, state: GuardState, inputs: GuardInputs, now: float) -> float:
    return 1.0 if inputs.disk is not None and inputs.disk.failed else 0.0


OTHER_ARM_HOLDS = "S30"
HOLD, FAULT = GuardMode.HOLD, GuardMode.FAULT
CHECKS: tuple[Check, ...] = (
    Check("S2", "the policy's commands stopped coming", HOLD, _stale_command),
    Check("S4", "the arm is measured outside the workspace", FAULT, _outside),
    Check("S5", "the arm moves too fast", FAULT, _overspeed, lambda limits: limits.measured_speed_window_s),
    Check("S8", "the arm presses too hard", HOLD, _pressed, lambda limits: limits.force_window_s),
    Check("S8", "the arm hit something", FAULT, _hit),
    Check("S10", "the state of the arm is old", HOLD, _old_arm, stream=True),
    Check("S12", "the arm's own controller stopped it", FAULT, _stopped_arm),
    Check("S13", "the reader of the teleop device is dead", HOLD, _dead_teleop, stream=True),
    Check("S15", "the enable switch is released", HOLD, _released),
    Check("S16", "a camera's newest frame is old", HOLD, _blind, stream=True),
    Check("S17", "a camera shows the same picture though the arm moves", HOLD, _frozen, stream=True),
    Check("S18", "too many observations had frames of different times", HOLD, _skewed),
    Check("S21", "too many packets could not be read", HOLD, _corrupt),
    Check("S22", "the policy has not been renewed for long", HOLD, _outdated),
    Check("S24", "the actor restarted", HOLD, _other_actor, disarms=True),
    Check("S25", "the guard missed ticks", HOLD, _late),
    Check("S26", "the recording failed", HOLD, _unrecorded),
    Check("S27", "a reset presses against something", HOLD, _pressed_in_reset, lambda limits: limits.force_window_s),
    Check(OTHER_ARM_HOLDS, "the other arm holds", HOLD, _other_arm_holds),
)
STREAMS = tuple(check for check in CHECKS if check.stream)
