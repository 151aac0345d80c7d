"""What a person's device sends, without the device: HID reports, joystick events."""

from __future__ import annotations

import os
import struct
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

MODEL = "SpaceMouseWireless"
FULL = 350
"""What the device reports at full deflection."""


def motion_report(x: int = 0, y: int = 0, z: int = 0, rx: int = 0, ry: int = 0, rz: int = 0) -> bytes:
    """Report 1 of a SpaceMouse Wireless, in its own axes: x right, y towards the person, z down."""
    return struct.pack("<B6h", 1, x, y, z, rx, ry, rz)


def button_report(*pressed: int) -> bytes:
    """Report 3: a bit a button."""
    return struct.pack("<BHBBBBBBBBBB", 3, sum(1 << button for button in pressed), *([0] * 10))


class HidDevice:
    """The end of easyhid that pyspacemouse reads: reports wait in a queue, and each read takes one."""

    release_number, manufacturer_string, serial_number, usage_page = 1, "3Dconnexion", "A1", 1

    def __init__(self, path: Path, model: str = MODEL) -> None:
        from pyspacemouse import get_device_specs

        spec = get_device_specs()[model]
        self.path, self.product_string = str(path), model
        self.vendor_id, self.product_id = spec.vendor_id, spec.product_id
        self.reports: deque[bytes] = deque()
        self.plugged = True
        path.touch()

    def send(self, *reports: bytes) -> None:
        self.reports.extend(reports)

    def unplug(self) -> None:
        self.plugged = False
        Path(self.path).unlink()

    def open(self) -> None: ...

    def close(self) -> None: ...

    def set_nonblocking(self, nonblocking: bool) -> None: ...

    def read(self, size: int) -> bytearray:
        if not self.plugged:
            from easyhid import HIDException

            raise HIDException("Failed to read from HID device: -1")
        return bytearray(self.reports.popleft()[:size]) if self.reports else bytearray()


def plug_in(monkeypatch: pytest.MonkeyPatch, devices: Sequence[HidDevice]) -> None:
    """Make these the HID devices of the computer."""
    here = lambda: [device for device in devices if device.plugged]  # noqa: E731
    enumeration: Any = lambda: SimpleNamespace(device_list=here(), find=here)  # noqa: E731
    monkeypatch.setattr("pyspacemouse.api.Enumeration", enumeration)


class Joystick:
    """A pipe that speaks the joystick interface."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = str(path)
        self._read = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # So that the other end can be opened.
        self._write = os.open(path, os.O_WRONLY)

    def axis(self, number: int, share: float) -> None:
        os.write(self._write, struct.pack("<IhBB", 0, round(share * 32767), 0x02, number))

    def button(self, number: int, down: bool = True) -> None:
        os.write(self._write, struct.pack("<IhBB", 0, int(down), 0x01, number))

    def unplug(self) -> None:
        os.close(self._write)
        os.close(self._read)
