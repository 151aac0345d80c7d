"""The devices of a cell, connected by the function that its file names."""

from __future__ import annotations

import getpass
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from hardware.cell import Cell, CellError
from hardware.interfaces import Arm, Camera, Clock, TeleopDevice


@dataclass(frozen=True)
class Devices:
    """What a cell's ``devices`` function returns; not yet connected."""

    arm: Arm
    teleop: TeleopDevice
    cameras: Mapping[str, Camera]
    clock: Clock

    def connect(self) -> None:
        """Connect all, the arm last; raises ``ConnectionError`` naming the one that is not there, the others closed."""
        devices: list[Arm | Camera | TeleopDevice] = [*self.cameras.values(), self.teleop, self.arm]
        connected: list[Arm | Camera | TeleopDevice] = []
        try:
            for device in devices:
                self.connect_one(device)
                connected.append(device)
        except ConnectionError:
            for device in connected:
                device.close()
            raise

    def connect_one(self, device: Arm | Camera | TeleopDevice) -> None:
        """How one is connected; raises ``ConnectionError``."""
        device.connect()


def devices_of(cell: Cell, folder: Path) -> Devices:
    """Call the cell's ``devices``, ``module:function(cell, folder)``; ``folder`` is for sockets and the like.

    The name is all that ties a cell to its drivers: this package imports neither the twin nor a vendor's SDK. Raises
    :class:`CellError` when there is no such function.
    """
    module, _, name = cell.devices.partition(":")
    try:
        function: Callable[[Cell, Path], Devices] = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise CellError(f"cell {cell.name!r}: devices = {cell.devices!r} is not module:function ({error})") from None
    return function(cell, folder)


def runtime_folder(cell: str) -> Path:
    """Where the processes of a cell meet unless they are told otherwise: sockets, the guard's lock."""
    return Path(tempfile.gettempdir()) / f"robot_rl-{getpass.getuser()}-{cell}"
