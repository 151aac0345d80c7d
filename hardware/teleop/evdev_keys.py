"""A keyboard or foot pedal of this computer by Linux's evdev: it tells when a key is let go, and needs no window."""

from __future__ import annotations

import getpass
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from hardware.device_settings import SIGNED_AXES, TeleopSettings
from hardware.interfaces import Clock
from hardware.teleop import keyboard
from hardware.teleop.polling import PollingTeleop, Reading

KEYS = {
    **keyboard.KEYS,
    "space": "takeover", "g": "gripper", "equal": "open", "minus": "close", "enter": "success", "x": "failure",
}  # fmt: skip
"""What each key does where the cell file does not say: as in a terminal. Names are those of
``linux/input-event-codes.h`` without ``KEY_``; they mean places on a US keyboard, whatever is printed there."""
FOLDERS = (Path("/dev/input/by-id"), Path("/dev/input/by-path"))
"""Stable names; a laptop's own keyboard has only one of the second kind."""
RULES = "/etc/udev/rules.d/70-robot-keys.rules"
_GRAB_S = 3.0
_NAMED = 12


def sdk() -> Any:
    """The library; ``ConnectionError`` saying how to install it."""
    try:
        import evdev
    except ImportError as error:
        raise ConnectionError(f"keys by evdev need it ({error}): pip install 'robot-rl[evdev]'") from None
    return evdev


def connected_paths() -> list[str]:
    """Stable paths of the keyboards and pedals of this computer, one each."""
    found: dict[str, str] = {}
    for folder in FOLDERS:
        for path in sorted(folder.glob("*-event-kbd")) if folder.is_dir() else ():
            found.setdefault(os.path.realpath(path), str(path))
    return sorted(found.values())


def rule(path: str, devices: Path = Path("/sys/class/input")) -> str:
    """A command that makes this one device yours to read: who may read all of group ``input`` reads every password."""
    ids = devices / Path(os.path.realpath(path)).name / "device" / "id"
    vendor, product = ((ids / name).read_text().strip() for name in ("vendor", "product"))
    which = f'KERNEL=="event*", ATTRS{{id/vendor}}=="{vendor}", ATTRS{{id/product}}=="{product}"'
    line = f'{which}, OWNER="{getpass.getuser()}"'
    return f"echo '{line}' | sudo tee -a {RULES} && sudo udevadm control --reload && sudo udevadm trigger"


class EvdevKeys(PollingTeleop):
    """A device by its stable path, or the only one. A key acts for as long as it is held."""

    def __init__(self, settings: TeleopSettings, clock: Clock, what: str = "keyboard") -> None:
        does = dict(settings.keys) or KEYS
        self._actions = tuple(dict.fromkeys(action for action in does.values() if action not in SIGNED_AXES))
        super().__init__(what, replace(settings, buttons=self._actions), clock)
        self._does = does
        self._library: Any = None
        self._device: Any = None
        self._codes: Mapping[int, str] = {}
        self._held: set[int] = set()

    def _open(self) -> None:
        self._library = library = sdk()
        path = self.settings.path or self._only()
        self._codes = {code_of(key, library): action for key, action in self._does.items()}
        try:
            device = library.InputDevice(path)
        except PermissionError:
            raise ConnectionError(
                f"{self.what} {path}: not yours to read; `robot-rl doctor` prints the udev rule"
            ) from None
        except OSError as error:
            raise ConnectionError(f"{self.what} {path}: {error.strerror or error}") from None
        try:
            self._require_keys(device)
            if self.settings.grab:
                self._grab(device)
        except (ConnectionError, OSError) as error:
            device.close()
            raise ConnectionError(f"{self.what} {path}: {error}") from None
        # A key that is down already was pressed for somebody else: it acts from its next stroke on.
        self._device, self._held = device, set()

    def _poll(self) -> Reading:
        codes = self._library.ecodes
        try:
            for event in self._device.read():
                if event.type == codes.EV_KEY and event.code in self._codes:
                    (self._held.add if event.value else self._held.discard)(event.code)
                elif event.type == codes.EV_SYN and event.code == codes.SYN_DROPPED:
                    # Events were lost, releases too. Asking what is down drops those that wait in the kernel, so what
                    # this batch still holds is older than the answer: a press in it might never be released.
                    self._held &= set(self._device.active_keys())
                    break
        except BlockingIOError:
            pass
        except OSError as error:
            raise ConnectionError(f"it was unplugged ({error.strerror})") from None
        held = {self._codes[code] for code in self._held}
        return Reading(keyboard.deflection(held), tuple(action in held for action in self._actions))

    def _shut(self) -> None:
        self._device.close()  # Which lets go of a grab, too.

    def _only(self) -> str:
        found = connected_paths()
        if len(found) != 1:
            there = f"several: {', '.join(found)}; name one as teleop.path" if found else "no keyboard is connected"
            raise ConnectionError(there)
        return found[0]

    def _require_keys(self, device: Any) -> None:
        has = device.capabilities().get(self._library.ecodes.EV_KEY, [])
        missing = [key for key in self._does if code_of(key, self._library) not in has]
        if missing:
            some = ", ".join(name_of(code, self._library) for code in has[:_NAMED])
            raise ConnectionError(
                f"it has no key {missing[0]!r}, but {some or 'none at all'}; name others in the cell file"
            )

    def _grab(self, device: Any) -> None:
        """Have its keys go nowhere else; not while one is down, or the desktop would never hear of its release."""
        until_s = time.monotonic() + _GRAB_S
        while device.active_keys():
            if time.monotonic() > until_s:
                raise ConnectionError("a key is held down: let go of all of them, so that it can be grabbed")
            time.sleep(0.01)
        device.grab()


def name_of(code: int, library: Any) -> str:
    """As a cell file names that key."""
    name = library.ecodes.bytype[library.ecodes.EV_KEY].get(code, str(code))
    return str(name if isinstance(name, str) else name[0]).removeprefix("KEY_").lower()


def code_of(key: str, library: Any) -> int:
    """The number of ``key``; ``ConnectionError`` for one that Linux does not know."""
    known: Mapping[str, int] = library.ecodes.ecodes
    name = key.upper() if key.upper().startswith("BTN_") else f"KEY_{key.upper()}"
    if name not in known:
        close = get_close_matches(key.lower(), [k.removeprefix("KEY_").lower() for k in known], 1)
        hint = f"did you mean {close[0]!r}?" if close else "names are linux/input-event-codes.h's, without KEY_"
        raise ConnectionError(f"there is no key {key!r}; {hint}")
    return known[name]
