"""Gamepads by Linux's joystick interface: eight bytes an event, and the state of all when it is opened."""

from __future__ import annotations

import os
import struct
from pathlib import Path

from hardware.device_settings import TeleopSettings
from hardware.interfaces import Clock
from hardware.teleop.polling import PollingTeleop, Reading

_EVENT = struct.Struct("<IhBB")
_BUTTON, _AXIS, _FULL = 0x01, 0x02, 32767.0
_BUTTONS, _AXES = 16, 8
_LEFT_X, _LEFT_Y, _LEFT_TRIGGER, _RIGHT_X, _RIGHT_Y, _RIGHT_TRIGGER, _CROSS_X = range(7)
"""As xpad and most drivers number them."""


def connected_paths() -> list[str]:
    """Device files of the gamepads of this computer."""
    return sorted(str(path) for path in Path("/dev/input").glob("js*")) if Path("/dev/input").is_dir() else []


class Gamepad(PollingTeleop):
    """Left stick: forward and sideways. Triggers: right up, left down. Right stick: pitch and yaw. Cross: roll."""

    def __init__(self, settings: TeleopSettings, clock: Clock) -> None:
        super().__init__("gamepad", settings, clock)
        self._file = -1
        self._axes = [0.0] * _AXES
        self._buttons = [False] * _BUTTONS

    def _open(self) -> None:
        found = connected_paths()
        path = self.settings.path or (found[0] if len(found) == 1 else "")
        if not path:
            there = f"several: {', '.join(found)}; name one as teleop.path" if found else "no gamepad is connected"
            raise ConnectionError(there)
        try:
            self._file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        except OSError as error:
            raise ConnectionError(f"gamepad {path}: {error.strerror}") from None
        self._axes, self._buttons = [0.0] * _AXES, [False] * _BUTTONS
        self._axes[_LEFT_TRIGGER] = self._axes[_RIGHT_TRIGGER] = -1.0

    def _poll(self) -> Reading:
        try:
            while True:
                events = os.read(self._file, 64 * _EVENT.size)
                if not events:
                    raise ConnectionError("it was unplugged")
                self._take(events)
        except BlockingIOError:
            pass
        except OSError as error:
            raise ConnectionError(f"it was unplugged ({error.strerror})") from None
        axes = self._axes
        up = 0.5 * (axes[_RIGHT_TRIGGER] - axes[_LEFT_TRIGGER])
        forward, left, yaw = -axes[_LEFT_Y], -axes[_LEFT_X], -axes[_RIGHT_X]
        return Reading((forward, left, up, axes[_CROSS_X], -axes[_RIGHT_Y], yaw), tuple(self._buttons))

    def _shut(self) -> None:
        os.close(self._file)

    def _take(self, events: bytes) -> None:
        whole = len(events) // _EVENT.size * _EVENT.size
        for _, value, kind, number in _EVENT.iter_unpack(events[:whole]):
            if kind & _AXIS and number < _AXES:
                self._axes[number] = max(value / _FULL, -1.0)
            elif kind & _BUTTON and number < _BUTTONS:
                self._buttons[number] = bool(value)
