"""The twin as a real cell, with a teleop device that a test presses: what the file ``buttons`` names is down."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hardware.cell import Cell, cell_file
from hardware.devices import Devices
from hardware.interfaces import TeleopSample
from sim import remote_scene
from tests.robot_rl.cell_rig import TASK

DRIVES = (0.0, 0.0, -0.5, 0.0, 0.0, 0.0)


class Buttons:
    """Implements :class:`hardware.interfaces.TeleopDevice`. ``drive`` deflects the stick; ``success``, ``failure``."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def connect(self) -> None: ...

    def read(self, now: float) -> TeleopSample:
        down = self._path.read_text().split() if self._path.exists() else []
        moves = {"twist": DRIVES, "takeover": True} if "drive" in down else {}
        return TeleopSample(now, **moves, success="success" in down, failure="failure" in down)

    def close(self) -> None: ...


def buttons(folder: Path) -> Path:
    return folder / "buttons"


def devices(cell: Cell, folder: Path) -> Devices:
    return replace(remote_scene.devices(cell, folder), teleop=Buttons(buttons(folder)))


def files(folder: Path) -> tuple[Path, Path]:
    """A cell's file and a task's in ``folder``."""
    text = cell_file("twin").read_text()
    for before, after in (
        ("sim.remote_arm:devices", "tests.ros.pressed:devices"),
        ("scripted_operator = true", "scripted_operator = false"),
    ):
        assert before in text
        text = text.replace(before, after)
    (folder / "bench.toml").write_text(text)
    (folder / "touch.toml").write_text(TASK)
    return folder / "bench.toml", folder / "touch.toml"
