"""The keyboard of a terminal. It tells of key strokes, not of keys held: each moves the arm for a fixed time (S13)."""

from __future__ import annotations

import os
import termios
import tty
from contextlib import suppress
from dataclasses import replace
from typing import Any

from hardware.device_settings import AXES, TeleopSettings
from hardware.interfaces import Clock, Vector6
from hardware.teleop.polling import PollingTeleop, Reading

KEYS = {
    "w": "x", "s": "-x", "a": "y", "d": "-y", "r": "z", "f": "-z",
    "u": "roll", "o": "-roll", "i": "pitch", "k": "-pitch", "j": "yaw", "l": "-yaw",
}  # fmt: skip
"""Which key moves along which axis."""
ACTIONS = {" ": "takeover", "g": "gripper", "+": "open", "-": "close", "\r": "success", "\n": "success", "x": "failure"}
BUTTONS = tuple(dict.fromkeys(ACTIONS.values()))


class Keyboard(PollingTeleop):
    """Keys of the terminal that the process was started from, or of another one by ``path``. They act as they come,
    unechoed, until :meth:`close`."""

    def __init__(self, settings: TeleopSettings, clock: Clock) -> None:
        super().__init__("keyboard", replace(settings, buttons=BUTTONS), clock)
        self._file = -1
        self._before: list[Any] = []
        self._until_s: dict[str, float] = {}

    def _open(self) -> None:
        path = self.settings.path or "/dev/tty"
        try:
            self._file = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY)
            self._before = termios.tcgetattr(self._file)
            tty.setcbreak(self._file)
        except (OSError, termios.error) as error:
            raise ConnectionError(f"keyboard: {path} is no terminal to read keys from ({error})") from None

    def _poll(self) -> Reading:
        try:
            strokes = os.read(self._file, 256).decode(errors="ignore")
            if not strokes:
                raise ConnectionError("its terminal was closed")
        except BlockingIOError:
            strokes = ""
        except OSError as error:
            raise ConnectionError(f"its terminal was closed ({error.strerror})") from None
        now = self.clock.now()
        for stroke in strokes:
            what = KEYS.get(stroke) or ACTIONS.get(stroke)
            if what is not None:
                self._until_s[what] = now + self.settings.jog_s
        held = {what for what, until_s in self._until_s.items() if now < until_s}
        return Reading(deflection(held), tuple(name in held for name in BUTTONS))

    def _shut(self) -> None:
        with suppress(termios.error):  # The terminal is gone.
            termios.tcsetattr(self._file, termios.TCSANOW, self._before)
        os.close(self._file)


def deflection(held: set[str]) -> Vector6:
    """What the axes in ``held`` come to together."""
    x, y, z, roll, pitch, yaw = (float(axis in held) - float(f"-{axis}" in held) for axis in AXES)
    return x, y, z, roll, pitch, yaw
