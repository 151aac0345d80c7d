"""A cell of fakes with a person at it, for the environment of real cells: named by a cell file's ``devices``."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path

from hardware.cell import Cell, cell_file
from hardware.devices import Devices
from hardware.fakes import FakeArm, FakeClock, FakeTeleop
from hardware.interfaces import TeleopSample

TASK = """
name = "touch"
instruction = "Touch it."
gripper = false
max_steps = 60
[start]
position_m = [0.45, 0.0, 0.20]
range_m = [0.02, 0.02, 0.0]
range_rad = 0.1
"""


class Person(FakeTeleop):
    """Presses success at 2.5, 7.5, 12.5 ... s for a moment; ``fails`` has them press failure two seconds later."""

    fails = False

    def __init__(self) -> None:
        super().__init__()
        self.signals: dict[float, signal.Signals] = {}
        """What the process is sent, and when."""

    def read(self, now: float) -> TeleopSample:
        for due_s in [due_s for due_s in self.signals if due_s <= now]:
            signal.raise_signal(self.signals.pop(due_s))
        moment = (now + 2.5) % 5.0
        sample = super().read(now)
        return replace(sample, success=moment < 0.2, failure=self.fails and 2.0 <= moment < 2.2)


class Cabinet:
    """What the newest cell was made of."""

    arm: FakeArm
    clock: FakeClock
    person: Person


def devices(cell: Cell, folder: Path) -> Devices:
    clock = FakeClock()
    Cabinet.arm, Cabinet.clock, Cabinet.person = FakeArm(clock), clock, Person()
    return Devices(Cabinet.arm, Cabinet.person, {}, clock)


def files(folder: Path) -> dict[str, str]:
    """A cell's file and a task's in ``folder``."""
    text = cell_file("twin").read_text(encoding="utf-8")
    for before, after in (
        ('arm = "fr3"', 'arm = "fake"'),
        ("sim.remote_arm:devices", "tests.robot_rl.cell_rig:devices"),
        ("[0.0, -0.7854, 0.0, -2.3562, 0.0, 1.5708, 0.7854]", "[]"),
        ("scripted_operator = true", "scripted_operator = false"),
    ):
        assert before in text
        text = text.replace(before, after)
    (folder / "bench.toml").write_text(text, encoding="utf-8")
    (folder / "touch.toml").write_text(TASK, encoding="utf-8")
    return {"cell": str(folder / "bench.toml"), "task": str(folder / "touch.toml")}
