"""The vendors' SDKs against processes and terminals that speak the arms' own protocols."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from math import inf, pi
from os import getpid
from pathlib import Path
from threading import Thread
from typing import Protocol

import numpy as np
import pytest

from hardware.arms.so101_bus import COUNTS, SIGNS, ZEROS_RAD
from hardware.cell import Cell, load_cell
from hardware.clock import RealClock
from hardware.device_settings import ControllerSettings
from hardware.fakes import shifted
from hardware.interfaces import Arm, ArmReference
from tests.hardware.arms.servo_bus import ServoBus

ROOT = Path(__file__).parents[3]
_MARGIN_S = 0.001
"""A deadline that rounding has put just behind it comes all the same."""
_SLOWEST = 100.0
"""However loaded the machine, simulated time passes at 1/100 of real time at least."""


class Timed(Protocol):
    """What knows the controller's time."""

    @property
    def controller_s(self) -> float: ...


class Waits(Protocol):
    """What can be told how far time may pass."""

    def do(self, wish: str) -> None: ...


class SimulatorClock(RealClock):
    """The controller's own time: a simulator on a busy machine is slower than the clock on the wall."""

    arm: Timed | None = None
    simulator: Waits | None = None

    def follow(self, arm: Timed, simulator: Waits | None = None) -> None:
        """From here on, and what ``arm`` reports from here on, is in its time. ``simulator``: one whose time can be
        told to wait for what is called periodically, so that no call is ever late."""
        self.arm, self.simulator = arm, simulator
        self.sleep_until(self.now() + 0.05)

    def now(self) -> float:
        return super().now() if self.arm is None else self.arm.controller_s

    def every(self, period_s: float, call: Callable[[float], None], phase_s: float = 0.0) -> None:
        def run() -> None:
            count = (self.now() - phase_s) // period_s + 1
            try:
                while not self._stop.is_set():
                    due_s = count * period_s + phase_s
                    self._let_pass(due_s)
                    self.sleep_until(due_s)
                    began_s = self.now()
                    call(began_s)
                    if self.observer is not None:
                        self.observer(due_s, began_s, self.now())
                    count = max(count + 1, (self.now() - phase_s) // period_s)
            finally:
                self._let_pass(inf)

        thread = Thread(target=run, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _let_pass(self, until_s: float) -> None:
        if self.simulator is not None:
            self.simulator.do(f"until {until_s + _MARGIN_S}")

    def sleep_until(self, deadline_s: float) -> None:
        give_up_s = time.monotonic() + _SLOWEST * (deadline_s - self.now()) + 5.0
        while self.now() < deadline_s and not self._stop.is_set():
            assert time.monotonic() < give_up_s, "the simulator stands still"
            time.sleep(0.001)


class Simulator:
    """An arm's controller in a process of its own, told what should happen to it by lines on its stdin."""

    def __init__(self, server: str, *arguments: str) -> None:
        command = [sys.executable, "-m", server, *arguments]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        self.said: list[str] = [self._line()]

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def do(self, wish: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{wish}\n")
        self.process.stdin.flush()

    def hear(self, word: str) -> str:
        """The next line that it says with ``word`` in it."""
        while word not in (line := self._line()):
            assert self.process.poll() is None, f"it ended without a word of {word!r}"
            self.said.append(line)
        return line

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


def wait_until(condition: Callable[[], object], timeout_s: float = 30.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, "it never came"
        time.sleep(0.005)


def stream(arm: Arm, clock: SimulatorClock, ticks: int, speed_m_s: float = 0.0) -> None:
    """References at 100 Hz that rise at a speed."""
    start, began_s = arm.read(), clock.now()
    for tick in range(1, ticks + 1):
        pose = shifted(start.T_base_ee, (0.0, 0.0, 0.01 * tick * speed_m_s))
        arm.command(ArmReference(pose, (0.0, 0.0, speed_m_s, 0.0, 0.0, 0.0), start.gripper_width_m))
        clock.sleep_until(began_s + 0.01 * tick)


class FrankaSimulator(Simulator):
    """franky-sim; its first line is its address."""

    def __init__(self) -> None:
        for package, extra in (("franky", "franka"), ("franky_sim", "franka-sim")):
            pytest.importorskip(package, reason=f"needs the extra '{extra}'", exc_type=ImportError)
        super().__init__("tests.hardware.arms.franka_server")
        self.address = self.said[0]

    def cell(self) -> Cell:
        controller = ControllerSettings(address=self.address, realtime=False)
        return replace(load_cell("twin"), controller=controller)


_COUNT = count(2)


class UrSimulator(Simulator):
    """The ports of a UR's controller, at an address of this machine's own that no other test uses."""

    def __init__(self) -> None:
        pytest.importorskip("rtde_control", reason="needs the extra 'ur'")
        pid = getpid()
        self.address = f"127.{1 + pid // 250 % 250}.{1 + pid % 250}.{next(_COUNT)}"
        super().__init__("tests.hardware.arms.ur_server", self.address)

    def cell(self, **controller: float) -> Cell:
        cell = load_cell("ur5e_robotiq")
        return replace(cell, cameras={}, controller=ControllerSettings(address=self.address, **controller))


def so101_bus() -> tuple[ServoBus, Cell]:
    """Six servos that stand where the cell's home is, and the cell on their port."""
    sdk = pytest.importorskip("scservo_sdk", reason="needs the extra 'so101'")
    sdk.port_handler.LATENCY_TIMER = 100  # ms, for 16: these servos answer late where the machine is busy.
    cell = load_cell("so101")
    turned = (np.array(cell.home_joint_positions_rad) - ZEROS_RAD) * SIGNS * COUNTS / (2.0 * pi)
    middles, jaw = cell.controller.servo_middles, cell.controller.jaw_counts
    bus = ServoBus([*(np.array(middles) + turned), float(jaw[1])])
    return bus, replace(cell, cameras={}, controller=replace(cell.controller, address=bus.path))
