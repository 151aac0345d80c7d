"""What the answers to ``robot-rl setup-cell`` mean: text to values, refused in a line that says what would do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import Any

from hardware.cell import Workspace
from hardware.device_settings import CameraSettings, ControllerSettings
from hardware.drivers import CAMERAS, TELEOPS
from hardware.interfaces import Vector3
from hardware.kinematics import Joint
from hardware.toml_dataclass import from_table, nearest

LEAST_SIDE_M = 0.02
"""A workspace thinner than this was captured by mistake."""


def numbers(text: str, count: int) -> list[float]:
    """``count`` finite numbers, separated by spaces or commas."""
    words = text.replace(",", " ").split()
    try:
        values = [float(word) for word in words]
    except ValueError:
        raise ValueError(f"{text!r} is not a row of numbers") from None
    if len(values) != count or not all(map(isfinite, values)):
        raise ValueError(f"{len(values)} numbers; {count} finite ones are needed")
    return values


def joint_angles(text: str, joints: Sequence[Joint]) -> list[float]:
    """An angle for each of ``joints``, within its range, rad."""
    angles = numbers(text, len(joints))
    for number, (angle, joint) in enumerate(zip(angles, joints, strict=True), 1):
        if not joint.min_rad <= angle <= joint.max_rad:
            raise ValueError(f"joint {number} goes from {joint.min_rad:g} to {joint.max_rad:g} rad, not to {angle:g}")
    return angles


def payload(text: str) -> dict[str, Any]:
    """Settings of the controller from four numbers: kg, then x y z, m."""
    kg, *centre_m = numbers(text, 4)
    settings = {"payload_kg": kg, "payload_centre_m": centre_m}
    from_table(ControllerSettings, settings, "payload")
    return settings


def cell_name(text: str) -> str:
    if not text.replace("-", "_").isidentifier():
        raise ValueError(f"a name is made of letters, digits and underscores, not {text!r}")
    return text


def one_of(text: str, allowed: Iterable[str]) -> str:
    names = list(allowed)
    if text not in names:
        raise ValueError(f"no {text!r}; {nearest(text, names)}")
    return text


def cameras(text: str, own: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Settings by name of ``wrist=realsense:SERIAL front=uvc:PATH``; a bare name is one of ``own``, as it is there."""
    chosen: dict[str, dict[str, Any]] = {}
    for word in [] if text == "none" else text.split():
        name, equals, device = word.partition("=")
        if name in chosen or not name.isidentifier():
            raise ValueError(f"camera {name!r}: each needs a name of its own, of letters, digits and underscores")
        if not equals:
            chosen[name] = dict(own[one_of(name, own)])
            continue
        driver, _, which = device.partition(":")
        one_of(driver, CAMERAS)
        if not which:
            raise ValueError(f"camera {name!r}: which {driver}? As {name}={driver}:SERIAL-OR-PATH")
        chosen[name] = {"driver": driver, ("serial" if driver == "realsense" else "path"): which}
    return chosen


def teleop(text: str) -> tuple[str, str]:
    """Device and path of ``spacemouse`` or ``spacemouse:/dev/hidraw3``."""
    device, _, path = text.partition(":")
    return one_of(device, [*TELEOPS, "none"]), path


def crop(text: str, settings: Mapping[str, Any]) -> list[int]:
    """Left, top, width, height that fit into what a camera of ``settings`` captures."""
    whole = numbers(text, 4)
    if any(value != int(value) for value in whole):
        raise ValueError(f"{text!r}: whole pixels")
    part = [int(value) for value in whole]
    from_table(CameraSettings, {**settings, "crop_px": part}, "crop")
    return part


def spanned(corners: Sequence[Sequence[float]], home: Vector3) -> Workspace:
    """The box that ``corners`` span, which must hold ``home`` (base frame, m)."""
    if len(corners) < 2:
        raise ValueError("a box needs two corners that face each other")
    columns = list(zip(*corners, strict=True))
    (x, y, z), (a, b, c) = ([round(limit(column), 3) for column in columns] for limit in (min, max))
    thin = [axis for axis, low, high in zip("xyz", (x, y, z), (a, b, c), strict=True) if high - low < LEAST_SIDE_M]
    if thin:
        raise ValueError(f"the box is thinner than {1000 * LEAST_SIDE_M:g} mm along {', '.join(thin)}: another corner")
    box = Workspace((x, y, z), (a, b, c))
    if box.excess(home) > 0.0:
        stands = ", ".join(f"{value:.3f}" for value in home)
        raise ValueError(f"home ({stands} m) is {1000 * box.excess(home):.1f} mm outside that box: another corner")
    return box
