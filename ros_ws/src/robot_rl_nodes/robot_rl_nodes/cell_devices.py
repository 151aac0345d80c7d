"""The one device that a node serves, of those that its cell has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from typing import TypeVar

from hardware.cell import Cell
from hardware.devices import Devices, devices_of, runtime_folder
from hardware.interfaces import Arm, Camera, Clock, TeleopDevice
from hardware.toml_dataclass import nearest

T = TypeVar("T")

PATIENCE_S = 20.0
"""All nodes of a cell start at once: so long may a device take to come."""
_RETRY_S = 0.2


def patiently(reach: Callable[[], T], clock: Clock, stop: Event | None = None) -> T:
    """What ``reach()`` returns as soon as it can; raises the ``ConnectionError`` of the last try, also once ``stop`` is
    set."""
    deadline_s = clock.now() + PATIENCE_S
    while True:
        try:
            return reach()
        except ConnectionError:
            if clock.now() > deadline_s or (stop is not None and stop.is_set()):
                raise
        clock.sleep_until(clock.now() + _RETRY_S)


@dataclass(frozen=True)
class PatientDevices(Devices):
    """Devices that may still be starting; nobody waits for them any more once ``stop`` is set."""

    stop: Event = field(default_factory=Event)

    def connect_one(self, device: Arm | Camera | TeleopDevice) -> None:
        patiently(device.connect, self.clock, self.stop)


@dataclass(frozen=True)
class CellDevices:
    """A cell's devices, none of them connected, and the folder in which its processes meet."""

    cell: Cell
    devices: Devices
    folder: Path

    @property
    def arm(self) -> Arm:
        return self.devices.arm

    @property
    def teleop(self) -> TeleopDevice:
        return self.devices.teleop

    def camera(self, name: str) -> Camera:
        """Raises ``ValueError`` naming the nearest camera, or whose fault it is that there is no driver."""
        require_camera(self.cell, name)
        if name not in self.devices.cameras:
            raise ValueError(f"devices {self.cell.devices!r} has no driver for camera {name!r}; give others")
        return self.devices.cameras[name]


def require_camera(cell: Cell, name: str) -> None:
    """Raise ``ValueError`` naming the nearest camera where the cell file has none of this name."""
    if name not in cell.cameras:
        raise ValueError(f"cell {cell.name!r} has no camera {name!r}; {nearest(name, cell.cameras)}")


def devices_for(cell: Cell, devices: str, folder: Path) -> CellDevices:
    """The devices of ``cell``, made by ``devices`` (``module:function``) where that is given, in ``folder`` or the
    cell's own where that is empty. Raises :class:`hardware.cell.CellError`."""
    place = folder if folder.name else runtime_folder(cell.name)
    served = replace(cell, devices=devices) if devices else cell
    return CellDevices(served, devices_of(served, place), place)
