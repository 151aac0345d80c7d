"""A cell as its guard knows it, to be drawn: the arm's capsules on its joints, planes, fixtures, the task's work zone.

So it is for every arm that has a model, and what is drawn is what the guard keeps apart. Needs ``trimesh``, which the
extra ``console`` brings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from hardware.body import Box, Plane
from hardware.cell import Cell
from hardware.geometry import IDENTITY_POSE, pose_inverse, wxyz_from_xyzw
from hardware.interfaces import Pose, Vector3
from hardware.surroundings import TaskArea
from robot_rl.console.snapshot import Scene, Shape

SURROUNDINGS = "surroundings"
ARM, TOOL, SOLID, ZONE = (196, 202, 210), (80, 88, 100), (150, 150, 150), (70, 160, 90)
TABLE_M, THICKNESS_M = 1.4, 0.005
"""A plane is drawn as a square of this side about the workspace."""
WALL_OPACITY, ZONE_OPACITY = 0.15, 0.2


class CellScene:
    """Draws a cell, one body for each frame of the arm and one for all that stands still."""

    def __init__(self, cell: Cell, task: str = "") -> None:
        """``task``: what it adds to the cell. Raises ``ValueError`` for an arm without a model."""
        area = cell.tasks.get(task, TaskArea())
        body = cell.whole_arm("collaborative", task).body
        self._joints, self._chain = len(body.model.joints), body.model.chain(IDENTITY_POSE)
        self._fixed = _row(pose_inverse(cell.mount.pose))  # Planes and fixtures are in the cell's frame.
        links: list[list[Shape]] = [[] for _ in range(body.ee_frame + 1)]
        for part in body.parts:
            colour = TOOL if part.frame == body.ee_frame else ARM
            links[part.frame].append(_capsule(part.start_m, part.end_m, part.radius_m, colour))
        bodies = {f"link {index}": tuple(shapes) for index, shapes in enumerate(links)}
        bodies[SURROUNDINGS] = tuple(_solids(cell, area))
        self.scene = Scene(bodies, cell.workspace.min_m, cell.workspace.max_m)

    def body_poses(self, joints_rad: Sequence[float], hand: Pose) -> np.ndarray:
        """Of the scene's bodies, float64 (bodies, 7) as in a snapshot; ``hand`` is measured, and where its frame is."""
        links = self._chain.frames(joints_rad[: self._joints])[:-1]
        return np.array([*(_row(frame.pose) for frame in links), _row(hand), self._fixed])


def _row(pose: Pose) -> tuple[float, ...]:
    return *pose.position_m, *wxyz_from_xyzw(pose.quat_xyzw)


def _solids(cell: Cell, area: TaskArea) -> Iterator[Shape]:
    low, high = np.array(cell.workspace.min_m), np.array(cell.workspace.max_m)
    for plane in cell.planes.values():
        yield _slab(plane, 0.5 * (low + high))
    for box in (*cell.fixtures.values(), *area.fixtures.values()):
        yield _box(box, SOLID)
    for zone in (area.work_zone, cell.handover_zone):
        if zone is not None:
            yield _box(zone, ZONE, ZONE_OPACITY)


def _capsule(start: Vector3, end: Vector3, radius: float, rgb: tuple[int, int, int]) -> Shape:
    from trimesh.creation import capsule

    way = np.subtract(end, start)
    length = float(np.linalg.norm(way))
    mesh = capsule(height=length, radius=radius, count=[12, 12])
    return _placed(mesh, way / length if length > 0.0 else np.array([0.0, 0.0, 1.0]), np.add(start, end) / 2.0, rgb)


def _slab(plane: Plane, near: np.ndarray) -> Shape:
    """The square of a plane's surface nearest to ``near``; a table is solid, walls are seen through."""
    from trimesh.creation import box

    normal = np.array(plane.normal)
    middle = near - (near @ normal - plane.offset_m + 0.5 * THICKNESS_M) * normal
    opacity = 1.0 if normal[2] > 0.9 else WALL_OPACITY
    return _placed(box(extents=(TABLE_M, TABLE_M, THICKNESS_M)), normal, middle, SOLID, opacity)


def _box(solid: Box, rgb: tuple[int, int, int], opacity: float = 1.0) -> Shape:
    from trimesh.creation import box

    low, high = np.array(solid.min_m), np.array(solid.max_m)
    return _placed(box(extents=high - low), np.array([0.0, 0.0, 1.0]), 0.5 * (low + high), rgb, opacity)


def _placed(mesh: object, axis: np.ndarray, at: np.ndarray, rgb: tuple[int, int, int], opacity: float = 1.0) -> Shape:
    """``mesh`` with its z axis along ``axis`` and its origin ``at``."""
    from trimesh.geometry import align_vectors

    turn = align_vectors([0.0, 0.0, 1.0], axis)[:3, :3]
    vertices, faces = np.asarray(mesh.vertices), np.asarray(mesh.faces)  # type: ignore[attr-defined]
    return Shape((vertices @ turn.T + at).astype(np.float32), faces.astype(np.uint32), rgb, opacity)
