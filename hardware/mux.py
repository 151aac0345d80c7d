"""Who drives: the person or the policy, and what each may ask for. Pure functions of immutable values.

The person wins. Control passes at the first takeover sample and comes back once the hand has rested for ``release_s``;
policy commands that arrive meanwhile are dropped, so that what drives after a release was decided after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, sqrt
from typing import NamedTuple

from hardware.geometry import pose_add
from hardware.interfaces import ArmCommand, Pose, Source, TeleopSample, Vector3


class MuxState(NamedTuple):
    """Who drives, and which policy commands are still new."""

    driver: Source = Source.POLICY
    """POLICY or HUMAN."""
    last_takeover_s: float = -inf
    session: int = 0
    """Only commands of this session count: a reset begins a new one."""
    last_sequence: int = -1
    commanded_s: float | None = None
    """When the newest command of this session came (S2), by the receiver's clock; None before the first."""
    proposed: Pose | None = None
    """What it asked for."""


def arbitrate(state: MuxState, sample: TeleopSample, now: float, release_s: float) -> MuxState:
    """Decide who drives this tick."""
    if sample.takeover:
        return state._replace(driver=Source.HUMAN, last_takeover_s=now)
    if state.driver is Source.HUMAN and now - state.last_takeover_s >= release_s - 1e-9:
        return state._replace(driver=Source.POLICY)
    return state


def newest(state: MuxState, commands: Sequence[ArmCommand], now: float) -> tuple[MuxState, ArmCommand | None]:
    """The newest of the ``commands`` arrived by ``now`` that belongs to this session and is newer than all before."""
    best = None
    last = state.last_sequence
    for command in commands:
        if command.session == state.session and command.sequence > last:
            best, last = command, command.sequence
    if best is None:
        return state, None
    return MuxState(state.driver, state.last_takeover_s, state.session, last, now, best.T_base_ee), best


def jog(target: Pose, sample: TeleopSample, speed_m_s: float, speed_rad_s: float, period_s: float) -> Pose:
    """The person's target one tick on: deflections integrate into it, 1 being the full speed per axis."""
    if not sample.takeover:
        return target
    linear, angular = speed_m_s * period_s, speed_rad_s * period_s
    x, y, z, rx, ry, rz = (min(max(deflection, -1.0), 1.0) for deflection in sample.twist)
    return pose_add(target, (x * linear, y * linear, z * linear, rx * angular, ry * angular, rz * angular))


def within_reach(target: Vector3, reference: Vector3, reach: float) -> Vector3:
    """``target`` pulled back to within ``reach`` of ``reference``, so that a stick held at a stop winds nothing up."""
    dx, dy, dz = target[0] - reference[0], target[1] - reference[1], target[2] - reference[2]
    distance = sqrt(dx * dx + dy * dy + dz * dz)
    if distance <= reach:
        return target
    scale = reach / distance
    return reference[0] + dx * scale, reference[1] + dy * scale, reference[2] + dz * scale
