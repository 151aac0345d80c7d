"""World: states that continue bit for bit, poses that are current, pictures."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from hardware.geometry import pose_distance
from hardware.interfaces import Pose
from sim.tasks import TASKS, make_task
from sim.world import RendererUnavailable, World

BOX = """
<mujoco><include file="table.xml"/><worldbody>
  <body name="box" pos="0.5 0 0.1" gravcomp="0"><freejoint/>
    <geom class="object" type="box" size="0.02 0.02 0.02" mass="0.1"/>
  </body>
</worldbody></mujoco>
"""


@pytest.fixture
def falling() -> World:
    """A box about to land beside the arm: contacts, which are what a forgotten piece of state shows in."""
    return World(BOX)


def test_a_loaded_state_continues_bit_for_bit(falling: World) -> None:
    falling.step(40)
    saved = falling.save_state()
    falling.step(60)
    expected, felt = falling.save_state(), falling.data.sensordata.copy()
    assert falling.data.ncon > 0
    falling.load_state(saved)
    falling.step(60)
    assert np.array_equal(falling.save_state(), expected) and np.array_equal(falling.data.sensordata, felt)


def test_a_state_goes_into_another_world_of_the_scene(falling: World) -> None:
    falling.step(77)
    other = World(BOX)
    other.load_state(falling.save_state())
    assert other.time_s == falling.time_s and other.body_pose("box") == falling.body_pose("box")
    falling.step(50)
    other.step(50)
    assert np.array_equal(other.save_state(), falling.save_state())


def test_steps_in_pieces_are_the_same_steps(falling: World) -> None:
    other = World(BOX)
    falling.step(90)
    for count in (1, 4, 25, 60):
        other.step(count)
    assert np.array_equal(other.save_state(), falling.save_state())


def test_a_state_of_another_scene_is_refused(falling: World) -> None:
    with pytest.raises(ValueError, match="another scene"):
        falling.load_state(World("reach.xml").save_state())


def test_poses_belong_to_the_current_time(falling: World) -> None:
    falling.step(30)
    assert falling.body_pose("box").position_m == tuple(
        falling.data.joint(int(falling.model.body("box").jntadr[0])).qpos[:3]
    )


def test_time_goes_on_through_a_reset(falling: World) -> None:
    falling.step(500)
    falling.reset()
    falling.refresh()
    assert falling.time_s == pytest.approx(1.0) and falling.data.time == falling.time_s
    assert falling.body_pose("box").position_m == (0.5, 0.0, 0.1)


def test_place_puts_free_and_mocap_bodies_only(falling: World) -> None:
    pose = Pose((0.4, 0.1, 0.2), (0.0, 0.0, 0.6, 0.8))
    for name in ("box", "target"):
        falling.place(name, pose)
    falling.refresh()
    assert all(max(pose_distance(falling.body_pose(name), pose)) < 1e-12 for name in ("box", "target"))
    with pytest.raises(ValueError, match="'link3' is fixed"):
        falling.place("link3", pose)


def test_an_alarm_rings_at_its_step_and_can_be_moved(falling: World) -> None:
    rang: list[int] = []
    falling.set_alarm(5, lambda: rang.append(falling.steps))
    falling.step(3)
    falling.set_alarm(10, lambda: rang.append(falling.steps))
    falling.step(20)
    assert rang == [13] and falling.steps == 23


def test_nothing_sinks_into_the_table(falling: World) -> None:
    falling.step(600)
    assert falling.data.ncon > 0 and min(contact.dist for contact in falling.data.contact) > -1e-4
    assert falling.body_pose("box").position_m[2] == pytest.approx(0.02, abs=1e-4)


@pytest.fixture(scope="module")
def drawn() -> World:
    world = World("reach.xml")
    try:
        world.render("front", 32, 32)
    except RendererUnavailable as error:
        pytest.skip(str(error))
    return world


def test_pictures_show_the_scene(drawn: World) -> None:
    before = drawn.render("front", 96, 128)
    drawn.place("goal", Pose((0.55, 0.05, 0.1), (0.0, 0.0, 0.0, 1.0)))
    drawn.refresh()
    after = drawn.render("front", 96, 128)
    assert before.shape == (96, 128, 3) and before.dtype == np.uint8
    assert before.std() > 10, "an empty picture"
    assert 10 < np.count_nonzero(np.any(before != after, axis=2)) < 0.2 * 96 * 128
    assert np.array_equal(after, drawn.render("front", 96, 128)), "the same scene draws the same picture"


def test_without_a_renderer_the_twin_runs_and_says_what_to_install() -> None:
    code = (
        "import sim.world as w; world = w.World('reach.xml'); world.step(5)\n"
        "try: world.render('front')\n"
        "except w.RendererUnavailable as error: print(error)"
    )
    env = {**os.environ, "MUJOCO_GL": "disable"}
    out = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60, check=True)
    assert "apt install" in out.stdout and out.stdout.count("\n") == 1


def test_an_unknown_task_names_the_nearest() -> None:
    with pytest.raises(ValueError, match="did you mean 'peg_insertion'"):
        make_task("peg_insert")
    assert "reach" in TASKS
