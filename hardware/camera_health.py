"""How a camera is doing: age of its newest new frame (S16), pictures that stay the same (S17). Pure functions."""

from __future__ import annotations

from collections.abc import Iterable
from math import dist
from typing import NamedTuple

from hardware.interfaces import FrameStamp, Vector3


class CameraHealth(NamedTuple):
    """What is known of one camera; :func:`look` takes in what it shows now."""

    name: str
    period_s: float
    """Nominal time between frames."""
    stamp_s: float
    """When the newest frame was exposed whose counter had moved on: a stuck counter ages."""
    sequence: int = -1
    digest: int | None = None
    """Hash of that frame's pixels; None where the driver makes none."""
    repeats: int = 1
    """How many frames in a row showed these pixels."""
    seen_from: Vector3 | None = None
    """Where the end effector was, m, when they appeared."""
    moved_m: float = 0.0
    """How far the end effector has gone from there."""


def look(health: CameraHealth, frame: FrameStamp | None, position_m: Vector3) -> CameraHealth:
    """``health`` after a look at the camera's newest frame (None: none yet), the end effector being at ``position_m``.
    Only a frame with a later counter than the one before is new, whatever its stamp says."""
    if frame is None or frame.sequence <= health.sequence:
        return health
    same = frame.digest is not None and frame.digest == health.digest
    if same and health.seen_from is not None:
        return health._replace(
            stamp_s=frame.stamp_s,
            sequence=frame.sequence,
            repeats=health.repeats + 1,
            moved_m=max(dist(position_m, health.seen_from), health.moved_m),  # Not a number stays that.
        )
    return CameraHealth(health.name, health.period_s, frame.stamp_s, frame.sequence, frame.digest, 1, position_m)


def skew_s(stamps_s: Iterable[float]) -> float:
    """S18: the spread of the times at which an observation's frames were exposed; 0 with fewer than two."""
    stamps = list(stamps_s)
    return max(stamps) - min(stamps) if stamps else 0.0
