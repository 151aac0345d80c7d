"""The doctor's look at who may read the devices of a person's hands and feet."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from hardware.doctor import Finding, failed, passed, warned
from hardware.teleop import evdev_keys
from hardware.teleop.spacemouse import UDEV_FILE, UDEV_RULE

_VENDORS = ("0000256F", "0000046D")


def spacemouse_rights(devices: Path = Path("/sys/class/hidraw"), files: Path = Path("/dev")) -> Iterator[Finding]:
    """Linux gives a SpaceMouse to root alone, unless told otherwise."""
    mice = [
        files / entry.name
        for entry in sorted(devices.glob("hidraw*"))
        if any(f":{vendor}:" in (entry / "device" / "uevent").read_text() for vendor in _VENDORS)
    ]
    rule = f"echo '{UDEV_RULE}' | sudo tee {UDEV_FILE} && sudo udevadm control --reload && sudo udevadm trigger"
    if not mice:
        yield warned("teleop rights", "no SpaceMouse is plugged in", "plug it in; without rights it needs: " + rule)
    for path in mice:
        if os.access(path, os.R_OK | os.W_OK):
            yield passed("teleop rights", f"{path} may be read")
        else:
            yield failed("teleop rights", f"{path} is not yours to read", rule)


def key_rights(path: str) -> Iterator[Finding]:
    """Linux gives keyboards to root and to group ``input`` alone. ``path``: empty for the only one."""
    found = [path] if path else evdev_keys.connected_paths()
    present = [each for each in found if os.path.exists(each)]
    if not present:
        there = ", ".join(evdev_keys.connected_paths()) or "none"
        yield failed("key rights", f"{path or 'no keyboard'} is not plugged in", f"plug it in; here are: {there}")
    for each in present:
        if os.access(each, os.R_OK):
            yield passed("key rights", f"{each} may be read")
        else:
            try:
                fix = evdev_keys.rule(each)
            except OSError:
                fix = "name a keyboard's event device, /dev/input/by-id/...-event-kbd"
            yield failed("key rights", f"{each} is not yours to read", fix)
