"""The twin's arm behind a guard, in one process: every physics step and every tick written down for a test to judge."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hardware.cell import Cell, Workspace, load_cell
from hardware.fakes import FakeTeleop, shifted
from hardware.geometry import pose_add
from hardware.guard import EngageError
from hardware.guard_inputs import GuardInputs
from hardware.guard_state import GuardState
from hardware.interfaces import ArmCommand, ExecutedCommand, GuardMode, Pose, Source, Vector3
from hardware.local_robot import LocalRobot
from sim.drivers import SimArm, SimClock
from sim.tasks import make_task

CELL = replace(load_cell("twin"), workspace=Workspace((0.35, -0.25, 0.06), (0.65, 0.25, 0.45)))
"""All of this box can be reached with the hand tilted by half a radian, so nothing but S4 keeps the arm in it."""


class JudgedTwin:
    """An arm of the twin behind a guard; writes down every physics step and every tick."""

    def __init__(self, seed: int = 0, cell: Cell = CELL):
        twin = make_task("reach")
        plan = twin.reset(np.random.default_rng(seed), teleport=True)
        assert plan.teleport is not None
        plan.teleport()
        self.world, self.cell = twin.world, cell
        self.clock = SimClock(twin.world, command_delay_s=0.0)
        self.steps: list[tuple[float, ...]] = []
        """Time, measured position, linear and angular velocity."""
        self.ticks: list[tuple[float, ...]] = []
        """Stamp, reference position and twist, lead over the measured position."""
        self.modes: list[GuardMode] = []
        self.sources: list[Source] = []
        sensors = twin.world.data.sensordata
        self.clock.every(
            twin.world.timestep_s,
            lambda now: self.steps.append((now, *sensors[6:9].tolist(), *sensors[13:19].tolist())),
        )
        self.arm = SimArm(twin.world, reference_period_s=cell.guard_period_s)
        self.arm.connect()
        self.teleop = FakeTeleop()
        self.robot = LocalRobot(self.arm, {}, self.teleop, cell, self.clock)
        self.guard, self.limits = self.robot.guard, self.robot.guard.settings.limits
        self.guard.recorder = self._record
        self.engage()

    def engage(self) -> None:
        """As soon as the guard lets."""
        for _ in range(300):
            try:
                self.guard.engage(self.arm.read(), self.clock.now())
                return
            except EngageError:
                self.wait(0.01)
        raise AssertionError(f"never engaged: {self.guard.mode.name}, {self.guard.reason}")

    def resume(self) -> None:
        for _ in range(300):
            try:
                self.robot.resume()
                return
            except EngageError:
                self.wait(0.01)
        raise AssertionError(f"never resumed: {self.guard.mode.name}, {self.guard.reason}")

    def wait(self, seconds: float) -> None:
        self.clock.sleep_until(self.clock.now() + seconds)

    def ask(self, metres: Vector3, radians: Vector3 = (0.0, 0.0, 0.0), seconds: float = 0.05) -> None:
        """A policy's target, this far from the reference now; said again at 20 Hz for ``seconds``."""
        target = pose_add(self.reference, (*metres, *radians))
        for _ in range(max(1, round(seconds * 20.0))):
            self.robot.command(ArmCommand(target))
            self.wait(0.05)

    def run(self, velocity_m_s: Vector3, seconds: float, hz: float = 20.0) -> None:
        """A policy whose target runs half a second ahead."""
        for _ in range(round(seconds * hz)):
            self.robot.command(ArmCommand(shifted(self.reference, tuple(0.5 * v for v in velocity_m_s))))
            self.wait(1.0 / hz)

    @property
    def reference(self) -> Pose:
        """The newest commanded."""
        return self.executed.reference.T_base_ee

    @property
    def log(self) -> np.ndarray:
        """(steps, 10): time, position, linear and angular velocity."""
        return np.array(self.steps)

    @property
    def trace(self) -> np.ndarray:
        """(ticks, 13): time, reference position and twist, lead over the measured position."""
        return np.array(self.ticks)

    def _record(self, inputs: GuardInputs, state: GuardState, executed: ExecutedCommand) -> None:
        self.executed = executed
        lead = np.subtract(executed.reference.T_base_ee.position_m, inputs.arm.T_base_ee.position_m)
        position, twist = executed.reference.T_base_ee.position_m, executed.reference.twist
        self.ticks.append((executed.stamp_s, *position, *twist, *lead.tolist()))
        self.modes.append(executed.mode)
        self.sources.append(executed.source)
