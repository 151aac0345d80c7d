"""Somebody's meshes on the arm: drawn, and nothing else."""

from __future__ import annotations

import sys
from pathlib import Path

import mujoco
import numpy as np
import pytest

import sim.world
from robot_rl.cli import main
from sim.meshes import MeshesUnavailable, dress, menagerie
from sim.tasks import make_task
from sim.world import World

TETRAHEDRON = "v 0 0 0\nv .1 0 0\nv 0 .1 0\nv 0 0 .1\nf 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n"
ROBOT = """<mujoco model="other">
  <compiler meshdir="assets"/>
  <asset><mesh file="part.obj"/><material name="white" rgba="1 1 1 1"/></asset>
  <worldbody><body name="{name}">
    <geom type="mesh" mesh="part" material="white" contype="0" conaffinity="0" group="2" pos="0 0 .1"/>
    <geom type="mesh" mesh="part"/>
  </body></worldbody>
</mujoco>"""


def robot(folder: Path, name: str) -> mujoco.MjSpec:
    (folder / "assets").mkdir(parents=True, exist_ok=True)
    (folder / "assets" / "part.obj").write_text(TETRAHEDRON)
    (folder / "robot.xml").write_text(ROBOT.format(name=name))
    return mujoco.MjSpec.from_file(str(folder / "robot.xml"))


def meshes_of(world: World, body: str) -> list[int]:
    model = world.model
    first, count = int(model.body(body).geomadr[0]), int(model.body(body).geomnum[0])
    return [geom for geom in range(first, first + count) if model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_MESH]


@pytest.mark.parametrize("name", ["link3", "fr3_link3"])
def test_a_link_is_drawn_as_its_namesake_and_moves_as_before(monkeypatch, tmp_path, name):
    monkeypatch.setattr(sim.world, "menagerie", lambda asked: robot(tmp_path, name))
    plain, dressed = make_task("peg_insertion").world, make_task("peg_insertion", meshes="other").world
    (mesh,) = meshes_of(dressed, "link3")
    assert dressed.model.geom_contype[mesh] == dressed.model.geom_conaffinity[mesh] == 0
    assert dressed.model.geom_rgba[mesh].tolist() == [1.0, 1.0, 1.0, 1.0]
    assert dressed.model.body("link3").geomnum[0] == 1 and not meshes_of(dressed, "link4")
    assert np.array_equal(dressed.model.body_mass, plain.model.body_mass)
    for world in (plain, dressed):
        world.data.ctrl[0] = 0.01
        world.step(200)
    assert np.array_equal(plain.data.qpos, dressed.data.qpos)


def test_a_robot_with_none_of_the_arms_links_is_refused(tmp_path):
    world = mujoco.MjSpec.from_string("<mujoco><worldbody><body name='link3'/></worldbody></mujoco>")
    with pytest.raises(MeshesUnavailable, match="meshes for none of the arm's bodies; its own are thigh, world"):
        dress(world, robot(tmp_path, "thigh"))


def test_without_the_package_it_says_which_extra_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "mujoco_menagerie", None)
    with pytest.raises(MeshesUnavailable, match=r"pip install 'robot-rl\[meshes\]'"):
        menagerie("franka_fr3")
    assert main(["record", "--task", "reach", "--env-kwargs", '{"meshes": "franka_fr3"}', "--episodes", "1"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
