"""Limits as pure functions: which commands are sound, what is clipped of targets, when the gripper may move.

Ids are those of ``docs/safety.md``; the watchdogs stand in :mod:`hardware.checks`.
"""

from __future__ import annotations

from math import inf, isfinite, sqrt
from typing import NamedTuple

from hardware.geometry import quat_normalize
from hardware.guard_inputs import GuardInputs as GuardInputs
from hardware.interfaces import ArmCommand, Gripper, Pose, Vector3
from hardware.limits import Limits
from hardware.reference import Motion, Profiles, stop_distance

TRIP = 0.99
"""S7 brakes when the lead would exceed this fraction of its limit: what the prediction is good to."""
RETREAT = 0.95
"""After S7 the target stays this fraction of the lead limit ahead, so that the limit is not touched again at once."""


def is_sound(command: ArmCommand, limits: Limits) -> bool:
    """S1: finite numbers, right shapes, a unit quaternion. Comparisons are written so that NaN fails them."""
    try:
        (x, y, z), (qx, qy, qz, qw) = command.T_base_ee
        norm = sqrt(qx * qx + qy * qy + qz * qz + qw * qw)
        sound = isfinite(x + y + z) and abs(norm - 1.0) <= limits.quat_norm_tolerance
        numbered = isinstance(command.sequence, int) and isinstance(command.session, int)
        return bool(sound) and numbered and command.gripper in _GRIPPER_COMMANDS
    except (TypeError, ValueError, OverflowError, AttributeError):
        return False


_GRIPPER_COMMANDS = frozenset(Gripper)


def as_unit(pose: Pose) -> Pose:
    """A sound pose on plain floats, unit quaternion with positive w; the very same object where it already is."""
    (x, y, z), q = pose
    qx, qy, qz, qw = q
    unit = abs(qx * qx + qy * qy + qz * qz + qw * qw - 1.0) < 1e-9 and qw >= 0.0
    if unit and type(x) is type(y) is type(z) is type(qx) is type(qy) is type(qz) is type(qw) is float:
        return pose
    return Pose((float(x), float(y), float(z)), quat_normalize((float(qx), float(qy), float(qz), float(qw))))


def clip_norm(vector: Vector3, limit: float) -> Vector3:
    """``vector`` shortened to ``limit``."""
    x, y, z = vector
    square = x * x + y * y + z * z
    if square <= limit * limit:
        return vector
    scale = limit / sqrt(square)
    return x * scale, y * scale, z * scale


def lead_excess(
    motion: Motion, measured: Vector3, measured_velocity: Vector3, profiles: Profiles, limit: float, period_s: float
) -> float:
    """S7: how far over ``limit`` the lead is, or would get if the reference went on for a tick and braked then.

    The stopping distance is that of the speed relative to the arm's: an arm that keeps up is not braked.
    """
    stop, (_, most, jerk) = profiles.stop, profiles.normal
    now, soon, rise = 0.0, 0.0, jerk * period_s
    for position, velocity, acceleration, at, speed in zip(*motion, measured, measured_velocity, strict=True):
        lead, relative = position - at, velocity - speed
        ahead = lead + (relative + 0.5 * acceleration * period_s) * period_s
        relative += acceleration * period_s
        # What a tick of jerk may add, in the direction that matters.
        if relative >= 0.0:
            if acceleration < most:
                acceleration = min(acceleration + rise, most)
        elif acceleration > -most:
            acceleration = max(acceleration - rise, -most)
        ahead += stop_distance(relative, acceleration, stop)
        now += lead * lead
        soon += ahead * ahead
    return max(0.0, sqrt(max(now, soon)) - TRIP * limit)


def moves_ahead(motion: Motion, measured: Vector3) -> bool:
    """S7: whether the reference moves, or is about to move, away from the arm; one that returns must not be braked."""
    position, velocity, acceleration = motion
    ahead = [p - m for p, m in zip(position, measured, strict=True)]
    return any(sum(a * x for a, x in zip(ahead, rate, strict=True)) > 0.0 for rate in (velocity, acceleration))


def bring_back(point: Vector3, measured: Vector3, limit: float) -> Vector3:
    """S7: ``point`` pulled towards the arm until it leads by a little less than ``limit``; what was pulled there stays
    as it is, to the last bit."""
    lead = (point[0] - measured[0], point[1] - measured[1], point[2] - measured[2])
    if clip_norm(lead, RETREAT * limit * (1.0 + 1e-9)) is lead:
        return point
    dx, dy, dz = clip_norm(lead, RETREAT * limit)
    return measured[0] + dx, measured[1] + dy, measured[2] + dz


class GripperState(NamedTuple):
    """The last command let through and when it changed."""

    command: Gripper = Gripper.HOLD
    changed_s: float = -inf
    width_m: float = 0.0
    """Finger distance commanded."""


def debounce(state: GripperState, wanted: Gripper, now: float, limits: Limits) -> tuple[bool, float]:
    """S28: whether a change to ``wanted`` is due, and how many seconds too early it came (0 if not)."""
    if wanted is Gripper.HOLD or wanted == state.command:
        return False, 0.0
    early = limits.min_gripper_toggle_s - (now - state.changed_s)
    # Ticks fall on a grid; half a nanosecond of rounding is not impatience.
    return (True, 0.0) if early <= 1e-9 else (False, early)
