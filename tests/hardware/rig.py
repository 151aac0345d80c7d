"""A guard on a fake arm, ticked by hand, that writes down everything it commands."""

from __future__ import annotations

from math import nan

import numpy as np

from hardware.cell import Cell, load_cell
from hardware.fakes import POINTING_DOWN, FakeArm, FakeClock, FakeTeleop
from hardware.guard import Guard
from hardware.interfaces import ArmCommand, ExecutedCommand, Gripper, Pose

NAN_POSE = Pose((nan, 0.0, 0.2), (0.0, 0.0, 0.0, 1.0))


class Rig:
    """``tick`` runs the guard's loop as LocalRobot does: read, tick, command."""

    def __init__(self, cell: Cell | None = None, lag_s: float = 0.0, pose: Pose = POINTING_DOWN):
        self.cell = cell or load_cell("twin")
        self.clock = FakeClock()
        self.arm = FakeArm(self.clock, pose, lag_s)
        self.arm.connect()
        self.teleop = FakeTeleop()
        self.guard = Guard(self.cell)
        self.limits = self.guard.settings.limits
        self.trace: list[ExecutedCommand] = []
        self.measured: list[Pose] = []
        self._sequence = 0

    def engage(self, gripper: Gripper = Gripper.HOLD) -> Rig:
        self.arm.command(self.guard.engage(self.arm.read(), self.clock.now(), gripper).reference)
        return self

    def ask(self, pose: Pose, gripper: Gripper = Gripper.HOLD, sequence: int | None = None) -> None:
        """A policy's command, arriving now."""
        self._sequence = self._sequence + 1 if sequence is None else sequence
        self.guard.submit(ArmCommand(pose, gripper, self._sequence, self.guard.session), self.clock.now())

    def tick(self, count: int = 1) -> ExecutedCommand:
        for _ in range(count):
            self.clock.time_s += self.cell.guard_period_s
            state, sample = self.arm.read(), self.teleop.read(self.clock.now())
            executed = self.guard.tick(self.clock.now(), state, sample)
            self.arm.command(executed.reference)
            self.trace.append(executed)
            self.measured.append(state.T_base_ee)
        return self.trace[-1]

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
