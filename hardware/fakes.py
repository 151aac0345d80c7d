"""Drivers without devices, for tests: exact, immediate, under a clock that only moves when told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from math import exp, inf

import numpy as np

from hardware.geometry import pose_add, pose_delta, quat_from_rotvec
from hardware.interfaces import (
    ZERO6,
    ArmReference,
    ArmState,
    CameraFrame,
    Clock,
    FrameStamp,
    Pose,
    TeleopSample,
    Vector3,
    Vector6,
)

POINTING_DOWN = Pose((0.45, 0.0, 0.25), quat_from_rotvec((3.141592653589793, 0.0, 0.0)))
"""The end effector over the middle of a table, gripper down."""


@dataclass
class FakeClock:
    """Time that moves in :meth:`sleep_until`, calling what :meth:`every` registered on the way, in order."""

    time_s: float = 0.0
    delays_s: Mapping[str, float] = field(default_factory=dict)
    _calls: list[tuple[float, float, Callable[[float], None]]] = field(default_factory=list)
    _counts: list[int] = field(default_factory=list)

    def now(self) -> float:
        return self.time_s

    def sleep_until(self, deadline_s: float) -> None:
        deadline_s = round(deadline_s, 9)  # Sums of periods lie on a grid only nearly; here they do exactly.
        while self._calls:
            timers = zip(self._counts, self._calls, strict=True)
            due = [round(count * period + phase, 9) for count, (period, phase, _) in timers]
            index = min(range(len(due)), key=lambda i: (due[i], i))
            if due[index] > deadline_s:
                break
            self._counts[index] += 1
            self.time_s = max(self.time_s, due[index])
            self._calls[index][2](self.time_s)
        self.time_s = max(self.time_s, deadline_s)

    def every(self, period_s: float, call: Callable[[float], None], phase_s: float = 0.0) -> None:
        self._calls.append((period_s, phase_s, call))
        self._counts.append(int((self.time_s - phase_s + 1e-9) // period_s) + 1)

    def delay_s(self, kind: str) -> float:
        return self.delays_s.get(kind, 0.0)


@dataclass
class FakeArm:
    """An arm that follows its reference with a first-order lag, and stops by itself when references stop."""

    clock: Clock
    pose: Pose = POINTING_DOWN
    lag_s: float = 0.0
    """Time constant; 0 tracks exactly."""
    watchdog_s: float = 0.1
    blocked: bool = False
    """Something holds the arm: it does not move whatever it is told."""
    gripper_width_m: float = 0.08
    wrench: Vector6 = ZERO6
    gone: bool = False
    """The cable is out: reading raises."""
    stopped: str = ""
    """Why the arm's own controller has stopped it."""
    commands: int = 0
    recoveries: int = 0
    reference: ArmReference | None = None
    _read_s: float = -inf
    _commanded_s: float = -inf
    _twist: Vector6 = ZERO6

    def connect(self) -> None:
        """Nothing to connect to."""

    def read(self) -> ArmState:
        if self.gone:
            raise ConnectionError("the fake arm is gone")
        now = self.clock.now()
        if now > self._read_s:
            self._move(now - self._read_s, now)
            self._read_s = now
        joints, width = (0.0,) * 7, self.gripper_width_m
        return ArmState(now, self.pose, self._twist, joints, joints, self.wrench, width, self.stopped)

    def command(self, reference: ArmReference) -> None:
        self.reference, self._commanded_s = reference, self.clock.now()
        self.commands += 1
        self.gripper_width_m = reference.gripper_width_m

    def recover(self) -> None:
        self.stopped, self.reference = "", None
        self.recoveries += 1

    def close(self) -> None:
        self.reference = None

    def _move(self, elapsed_s: float, now: float) -> None:
        stopped = (
            self.reference is None or self.blocked or bool(self.stopped) or now - self._commanded_s > self.watchdog_s
        )
        if stopped or self.reference is None:
            self._twist = ZERO6
            return
        share = 1.0 if self.lag_s == 0.0 else 1.0 - exp(-elapsed_s / self.lag_s)
        delta = pose_delta(self.pose, self.reference.T_base_ee)
        self.pose = self.reference.T_base_ee if share == 1.0 else pose_add(self.pose, _scaled(delta, share))
        self._twist = self.reference.twist


@dataclass
class FakeCamera:
    """A camera whose frames are as old as asked; ``frozen_s`` stops it at that time."""

    clock: Clock
    name: str = "front"
    width_px: int = 32
    height_px: int = 24
    period_s: float = 1.0 / 30.0
    frozen_s: float = inf

    def connect(self) -> None: ...

    def newest(self) -> FrameStamp:
        sequence = int((min(self.clock.now(), self.frozen_s) + 1e-9) // self.period_s)
        return FrameStamp(sequence * self.period_s, sequence)

    def read_latest(self, max_age_s: float) -> CameraFrame:
        now, (stamp_s, sequence, _) = self.clock.now(), self.newest()
        if now - stamp_s > max_age_s:
            raise TimeoutError(
                f"camera {self.name!r}: newest frame is {now - stamp_s:.3f} s old, {max_age_s:.3f} s are allowed; "
                "check its cable"
            )
        image = np.full((self.height_px, self.width_px, 3), sequence % 256, np.uint8)
        return CameraFrame(stamp_s, sequence, image)

    def close(self) -> None: ...


@dataclass
class FakeTeleop:
    """A device whose stick is set by the test."""

    sample: TeleopSample = field(default_factory=lambda: TeleopSample(heartbeat_s=0.0))

    def connect(self) -> None: ...

    def read(self, now: float) -> TeleopSample:
        return replace(self.sample, heartbeat_s=now)

    def push(self, *twist: float) -> None:
        """Deflect and take over: up to six axes, the rest at zero."""
        padded: Vector6 = (*twist, *(0.0,) * (6 - len(twist)))  # type: ignore[assignment]
        self.sample = replace(self.sample, twist=padded, takeover=True)

    def release(self) -> None:
        """Let go of the stick."""
        self.sample = TeleopSample(heartbeat_s=0.0)

    def close(self) -> None: ...


def shifted(pose: Pose, move: Vector3) -> Pose:
    """``pose`` moved by ``move`` (m)."""
    x, y, z = pose.position_m
    return pose._replace(position_m=(x + move[0], y + move[1], z + move[2]))


def _scaled(delta: Vector6, share: float) -> Vector6:
    a, b, c, d, e, f = delta
    return (a * share, b * share, c * share, d * share, e * share, f * share)
