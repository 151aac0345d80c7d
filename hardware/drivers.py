"""The drivers that a cell file names: ``arm``, each camera's ``driver``, ``teleop.device``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from hardware.cell import Cell, CellError
from hardware.clock import RealClock
from hardware.devices import Devices
from hardware.interfaces import Arm, Camera, Clock, NoTeleop, TeleopDevice
from hardware.toml_dataclass import nearest

ARMS = {
    "fr3": "hardware.arms.franka:FrankaArm",
    "so101": "hardware.arms.so101:So101Arm",
    "ur5e": "hardware.arms.ur:UrArm",
}
"""By the arm's model. A driver takes the cell and the clock."""
CAMERAS = {
    "realsense": "hardware.cameras.realsense:RealSenseCamera",
    "uvc": "hardware.cameras.uvc:UvcCamera",
}
"""A driver takes the camera's name, its settings and the clock."""
TELEOPS = {
    "evdev": "hardware.teleop.evdev_keys:EvdevKeys",
    "gamepad": "hardware.teleop.gamepad:Gamepad",
    "keyboard": "hardware.teleop.keyboard:Keyboard",
    "spacemouse": "hardware.teleop.spacemouse:SpaceMouse",
}
"""A driver takes the settings and the clock."""


def devices(cell: Cell, folder: Path) -> Devices:
    """The real devices of ``cell``, none connected yet. Raises :class:`CellError` for a driver that does not exist."""
    clock = RealClock()
    cameras = {name: camera(cell, name, clock) for name in cell.cameras}
    return Devices(arm(cell, clock), teleop(cell, clock), cameras, clock)


def arm(cell: Cell, clock: Clock) -> Arm:
    driver: Arm = _driver(ARMS, cell.arm, f"cell {cell.name!r}: arm")(cell, clock)
    return driver


def camera(cell: Cell, name: str, clock: Clock) -> Camera:
    settings = cell.cameras[name]
    kind = _driver(CAMERAS, settings.driver, f"cell {cell.name!r}: cameras.{name}.driver")
    driver: Camera = kind(name, settings, clock)
    return driver


def teleop(cell: Cell, clock: Clock) -> TeleopDevice:
    settings, driver = cell.teleop, cast(TeleopDevice, NoTeleop())
    if settings.device != "none":
        driver = _driver(TELEOPS, settings.device, f"cell {cell.name!r}: teleop.device")(settings, clock)
    if not settings.pedal:
        return driver
    from hardware.teleop.evdev_keys import EvdevKeys
    from hardware.teleop.pedal import WithPedal

    pedal = replace(settings, path=settings.pedal, keys=settings.pedal_keys)
    return WithPedal(driver, EvdevKeys(pedal, clock, "pedal"))


def _driver(known: Mapping[str, str], name: str, where: str) -> Any:
    """The class behind ``name``. Its module is imported only now; the vendor's only when it connects."""
    if name not in known:
        raise CellError(f"{where} is {name!r}, for which there is no driver; {nearest(name, known)}")
    module, _, kind = known[name].partition(":")
    return getattr(import_module(module), kind)
