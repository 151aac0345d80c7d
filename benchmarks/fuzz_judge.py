"""The judge of ``make fuzz``: what may never pass the guard, worked out without the guard's own code."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isfinite, sqrt
from typing import Any

import numpy as np

from hardware.fakes import FakeArm
from hardware.guard import Guard
from hardware.interfaces import ArmCommand, ArmState, ExecutedCommand, Gripper, GuardMode, Source

SLACK = 1e-6


class LeakError(AssertionError):
    """Something passed the guard that must not; the message has the seed that repeats it."""


@dataclass
class Tally:
    """What was tried and the worst that came of it; SI."""

    inputs: int = 0
    ticks: int = 0
    stops: int = 0
    driven_ticks: int = 0
    """In which the guard ran: it must not be safe by standing still."""
    worst: dict[str, float] = field(default_factory=dict)

    def note(self, name: str, value: float) -> None:
        if value > self.worst.get(name, 0.0):
            self.worst[name] = value


class Judge:
    """Sees every command that is sent and every tick; raises :class:`LeakError`."""

    def __init__(self, seed: int, guard: Guard, arm: FakeArm, period_s: float):
        self.seed, self.guard, self.arm, self.period_s, self.tally = seed, guard, arm, period_s, Tally()
        self.limits, self.box = guard.settings.limits, guard.settings.workspace
        self.session, self.newest = guard.session, -1
        """The session, and the greatest number of a sound command that arrived in it."""
        self.operated = True
        """Since the tick before."""
        self._pending: list[tuple[float, ArmCommand]] = []
        self._twists: list[tuple[float, ...]] = []
        self._before: ExecutedCommand | None = None

    def sent(self, arrival_s: float, command: ArmCommand) -> None:
        """A command that will arrive then."""
        self._pending.append((arrival_s, command))

    def asked(self) -> None:
        """The operator asked for something, which may have begun another session."""
        self.operated = True
        if self.guard.session != self.session:
            self.session, self.newest = self.guard.session, -1
            self._pending.clear()

    def restarted(self) -> None:
        """The arm's own watchdog stopped it, so the guard starts anew (S3)."""
        self._twists.clear()

    def judge(self, executed: ExecutedCommand, state: ArmState, now: float) -> None:
        """One tick, and what the arm measured before it."""
        newer = self._arrived(now, heard=executed.mode is not GuardMode.DISARMED)
        before, self._before = self._before, executed
        operated, self.operated = self.operated, False
        if executed.mode is GuardMode.DISARMED:
            self._twists.clear()
            return
        self.tally.driven_ticks += executed.mode is GuardMode.RUNNING
        if before is not None and not operated:
            self.tally.stops += executed.mode >= GuardMode.HOLD > before.mode
            if before.mode >= GuardMode.HOLD and executed.mode < before.mode:
                raise self.leak(f"left {before.mode.name} for {executed.mode.name} without the operator")
            policy = executed.source is before.source is Source.POLICY and not executed.refusals
            if policy and executed.target != before.target and not newer:
                raise self.leak("the policy's target moved though no sound, new command arrived")
        self._judge_reference(executed, state)

    def _judge_reference(self, executed: ExecutedCommand, state: ArmState) -> None:
        reference, limits, box = executed.reference, self.limits, self.box
        for pose in (executed.target, reference.T_base_ee):
            numbers = (*pose.position_m, *pose.quat_xyzw)
            if not all(type(n) is float and isfinite(n) for n in numbers):
                raise self.leak(f"not finite floats: {pose}")
            norm = sqrt(sum(q * q for q in pose.quat_xyzw))
            if abs(norm - 1.0) > SLACK:
                raise self.leak(f"quaternion of length {norm}")
            if box.excess(pose.position_m) > 0.0:
                raise self.leak(f"outside the box: {pose.position_m}")
        numbers = (*reference.twist, reference.gripper_width_m)
        if not all(isfinite(n) for n in numbers):
            raise self.leak(f"not finite: {reference}")
        self._twists.append(reference.twist)
        self._check_rates()
        measured = self.arm.pose.position_m
        lead = sqrt(sum((a - b) ** 2 for a, b in zip(reference.T_base_ee.position_m, measured, strict=True)))
        if executed.mode <= GuardMode.RUNNING and isfinite(sum(state.T_base_ee.position_m)):
            self._bound("lead, mm", 1000 * lead, 1000 * limits.max_lead_m)

    def _check_rates(self) -> None:
        limits = self.limits
        del self._twists[:-3]
        twist, period = self._twists[-1], self.period_s
        self._bound("speed, mm/s", 1000 * _norm(twist[:3]), 1000 * limits.max_speed_m_s)
        self._bound("angular speed, rad/s", _norm(twist[3:]), limits.max_angular_speed_rad_s)
        if len(self._twists) < 3:
            return
        a, b, c = self._twists
        first = [y - x for x, y in zip(b, c, strict=True)]
        second = [z - 2 * y + x for x, y, z in zip(a, b, c, strict=True)]
        self._bound("acceleration, m/s^2", _norm(first[:3]) / period, limits.max_stop_acceleration_m_s2)
        self._bound("jerk, m/s^3", _norm(second[:3]) / period**2, limits.max_stop_jerk_m_s3)
        turning, jerking = limits.max_stop_angular_acceleration_rad_s2, limits.max_stop_angular_jerk_rad_s3
        self._bound("angular acceleration, rad/s^2", _norm(first[3:]) / period, turning)
        self._bound("angular jerk, rad/s^3", _norm(second[3:]) / period**2, jerking)

    def _bound(self, name: str, value: float, limit: float) -> None:
        if not value <= limit * (1.0 + SLACK) + SLACK:
            raise self.leak(f"{name}: {value:.6g} over {limit:.6g}")
        self.tally.note(name, value)

    def leak(self, text: str) -> LeakError:
        where = f"seed {self.seed}, tick {self.tally.ticks}, {self.guard.mode.name} ({self.guard.reason})"
        return LeakError(f"{text} [{where}]")

    def _arrived(self, now: float, heard: bool) -> bool:
        """The oracle: whether a sound command of this session arrived that is newer than all before it. What comes
        while nobody hears it is gone."""
        newest = self.newest
        for arrival_s, command in self._pending:
            if arrival_s <= now + 1e-9 and heard:
                newest = max(newest, _count(command, self.session))
        self._pending = [entry for entry in self._pending if entry[0] > now + 1e-9]
        newer, self.newest = newest > self.newest, newest
        return newer


def _norm(vector: Any) -> float:
    return sqrt(sum(x * x for x in vector))


def _count(command: ArmCommand, session: int) -> int:
    """The number of a command that counts in ``session``, judged without the guard's own code; -1 if it does not."""
    try:
        (x, y, z), (qx, qy, qz, qw) = command.T_base_ee
    except (TypeError, ValueError):
        return -1
    numbers = (x, y, z, qx, qy, qz, qw)
    if not all(isinstance(n, (int, float, np.floating)) and abs(n) < 1e300 for n in numbers):
        return -1
    named = type(command.gripper) in (int, Gripper) and command.gripper in (-1, 0, 1)
    unit = abs(_norm([float(n) for n in numbers[3:]]) - 1.0) <= 0.01
    return command.sequence if unit and named and command.session == session else -1
