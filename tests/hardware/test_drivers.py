"""From a cell file to its drivers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hardware.arms.franka import FrankaArm
from hardware.cameras.realsense import RealSenseCamera
from hardware.cell import CellError, cell_names, load_cell, load_cells
from hardware.device_settings import CameraSettings, TeleopSettings
from hardware.devices import Devices, devices_of
from hardware.drivers import CAMERAS, TELEOPS, devices
from hardware.fakes import FakeArm, FakeCamera, FakeClock, FakeTeleop
from hardware.interfaces import NoTeleop
from hardware.teleop.spacemouse import SpaceMouse

FR3 = "fr3_two_realsense"


def test_a_cell_file_names_its_drivers():
    cell = load_cell(FR3)
    made = devices_of(cell, Path("/nowhere"))
    assert isinstance(made.arm, FrankaArm)
    assert isinstance(made.teleop, SpaceMouse)
    assert {name: type(camera) for name, camera in made.cameras.items()} == dict.fromkeys(
        ("wrist", "front"), RealSenseCamera
    )


def test_every_driver_exists_and_makes_an_object():
    cell = load_cell(FR3)
    for driver in CAMERAS:
        assert devices(replace(cell, cameras={"a": CameraSettings(driver=driver)}), Path()).cameras["a"].name == "a"
    for device in TELEOPS:
        assert devices(replace(cell, teleop=TeleopSettings(device=device)), Path()).teleop is not None
    assert isinstance(devices(replace(cell, teleop=TeleopSettings()), Path()).teleop, NoTeleop)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"arm": "fr4"}, "arm is 'fr4', for which there is no driver; did you mean 'fr3'"),
        ({"cameras": {"top": CameraSettings(driver="realsens")}}, r"cameras.top.driver is 'realsens'.*'realsense'"),
        ({"teleop": TeleopSettings(device="spacemose")}, "teleop.device is 'spacemose'.*'spacemouse'"),
    ],
)
def test_a_driver_that_does_not_exist_is_refused_with_the_nearest(change, message):
    with pytest.raises(CellError, match=message):
        devices(replace(load_cell(FR3), **change), Path())


@pytest.mark.parametrize("name", cell_names())
def test_the_cells_that_come_with_the_package_make_sense(name):
    for cell in load_cells(name).values():
        assert cell.whole_arm("collaborative") is not None


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[cameras.a]\nseriel = '1'", "cameras.a: unknown key 'seriel'; did you mean 'serial'"),
        ("[cameras.a]\ncrop_px = [600, 0, 100, 100]", "does not fit into the captured 640 x 480"),
        ("[cameras.a]\ncrop_px = [1, 2]", "crop_px has 2 entries; it must have 4"),
        ("[teleop]\ndead_bnad = 0.1", "teleop: unknown key 'dead_bnad'; did you mean 'dead_band'"),
        ("[controller]\nadress = 'x'", "controller: unknown key 'adress'; did you mean 'address'"),
        ("[controller]\nreflex_force_n = 1e6", "reflex_force_n is 1e[+]06; it must be at least 20 and at most 150"),
    ],
)
def test_what_a_cell_file_has_wrong_is_one_line_with_the_nearest(tmp_path, line, message):
    path = tmp_path / "cell.toml"
    path.write_text(
        "name = 'a'\narm = 'fr3'\nhome_joint_positions_rad = []\n"
        "workspace = { min_m = [0.0, 0.0, 0.0], max_m = [1.0, 1.0, 1.0] }\n" + line
    )
    with pytest.raises(CellError, match=message):
        load_cell(path)


def test_an_empty_crop_is_the_largest_centred_part_of_the_readers_shape():
    assert CameraSettings().crop == (80, 0, 480, 480)
    assert CameraSettings(width_px=200, height_px=100).crop == (0, 80, 640, 320)
    assert CameraSettings(width_px=640, height_px=480).crop == (0, 0, 640, 480)


def test_a_device_that_is_missing_leaves_the_others_closed():
    clock, closed = FakeClock(), []

    class Absent(FakeArm):
        def connect(self):
            raise ConnectionError("no arm here")

    camera, teleop = FakeCamera(clock), FakeTeleop()
    camera.close = lambda: closed.append("camera")  # type: ignore[method-assign]
    teleop.close = lambda: closed.append("teleop")  # type: ignore[method-assign]
    with pytest.raises(ConnectionError, match="no arm here"):
        Devices(Absent(clock), teleop, {"front": camera}, clock).connect()
    assert closed == ["camera", "teleop"]
