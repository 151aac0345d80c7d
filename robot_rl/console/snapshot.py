"""What the console shows: one small immutable value a moment, whoever makes it (a twin, an arm over topics, a file).

It crosses to the page's process as one packet: a JSON header and the arrays' bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from hardware.interfaces import CameraFrame, Gripper, GuardMode, Pose, Source, Vector3
from robot_rl.console.timing import Timing

MAX_FRAME_BYTES = 60_000
"""Larger pictures cross with every second pixel, or fewer: a packet must fit into a socket's buffer."""
SUCCESS, HELPED = 1, 2
"""Bits of an outcome."""


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


def _nothing() -> np.ndarray:
    return np.zeros(0)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The robot and the run at one moment."""

    stamp_s: float
    """The robot's clock."""
    hand: Pose
    """The measured end effector, in the base frame."""
    mode: GuardMode
    reason: str = ""
    """Why the guard does not run; empty when it does."""
    source: Source = Source.POLICY
    """Who drives."""
    gripper: Gripper = Gripper.HOLD
    accepted: Pose | None = None
    """The guard's target."""
    proposed: Pose | None = None
    """What the policy last asked for."""
    refusal: tuple[str, float, float] | None = None
    """The guard's last refusal: which limit, by how much, how many seconds ago."""
    trouble: str = ""
    """Why the robot did not do what the operator asked for; empty when it did."""
    proposed_action: tuple[float, ...] = ()
    """Of the newest step, in [-1, 1]."""
    executed_action: tuple[float, ...] = ()
    episode: int = 0
    """Episodes begun."""
    step: int = 0
    """Steps of this episode."""
    human_steps: int = 0
    """Of them, those the person drove."""
    stalled_s: float | None = None
    """For how long the task has not come nearer to success; None where the task cannot tell."""
    pace: float = 1.0
    """Seconds of the robot's clock a second of the operator's."""
    timing: Timing | None = None
    """How quick the control loop was in the last second; None before that has passed."""
    training: Mapping[str, float] = field(default_factory=dict)
    """The newest row of the run's metrics; empty where nothing learns."""
    frames: Mapping[str, CameraFrame] = field(default_factory=dict)
    """Camera pictures, as the policy sees them."""
    body_poses: np.ndarray = field(default_factory=_nothing)
    """float64 (bodies, 7): position (m) and quaternion wxyz in the base frame."""
    positions: np.ndarray = field(default_factory=_nothing)
    """Twin only: float64 (n,), what its pictures are drawn from."""
    outcomes: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint8))
    """uint8 (episodes,): of each finished episode :data:`SUCCESS`, and :data:`HELPED` where the person drove in it."""

    def pack(self) -> bytes:
        """One packet; :meth:`unpack` is its inverse, but for large pictures, which lose pixels."""
        frames = {name: _reduced(frame.image) for name, frame in self.frames.items()}
        blobs = [*(getattr(self, name) for name in _ARRAYS), *frames.values()]
        header = {name: getattr(self, name) for name in _PLAIN} | {
            "arrays": [[blob.dtype.str, blob.shape] for blob in blobs],
            "frames": [[name, frame.stamp_s, frame.sequence] for name, frame in self.frames.items()],
        }
        text = json.dumps(header).encode()
        return b"".join([len(text).to_bytes(4, "little"), text, *(blob.tobytes() for blob in blobs)])

    @classmethod
    def unpack(cls, packet: bytes) -> Snapshot:
        """Raises ``ValueError`` for what is no packet of :meth:`pack`."""
        try:
            return cls._unpacked(packet)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"no packet of a snapshot: {error}") from None

    @classmethod
    def _unpacked(cls, packet: bytes) -> Snapshot:
        start = 4 + int.from_bytes(packet[:4], "little")
        header = json.loads(packet[4:start])
        blobs = []
        for dtype, shape in header.pop("arrays"):
            count = int(np.prod(shape))
            blob = np.frombuffer(packet, dtype, count, start)
            blobs.append(blob.reshape(shape))
            start += blob.nbytes
        arrays = dict(zip(_ARRAYS, blobs, strict=False))
        stamped = zip(header.pop("frames"), blobs[len(_ARRAYS) :], strict=True)
        frames = {name: CameraFrame(stamp_s, sequence, image) for (name, stamp_s, sequence), image in stamped}
        return cls(**{name: _restored(name, value) for name, value in header.items()}, frames=frames, **arrays)


_ARRAYS = ("body_poses", "positions", "outcomes")
_PLAIN = tuple(f.name for f in fields(Snapshot) if f.name not in (*_ARRAYS, "frames"))
_KINDS: Mapping[str, Any] = {"timing": Timing._make, "mode": GuardMode, "source": Source, "gripper": Gripper}


def _restored(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in ("hand", "accepted", "proposed"):
        return Pose(*(tuple(part) for part in value))
    if name in _KINDS:
        return _KINDS[name](value)
    return tuple(value) if isinstance(value, list) else value


def _reduced(image: np.ndarray) -> np.ndarray:
    stride = 1
    while image[::stride, ::stride].nbytes > MAX_FRAME_BYTES:
        stride += 1
    return np.ascontiguousarray(image[::stride, ::stride])
