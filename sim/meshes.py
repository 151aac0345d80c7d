"""The arm drawn with somebody's meshes, in place of the primitive geoms: for people's eyes and for cameras."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import mujoco

MESH = mujoco.mjtGeom.mjGEOM_MESH
DRAWN_GROUP = 2


class MeshesUnavailable(ValueError):
    """The meshes asked for cannot be had here; the message says why and what to do."""


def menagerie(robot: str) -> mujoco.MjSpec:
    """A robot of DeepMind's Menagerie, by name (``franka_fr3``), downloaded on first use; :class:`MeshesUnavailable`
    otherwise."""
    try:
        import mujoco_menagerie
    except ImportError:
        raise MeshesUnavailable(f"meshes of '{robot}' need an extra: pip install 'robot-rl[meshes]'") from None
    try:
        found = mujoco_menagerie.get(robot)
        return found.spec(found.default_model)
    except mujoco_menagerie.MenagerieError as error:
        reason = " ".join(str(error).split())
        raise MeshesUnavailable(f"no meshes of '{robot}': {reason}; leave --meshes out to draw without") from None


def dress(spec: mujoco.MjSpec, robot: mujoco.MjSpec) -> list[str]:
    """Draw each body of ``spec`` with the meshes of its namesake in ``robot`` (``left/link3`` with ``fr3_link3``); its
    own drawn geoms go. What touches and weighs stays as it was. Returns the names of the bodies dressed; raises
    :class:`MeshesUnavailable` if there are none."""
    wardrobe = {body.name.removeprefix("fr3_"): body for body in robot.bodies}
    folder = Path(robot.modelfiledir or ".") / robot.meshdir
    files = {mesh.name or Path(mesh.file).stem: mesh for mesh in robot.meshes}
    materials = {material.name: material for material in robot.materials}
    dressed = []
    for body in spec.bodies:
        namesake = wardrobe.get(body.name.rpartition("/")[2])
        meshes = list(_drawn(namesake)) if namesake is not None else []
        if not meshes:
            continue
        for geom in [geom for geom in body.geoms if _only_drawn(geom)]:
            spec.delete(geom)
        for geom in meshes:
            _add_mesh(spec, files[geom.meshname], folder)
            added = body.add_geom(type=MESH, meshname=geom.meshname, pos=geom.pos, quat=geom.quat)
            added.contype, added.conaffinity, added.group, added.mass = 0, 0, DRAWN_GROUP, 0.0
            added.rgba = materials[geom.material].rgba if geom.material in materials else geom.rgba
        dressed.append(body.name)
    if not dressed:
        raise MeshesUnavailable(
            f"'{robot.modelname}' has meshes for none of the arm's bodies; its own are {', '.join(sorted(wardrobe))}"
        )
    return dressed


def _drawn(body: mujoco.MjsBody) -> Iterator[mujoco.MjsGeom]:
    return (geom for geom in body.geoms if geom.type == MESH and _only_drawn(geom))


def _only_drawn(geom: mujoco.MjsGeom) -> bool:
    return geom.contype == 0 and geom.conaffinity == 0


def _add_mesh(spec: mujoco.MjSpec, mesh: mujoco.MjsMesh, folder: Path) -> None:
    name = mesh.name or Path(mesh.file).stem
    if any(known.name == name for known in spec.meshes):
        return
    spec.add_mesh(name=name, file=str((folder / mesh.file).resolve()), scale=mesh.scale, refpos=mesh.refpos)
