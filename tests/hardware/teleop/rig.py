"""What a person's device sends, without the device: HID reports, joystick events."""

from __future__ import annotations

import errno
import os
import struct
import tty
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
        kept = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # So that the other end can be opened.
        self._write = os.open(path, os.O_WRONLY)
        self._ends = [kept, self._write]

    def axis(self, number: int, share: float) -> None:
        os.write(self._write, struct.pack("<IhBB", 0, round(share * 32767), 0x02, number))

    def button(self, number: int, down: bool = True) -> None:
        os.write(self._write, struct.pack("<IhBB", 0, int(down), 0x01, number))

    def unplug(self) -> None:
        """Also where it is unplugged already."""
        while self._ends:
            os.close(self._ends.pop())


class KeyDevice:
    """A keyboard whose events are the kernel's own ``struct input_event``, over a pseudo-terminal that passes bytes as
    they are. What only a device of the kernel answers (its name, its keys, which are down, grabbing, that it is gone)
    is answered for it; opening, reading and parsing are evdev's own. :class:`VirtualKeys` is the real thing."""

    def __init__(self, patch: pytest.MonkeyPatch, *keys: str) -> None:
        from evdev import _input, ecodes

        self._codes, self._plugged = ecodes, True
        self._hand, self._device = os.openpty()
        tty.setraw(self._device)
        self.path = os.ttyname(self._device)
        self.down: set[int] = set()
        self.grabbed = False
        able = {ecodes.EV_KEY: [ecodes.ecodes[f"KEY_{key.upper()}"] for key in keys]}
        about = (3, 0x0C45, 0x7403, 0x0110, "PCsensor FootSwitch", "usb-1/input0", "")
        answers: dict[str, Any] = {
            "ioctl_devinfo": lambda _: about,
            "ioctl_EVIOCGVERSION": lambda _: 0x10001,
            "ioctl_capabilities": lambda _: able,
            "ioctl_EVIOCGEFFECTS": lambda _: 0,
            "ioctl_EVIOCG_bits": lambda _, kind: sorted(self.down),
            "ioctl_EVIOCGRAB": lambda _, on: setattr(self, "grabbed", bool(on)),
        }
        for name, answer in answers.items():
            patch.setattr(f"evdev.device._input.{name}", answer)
        read = _input.device_read_many
        patch.setattr("evdev.device._input.device_read_many", lambda fd: self._gone(fd) or read(fd))

    def key(self, name: str, value: int = 1) -> None:
        """1 goes down, 0 comes up, 2 repeats."""
        code = self._codes.ecodes[f"KEY_{name.upper()}"]
        (self.down.add if value else self.down.discard)(code)
        self.send((self._codes.EV_KEY, code, value), (self._codes.EV_SYN, self._codes.SYN_REPORT, 0))

    def send(self, *events: tuple[int, int, int]) -> None:
        os.write(self._hand, b"".join(struct.pack("@llHHi", 0, 0, *event) for event in events))

    def unplug(self) -> None:
        self._plugged = False

    def plug_in(self) -> None:
        self._plugged = True

    def _gone(self, number: int) -> None:
        if not self._plugged and os.ttyname(number) == self.path:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))


class VirtualKeys:
    """A keyboard of the kernel, by /dev/uinput; skips where that is not permitted."""

    def __init__(self, *keys: str) -> None:
        from evdev import UInput, UInputError, ecodes

        self._codes = ecodes
        try:
            self._made = UInput({ecodes.EV_KEY: [ecodes.ecodes[f"KEY_{key.upper()}"] for key in keys]})
        except (UInputError, OSError) as error:
            pytest.skip(f"no virtual keyboard can be made here ({error})")
        self.path = str(self._made.device.path)

    def key(self, name: str, value: int = 1) -> None:
        self._made.write(self._codes.EV_KEY, self._codes.ecodes[f"KEY_{name.upper()}"], value)
        self._made.syn()

    def unplug(self) -> None:
        self._made.close()
