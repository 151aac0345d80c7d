"""What the console shows: one small immutable value a moment, whoever makes it (a twin, an arm over topics, a file).

The control thread makes snapshots and puts them into a :class:`Slot`; a viewer's thread takes the newest. So nothing a
viewer does, or fails to do, reaches the control loop.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Condition

import numpy as np

from hardware.interfaces import ArmState, CameraFrame, ExecutedCommand, Refusal, Vector3


@dataclass(frozen=True)
class Shape:
    """A coloured triangle mesh of a body, in the body's frame."""

    vertices_m: np.ndarray
    """float32 (n, 3)."""
    faces: np.ndarray
    """uint32 (m, 3)."""
    rgb: tuple[int, int, int]
    opacity: float = 1.0


@dataclass(frozen=True)
class Scene:
    """What stays the same: the drawn shapes of each body, by name, in the order of a snapshot's poses."""

    bodies: Mapping[str, tuple[Shape, ...]]
    workspace_min_m: Vector3
    workspace_max_m: Vector3


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The robot and the run at one moment."""

    stamp_s: float
    """The robot's clock."""
    arm: ArmState
    executed: ExecutedCommand
    """The guard's newest tick: who drives, mode and reason, accepted and proposed target."""
    refusal: tuple[float, Refusal] | None = None
    """The guard's last refusal, and when."""
    body_poses: np.ndarray = field(default_factory=lambda: np.zeros((0, 7)))
    """float64 (bodies, 7): position (m) and quaternion wxyz in the base frame."""
    frames: Mapping[str, CameraFrame] = field(default_factory=dict)
    """Camera pictures, as the policy sees them."""
    positions: np.ndarray | None = None
    """Twin only: float64 (n,), what its pictures are drawn from."""
    proposed: tuple[float, ...] = ()
    """The newest step's action as the policy proposed it, in [-1, 1]."""
    done: tuple[float, ...] = ()
    """The same step's executed action."""
    episode: int = 0
    """Episodes begun."""
    step: int = 0
    """Steps of this episode."""
    human_steps: int = 0
    """Of them, those the person drove."""
    stalled_s: float = 0.0
    """For how long the task has not come nearer to success, where the task can tell."""
    pace: float = 1.0
    """Seconds of the robot's clock a second of the operator's."""
    training: Mapping[str, float] = field(default_factory=dict)
    """The newest row of the run's metrics; empty where nothing learns."""
    outcomes: tuple[tuple[bool, bool], ...] = ()
    """Of each finished episode: success, and whether the person drove in it."""


class Slot:
    """Room for one snapshot: putting never waits, taking gets the newest and drops those before it."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._newest: Snapshot | None = None

    def put(self, snapshot: Snapshot) -> None:
        """Replace what nobody has taken; microseconds."""
        with self._changed:
            self._newest = snapshot
            self._changed.notify()

    def take(self, timeout_s: float) -> Snapshot | None:
        """The newest snapshot, once; None where none comes within ``timeout_s``."""
        with self._changed:
            self._changed.wait_for(lambda: self._newest is not None, timeout_s)
            newest, self._newest = self._newest, None
            return newest
