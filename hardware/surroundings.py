"""What stands around an arm, as its cell file describes it: where the arm is mounted, and what each task adds.

Coordinates are the cell's, which are the base frame of an arm that is not mounted elsewhere.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import cos, sin, sqrt

from hardware.body import Box
from hardware.interfaces import Pose, Vector3


@dataclass(frozen=True, slots=True)
class Mount:
    """Where an arm's base stands in the cell, upright."""

    position_m: Vector3 = (0.0, 0.0, 0.0)
    yaw_rad: float = 0.0
    """About the vertical."""

    @property
    def pose(self) -> Pose:
        """``T_cell_base``."""
        return Pose(self.position_m, (0.0, 0.0, sin(0.5 * self.yaw_rad), cos(0.5 * self.yaw_rad)))


@dataclass(frozen=True, slots=True)
class HeldCapsule:
    """A capsule around what the gripper holds, or may hold, in the end effector's frame (m)."""

    start_m: Vector3
    end_m: Vector3
    radius_m: float = dataclasses.field(metadata={"minimum": 0.0, "exclusive": True})


@dataclass(frozen=True, slots=True)
class TaskArea:
    """What a task brings to the cell."""

    work_zone: Box | None = None
    """While the end effector is inside, fingers and held tool may touch things; the rest of the arm may not."""
    fixtures: Mapping[str, Box] = field(default_factory=dict)
    """Boxes around what the task puts on the table, wherever in its range it stands."""
    held: tuple[HeldCapsule, ...] = ()
    approach: Vector3 = (0.0, 0.0, -1.0)
    """Unit vector along which the tool points when it stands as the task has it (S33)."""

    def __post_init__(self) -> None:
        length = sqrt(sum(a * a for a in self.approach))
        if abs(length - 1.0) > 1e-6:
            raise ValueError(f"approach {list(self.approach)} has length {length:.3g}; it must be a unit vector")
