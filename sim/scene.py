"""What is drawn of a world, as triangle meshes a body: for viewers that are not MuJoCo's own."""

from __future__ import annotations

import mujoco
import numpy as np

from hardware.cell import Cell
from robot_rl.console.snapshot import Scene, Shape

DRAWN_GROUPS = 3
"""Geom groups from this one on are hidden, as in MuJoCo's own viewer."""
_FLOOR_M = 2.0
_MESH = {
    mujoco.mjtGeom.mjGEOM_BOX: lambda t, s: t.box(extents=2.0 * s),
    mujoco.mjtGeom.mjGEOM_SPHERE: lambda t, s: t.icosphere(subdivisions=2, radius=s[0]),
    mujoco.mjtGeom.mjGEOM_CAPSULE: lambda t, s: t.capsule(height=2.0 * s[1], radius=s[0], count=[12, 12]),
    mujoco.mjtGeom.mjGEOM_CYLINDER: lambda t, s: t.cylinder(radius=s[0], height=2.0 * s[1], sections=24),
    mujoco.mjtGeom.mjGEOM_PLANE: lambda t, s: t.box(extents=(2 * (s[0] or _FLOOR_M), 2 * (s[1] or _FLOOR_M), 1e-3)),
}


def scene_of(model: mujoco.MjModel, cell: Cell) -> Scene:
    """The drawn shapes of each body of ``model`` in the order of its bodies, and the workspace of ``cell``.

    Needs ``trimesh``, which the extra ``console`` brings.
    """
    bodies = {}
    for index in range(model.nbody):
        body = model.body(index)
        first, count = int(body.geomadr[0]), int(body.geomnum[0])
        shapes = (_shape(model, geom) for geom in range(first, first + count) if first >= 0)
        bodies[body.name or f"body{index}"] = tuple(shape for shape in shapes if shape is not None)
    return Scene(bodies, cell.workspace.min_m, cell.workspace.max_m)


def body_poses(data: mujoco.MjData) -> np.ndarray:
    """float64 (bodies, 7): position and quaternion wxyz of each body, as a snapshot has them."""
    return np.concatenate([data.xpos, data.xquat], axis=1)


def _shape(model: mujoco.MjModel, geom: int) -> Shape | None:
    import trimesh

    rgba = model.mat_rgba[model.geom_matid[geom]] if model.geom_matid[geom] >= 0 else model.geom_rgba[geom]
    kind = mujoco.mjtGeom(int(model.geom_type[geom]))
    if model.geom_group[geom] >= DRAWN_GROUPS or rgba[3] == 0.0:
        return None
    if kind is mujoco.mjtGeom.mjGEOM_MESH:
        vertices, faces = _mesh(model, int(model.geom_dataid[geom]))
    elif kind in _MESH:
        made = _MESH[kind](trimesh.creation, model.geom_size[geom])
        vertices, faces = np.asarray(made.vertices), np.asarray(made.faces)
    else:
        return None
    turn = np.empty(9)
    mujoco.mju_quat2Mat(turn, model.geom_quat[geom])
    placed = vertices @ turn.reshape(3, 3).T + model.geom_pos[geom]
    red, green, blue = (round(255 * float(channel)) for channel in rgba[:3])
    return Shape(placed.astype(np.float32), faces.astype(np.uint32), (red, green, blue), float(rgba[3]))


def _mesh(model: mujoco.MjModel, mesh: int) -> tuple[np.ndarray, np.ndarray]:
    first, count = model.mesh_vertadr[mesh], model.mesh_vertnum[mesh]
    face, faces = model.mesh_faceadr[mesh], model.mesh_facenum[mesh]
    return model.mesh_vert[first : first + count], model.mesh_face[face : face + faces]
