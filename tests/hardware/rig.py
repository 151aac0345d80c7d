"""A guard on a fake arm, ticked by hand, that writes down everything it commands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import inf, nan
from typing import Any

import numpy as np
import pytest

from hardware.camera_health import CameraHealth
from hardware.cell import Cell, load_cell
from hardware.fakes import POINTING_DOWN, FakeArm, FakeClock, FakeTeleop
from hardware.guard import Guard
from hardware.guard_inputs import DiskHealth, GuardInputs, LinkHealth
from hardware.interfaces import ArmCommand, ExecutedCommand, Gripper, GuardMode, Pose, Source

NAN_POSE = Pose((nan, 0.0, 0.2), (0.0, 0.0, 0.0, 1.0))


def fake_cell(**changes: Any) -> Cell:
    """The twin's cell around a :class:`FakeArm`."""
    return replace(load_cell("twin"), arm="fake", home_joint_positions_rad=(), **changes)


class Rig:
    """``tick`` runs the guard's loop as LocalRobot does: read, tick, command."""

    def __init__(
        self,
        cell: Cell | None = None,
        lag_s: float = 0.0,
        pose: Pose = POINTING_DOWN,
        control_hz: float | None = None,
        profile: str = "collaborative",
    ):
        """Time is 0 at the first engagement. ``control_hz``: rate that the policy promises; None promises none."""
        self.cell = cell or fake_cell()
        self.clock = FakeClock(-1.0)
        self.arm = FakeArm(self.clock, pose, lag_s)
        self.arm.connect()
        self.teleop = FakeTeleop()
        self.guard = Guard(self.cell, profile, control_hz=control_hz)
        self.cameras: tuple[CameraHealth, ...] = ()
        self.link = LinkHealth()
        self.disk: DiskHealth | None = None
        self.distort: Callable[[GuardInputs, float], GuardInputs] = lambda inputs, now: inputs
        """Has the last word on what the guard sees, given the true inputs and the time."""
        self.limits = self.guard.settings.limits
        self.trace: list[ExecutedCommand] = []
        self.measured: list[Pose] = []
        self._sequence = 0
        self._measured: dict[str, Any] = {}

    def engage(self, gripper: Gripper = Gripper.HOLD) -> Rig:
        """Engage as soon as that is granted: after a second of streaming, half a second after a stop."""
        for _ in range(200):
            if self.guard.streaming_s >= 1.0 and self.clock.now() >= self.guard.may_restart_s:
                break
            self._tick()
        self.arm.command(self.guard.engage(self.arm.read(), self.clock.now(), gripper).reference)
        return self

    def resume(self) -> Rig:
        """The operator resumes at once."""
        self.guard.resume(self.arm.read(), self.clock.now())
        return self

    def ask(self, pose: Pose, gripper: Gripper = Gripper.HOLD, sequence: int | None = None) -> None:
        """A policy's command, arriving now."""
        self._sequence = self._sequence + 1 if sequence is None else sequence
        self.guard.submit(ArmCommand(pose, gripper, self._sequence, self.guard.session), self.clock.now())

    def tick(self, count: int = 1) -> ExecutedCommand:
        """``count`` periods; the last."""
        for _ in range(count):
            executed = self._tick()
            self.trace.append(executed)
            self.measured.append(self._state.T_base_ee)
        return self.trace[-1]

    def skip(self, periods: float) -> None:
        """Time passes (or, negative, jumps back) without a tick."""
        self.clock.time_s = round(self.clock.time_s + periods * self.cell.guard_period_s, 9)

    def see(self, count: int = 1, **measured: Any) -> ExecutedCommand:
        """``count`` periods in which the arm reports what ``measured`` says instead of the truth; the last."""
        self._measured = measured
        executed = self.tick(count)
        self._measured = {}
        return executed

    def _tick(self) -> ExecutedCommand:
        self.clock.time_s = round(self.clock.time_s + self.cell.guard_period_s, 9)
        now = self.clock.now()
        self._state = replace(self.arm.read(), **self._measured)
        true = GuardInputs(self._state, self.teleop.read(now), (), self.cameras, self.link, self.disk)
        seen = self.distort(true, now)
        executed = self.guard.tick(now, seen.arm, seen.teleop, seen.cameras, seen.link, seen.disk)
        if executed.mode is not GuardMode.DISARMED:
            self.arm.command(executed.reference)
        return executed

    @property
    def positions(self) -> np.ndarray:
        """Reference positions, (ticks, 3)."""
        return np.array([executed.reference.T_base_ee.position_m for executed in self.trace])

    @property
    def quats(self) -> np.ndarray:
        """Reference orientations, (ticks, 4)."""
        return np.array([executed.reference.T_base_ee.quat_xyzw for executed in self.trace])

    @property
    def twists(self) -> np.ndarray:
        """Reference twists, (ticks, 6)."""
        return np.array([executed.reference.twist for executed in self.trace])


def ready(**changes) -> Rig:
    """Disarmed, all streaming for long."""
    rig = Rig(**changes)
    rig.tick(150)
    return rig


def once(rig: Rig, **link) -> ExecutedCommand:
    """One tick that hears this of the link, which is quiet afterwards."""
    rig.link = LinkHealth(**link)
    executed = rig.tick()
    rig.link = LinkHealth()
    return executed


def running(control_hz: float | None = None) -> Rig:
    rig = Rig(control_hz=None).engage()
    rig.ask(POINTING_DOWN)
    rig.tick(20)
    if control_hz is not None:
        rig.guard.settings = replace(rig.guard.settings.at_rate(control_hz), command_timeout_s=inf)
    return rig


def assert_held(executed: ExecutedCommand, limit: str, amount: float, source: Source = Source.HOLD) -> None:
    assert (executed.mode, executed.source) == (GuardMode.HOLD, Source.HOLD)
    assert executed.reason.startswith(f"{limit}: ")
    (refusal,) = (refusal for refusal in executed.refusals if refusal.limit == limit)
    assert (refusal.amount, refusal.source) == (pytest.approx(amount), source)
