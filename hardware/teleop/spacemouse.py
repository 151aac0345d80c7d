"""3Dconnexion SpaceMouse, by pyspacemouse."""

from __future__ import annotations

import contextlib
import io
from typing import Any

from hardware.device_settings import TeleopSettings
from hardware.interfaces import Clock
from hardware.teleop.polling import PollingTeleop, Reading

UDEV_RULE = 'KERNEL=="hidraw*", ATTRS{idVendor}=="256f|046d", MODE="0660", TAG+="uaccess"'
UDEV_FILE = "/etc/udev/rules.d/70-spacemouse.rules"
_REPORTS_AT_ONCE = 64


def sdk() -> Any:
    """The library; ``ConnectionError`` saying how to install it."""
    try:
        import pyspacemouse
    except (ImportError, OSError, TypeError) as error:  # Without libhidapi any of these.
        raise ConnectionError(
            f"a SpaceMouse needs pyspacemouse ({error}): pip install 'robot-rl[spacemouse]', and libhidapi-hidraw0 "
            "from the system's packages"
        ) from None
    return pyspacemouse


def connected_paths() -> dict[str, str]:
    """Model by device file, of every SpaceMouse here; raises ``ConnectionError`` without the library."""
    return dict(sdk().get_connected_devices_by_path())


class SpaceMouse(PollingTeleop):
    """A SpaceMouse by its device file, or the only one. It sends reports only while it is moved: its heartbeat is the
    poll that found nothing wrong."""

    def __init__(self, settings: TeleopSettings, clock: Clock) -> None:
        super().__init__("SpaceMouse", settings, clock)
        self._device: Any = None
        self._stamp: float | None = None
        self._unplugged: type[Exception] = OSError

    def _open(self) -> None:
        library, path = sdk(), self.settings.path or self._only()
        from easyhid import HIDException

        self._unplugged = HIDException
        said = io.StringIO()
        try:
            with contextlib.redirect_stdout(said):  # It prints what it found; stdout may be somebody's JSON.
                self._device = library.open_by_path(path, axis_convention=library.AxisConvention.ROS)
        except (RuntimeError, ValueError, OSError) as error:
            raise ConnectionError(
                f"SpaceMouse {path} cannot be opened ({error}); if it is a matter of rights: `robot-rl doctor` prints "
                "the udev rule"
            ) from None

    def _poll(self) -> Reading:
        """All reports that have come, oldest first, one a call of the library: the last is what holds."""
        try:
            for _ in range(_REPORTS_AT_ONCE):
                state = self._device.read()
                if state.t == self._stamp:
                    break
                self._stamp = state.t
        except self._unplugged as error:
            raise ConnectionError(f"it was unplugged ({error})") from None
        deflection = (state.x, state.y, state.z, state.roll, state.pitch, state.yaw)
        return Reading(deflection, tuple(bool(button) for button in state.buttons))

    def _shut(self) -> None:
        if self._device is not None:
            self._device.close()
            self._device = None

    def _only(self) -> str:
        found = connected_paths()
        if len(found) != 1:
            there = ", ".join(f"{path} ({model})" for path, model in found.items())
            raise ConnectionError(f"several SpaceMice: {there}; name one as teleop.path" if found else _NONE)
        return next(iter(found))


_NONE = "no SpaceMouse is connected, or its rights hide it: `robot-rl doctor` tells which"
