"""Which cameras and teleop devices this computer has, as a cell file can name them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from hardware.cameras import realsense, uvc
from hardware.questions import say
from hardware.teleop import evdev_keys, gamepad, spacemouse


class Found(NamedTuple):
    """A device, by its driver's name and what tells it from others of its kind."""

    driver: str
    which: str
    """Serial number or path."""
    model: str = ""

    @property
    def name(self) -> str:
        """``driver:which``."""
        return f"{self.driver}:{self.which}"


def cameras() -> tuple[list[Found], list[str]]:
    """Cameras, and why a kind of them could not be looked for. One that both SDKs see is its vendor's."""
    return _search(_realsense, _uvc)


def teleops() -> tuple[list[Found], list[str]]:
    """What a person could drive with, and why a kind could not be looked for. A terminal's keyboard is always there."""
    return _search(_spacemice, _gamepads, _keyboards)


def _search(*kinds: Callable[[], Iterable[Found]]) -> tuple[list[Found], list[str]]:
    found, missed = [], []
    for kind in kinds:
        try:
            found += list(kind())
        except ConnectionError as error:
            missed.append(str(error))
    return found, missed


def _realsense() -> Iterable[Found]:
    info = realsense.sdk().camera_info
    for device in realsense.connected_devices():
        yield Found("realsense", device.get_info(info.serial_number), device.get_info(info.name))


def _uvc() -> Iterable[Found]:
    return [Found("uvc", path) for path in uvc.connected_paths() if "RealSense" not in path]


def _spacemice() -> Iterable[Found]:
    return [Found("spacemouse", path, model) for path, model in spacemouse.connected_paths().items()]


def _gamepads() -> Iterable[Found]:
    return [Found("gamepad", path) for path in gamepad.connected_paths()]


def _keyboards() -> Iterable[Found]:
    return [Found("evdev", path) for path in evdev_keys.connected_paths()]


def told(what: str, found: Sequence[Found], missed: Sequence[str]) -> Sequence[Found]:
    """``found``, once the person has been told of each, and of what could not be looked for."""
    for device in found:
        say(f"  {what} found: {device.name} {device.model}".rstrip())
    for why in missed:
        say(f"  not looked for: {why}")
    return found
