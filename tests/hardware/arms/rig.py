"""The vendors' SDKs against processes and terminals that speak the arms' own protocols."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest

from hardware.arms.franka import FrankaArm
from hardware.cell import Cell, load_cell
from hardware.clock import RealClock
from hardware.device_settings import ControllerSettings

SERVER = Path(__file__).with_name("franka_server.py")
_SLOWEST = 100.0
"""However loaded the machine, simulated time passes at 1/100 of real time at least."""


class SimulatorClock(RealClock):
    """The controller's own time: a simulator on a busy machine is slower than the clock on the wall."""

    arm: FrankaArm | None = None

    def follow(self, arm: FrankaArm) -> None:
        """From here on, and what ``arm`` reports from here on, is in its time."""
        self.arm = arm
        self.sleep_until(self.now() + 0.05)

    def now(self) -> float:
        return super().now() if self.arm is None else self.arm.controller_s

    def every(self, period_s: float, call: Callable[[float], None], phase_s: float = 0.0) -> None:
        def run() -> None:
            count = (self.now() - phase_s) // period_s + 1
            while not self._stop.is_set():
                self.sleep_until(count * period_s + phase_s)
                call(self.now())
                count = max(count + 1, (self.now() - phase_s) // period_s)

        thread = Thread(target=run, daemon=True)
        self._threads.append(thread)
        thread.start()

    def sleep_until(self, deadline_s: float) -> None:
        give_up_s = time.monotonic() + _SLOWEST * (deadline_s - self.now()) + 5.0
        while self.now() < deadline_s and not self._stop.is_set():
            assert time.monotonic() < give_up_s, "the simulator stands still"
            time.sleep(0.001)


class FrankaSimulator:
    """franky-sim in a process of its own."""

    def __init__(self) -> None:
        for package, extra in (("franky", "franka"), ("franky_sim", "franka-sim")):
            pytest.importorskip(package, reason=f"needs the extra '{extra}'", exc_type=ImportError)
        self.process = subprocess.Popen(
            [sys.executable, str(SERVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()

    def cell(self) -> Cell:
        controller = ControllerSettings(address=self.address, realtime=False)
        return replace(load_cell("twin"), controller=controller)

    def do(self, wish: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{wish}\n")
        self.process.stdin.flush()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
