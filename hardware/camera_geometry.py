"""Where a camera is and how its lens maps: what a cell file keeps of a calibration.

A camera's frame is its optical one, as OpenCV and ROS have it: x to the right and y down in the picture, z out of the
lens. Pixels are of the captured picture, before any crop; (0, 0) is the middle of the first one.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot

from hardware.interfaces import Pose, Quaternion, Vector3
from hardware.toml_dataclass import nearest

FRAMES = {"ee": "rides on the hand", "base": "stands in the room"}
"""What a camera may be fixed to: the end effector, or the arm's base."""
_UNIT = 1e-3


@dataclass(frozen=True, slots=True)
class Intrinsics:
    """A lens by OpenCV's model of Brown and Conrady."""

    focal_px: tuple[float, float]
    """Along the picture's x and y."""
    centre_px: tuple[float, float]
    """Where the optical axis meets the picture."""
    distortion: tuple[float, ...] = ()
    """k1, k2, p1, p2, k3; empty for a lens without."""

    def __post_init__(self) -> None:
        if min(self.focal_px) <= 0.0:
            raise ValueError(f"focal_px is {list(self.focal_px)}; both must be above 0")
        if len(self.distortion) not in (0, 5):
            raise ValueError(f"distortion has {len(self.distortion)} entries; k1, k2, p1, p2, k3, or none")

    def cut(self, crop: tuple[int, int, int, int], size_px: tuple[int, int]) -> Intrinsics:
        """Of the picture's part ``crop`` (left, top, width, height) resized to ``size_px`` (width, height)."""
        (fx, fy), (cx, cy) = self.focal_px, self.centre_px
        left, top, width, height = crop
        across, down = size_px[0] / width, size_px[1] / height
        # A picture's edge lies half a pixel before the middle of its first one, before and after resizing.
        centre = (across * (cx - left + 0.5) - 0.5, down * (cy - top + 0.5) - 0.5)
        return Intrinsics((across * fx, down * fy), centre, self.distortion)


@dataclass(frozen=True, slots=True)
class Extrinsics:
    """Pose of a camera's optical frame in ``frame``."""

    frame: str
    """``ee``: the camera rides on the hand (``T_ee_camera``). ``base``: it stands in the room (``T_base_camera``)."""
    position_m: Vector3
    quat_xyzw: Quaternion

    def __post_init__(self) -> None:
        if self.frame not in FRAMES:
            raise ValueError(f"frame is {self.frame!r}; {nearest(self.frame, FRAMES)}")
        length = hypot(*self.quat_xyzw)
        if abs(length - 1.0) > _UNIT:
            raise ValueError(f"quat_xyzw {list(self.quat_xyzw)} has length {length:.3g}; it must be a unit quaternion")

    @property
    def pose(self) -> Pose:
        """``T_ee_camera`` or ``T_base_camera``."""
        return Pose(self.position_m, self.quat_xyzw)
