"""The twin's scene from other processes' side: what camera, person and task see of a twin that runs elsewhere."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest

from hardware.cell import CameraSettings, load_cell
from hardware.clock import RealClock
from hardware.devices import devices_of
from sim.arm_server import serve_scene
from sim.mirror_task import MirrorTask
from sim.remote_scene import MirrorCamera, MirrorPerson, SceneMirror
from sim.scene_server import SOCKET, Scene
from sim.world import RendererUnavailable


@pytest.fixture
def folder():
    folder, stop = Path(tempfile.mkdtemp(prefix="scene-")), Event()
    scene = Scene("reach", person="expert", takeover="always")
    server = Thread(target=serve_scene, args=(scene, folder, stop))
    server.start()
    while not (folder / SOCKET).exists():
        time.sleep(0.01)
    yield folder
    stop.set()
    server.join()
    shutil.rmtree(folder)


@pytest.fixture
def task(folder):
    task = MirrorTask(folder / SOCKET)
    yield task
    task.mirror.close()


def wait_for(happened, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_teleport_is_seen_by_everybody(folder, task):
    other = SceneMirror(folder / SOCKET)
    plan = task.reset(np.random.default_rng(5), teleport=True)
    plan.teleport()
    wait_for(lambda: other.refresh() or other.scene.revision == task.mirror.scene.revision)
    wait_for(
        lambda: (
            other.refresh()
            or other.task.world.site_pose("ee").position_m == pytest.approx(plan.start.position_m, abs=0.002)
        )
    )
    assert other.task.setup == task.setup
    assert other.task.world.data.mocap_pos == pytest.approx(task.mirror.task.world.data.mocap_pos, abs=1e-3)
    other.close()


def test_without_teleport_the_arm_stays_and_the_plan_lifts_first(task):
    before = task.mirror.task.world.site_pose("ee").position_m
    plan = task.reset(np.random.default_rng(5), teleport=False)
    assert plan.teleport is None
    assert plan.waypoints[0].position_m[2] == pytest.approx(before[2] + 0.08, abs=1e-3)
    task.mirror.refresh()
    assert task.mirror.task.world.site_pose("ee").position_m == pytest.approx(before, abs=1e-3)


def test_the_person_rests_until_an_episode_begins(folder, task):
    person = MirrorPerson(folder / SOCKET)
    person.connect()
    plan = task.reset(np.random.default_rng(5), teleport=True)
    plan.teleport()
    task.rest()
    assert not any(person.read(100.0 + 0.01 * tick).takeover for tick in range(50))
    task.new_episode(3)
    assert any(person.read(200.0 + 0.01 * tick).takeover for tick in range(50))
    task.rest()
    assert not any(person.read(300.0 + 0.01 * tick).takeover for tick in range(50))
    person.close()


def test_a_camera_draws_what_is_there_with_a_counter_that_moves(folder, task):
    camera = MirrorCamera(folder / SOCKET, "front", CameraSettings(), RealClock())
    try:
        camera.connect()
    except RendererUnavailable as error:
        pytest.skip(str(error))
    wait_for(lambda: camera.newest() is not None)
    first = camera.read_latest(10.0)
    assert first.image.shape == (128, 128, 3)
    wait_for(lambda: camera.newest().sequence > first.sequence)
    task.reset(np.random.default_rng(9), teleport=True).teleport()
    wait_for(lambda: (camera.read_latest(10.0).image != first.image).any())
    camera.close()


def test_nonsense_is_hung_up_on_and_the_twin_goes_on(folder, task):
    mirror = SceneMirror(folder / SOCKET)
    with pytest.raises(ConnectionError, match="gone"):
        mirror.ask("fly")
    mirror.close()
    task.mirror.ask("describe")


def test_where_no_twin_runs_the_message_says_how_to_start_one():
    with pytest.raises(ConnectionError, match="robot-rl twin"):
        SceneMirror(Path("/tmp/no-such-scene.sock"))


def test_the_twins_devices_are_found_by_name(folder):
    from dataclasses import replace

    found = devices_of(replace(load_cell("twin"), devices="sim.remote_scene:devices"), folder)
    assert set(found.cameras) == {"front", "wrist"}
