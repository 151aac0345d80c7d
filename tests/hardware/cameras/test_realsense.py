"""RealSense cameras through librealsense itself: its software device shows what it is told to."""

from __future__ import annotations

import time

import numpy as np
import pytest

from hardware.camera_geometry import Intrinsics
from hardware.cameras import grabbing
from hardware.cameras.realsense import RealSenseCamera
from hardware.clock import RealClock
from hardware.device_settings import CameraSettings
from tests.hardware.cameras.rig import SoftwareRealSense


@pytest.fixture
def plugged():
    """The devices of the computer; what is in the list is plugged in."""
    devices: list[SoftwareRealSense] = []
    yield devices
    for device in devices:
        device.stop()


@pytest.fixture(name="connect")
def connected_camera(plugged):
    cameras = []

    def connect(device=None, **settings):
        if device is not None:
            plugged.append(device)
            device.play()
        camera = RealSenseCamera("front", CameraSettings(**settings), RealClock(), lambda: [d.device for d in plugged])
        cameras.append(camera)
        camera.connect()
        return camera

    yield connect
    for camera in cameras:
        camera.close()


def wait_until(condition, timeout_s=10.0):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)


def test_the_device_tells_its_lens(connect):
    assert connect(SoftwareRealSense()).lens == Intrinsics((600.0, 600.0), (320.0, 240.0))


def test_the_serial_number_decides_whatever_else_is_plugged_in(plugged, connect):
    other = SoftwareRealSense("999")
    plugged.append(other)
    connect(SoftwareRealSense("123"), serial="123")
    assert other.counter == 0


@pytest.mark.parametrize(
    ("serials", "wanted", "message"),
    [
        ([], "123", "no RealSense is connected"),
        (["7", "8"], "123", "serial number '123' is not there; connected: 7, 8"),
        (["7", "8"], "", "name its serial number in the cell file; connected: 7, 8"),
    ],
)
def test_a_missing_device_is_named_with_those_that_are_there(plugged, connect, serials, wanted, message):
    plugged.extend(SoftwareRealSense(serial) for serial in serials)
    with pytest.raises(ConnectionError, match=message):
        connect(serial=wanted)


def test_a_mode_that_the_device_lacks_is_refused_with_those_it_has(connect):
    with pytest.raises(ConnectionError, match=r"no mode 1280x720 at 30/s .* offers 640x480 at 30/s"):
        connect(SoftwareRealSense(), capture_px=(1280, 720))


def test_colours_crop_and_size_are_the_cell_files(connect):
    camera = connect(SoftwareRealSense(), crop_px=(100, 50, 200, 100), width_px=64, height_px=32)
    image = camera.read_latest(0.2).image
    assert image.shape == (32, 64, 3)
    assert (image[..., 1] == 0).all()
    assert (image[..., 0].astype(int) + image[..., 2] == 255).all()


def test_depth_is_in_metres_and_aligned_to_the_colour_picture(connect):
    camera = connect(SoftwareRealSense(depth=True), depth=True, width_px=640, height_px=480)
    depth = camera.read_latest(0.5).depth_m
    assert depth.shape == (480, 640)
    assert set(np.unique(depth)) == {0.0, 1.0}
    # 50 mm to the right at 1 m with a focal length of 600 px: 30 columns know nothing.
    unknown = (depth == 0.0).all(axis=0)
    assert 28 <= unknown.sum() <= 32
    assert unknown[0] or unknown[-1]


def test_frames_that_never_came_are_gaps_in_the_counter(connect):
    device = SoftwareRealSense()
    camera = connect(device)
    wait_until(lambda: camera.newest().sequence >= 2)
    seen = [camera.newest().sequence]
    device.counter += 7
    while len(seen) < 4:  # one may have been on its way
        wait_until(lambda: camera.newest().sequence > seen[-1])
        seen.append(camera.newest().sequence)
    assert max(np.diff(seen)) >= 8


def test_s17_a_counter_that_stands_still_ages_whatever_is_sent(connect):
    device = SoftwareRealSense()
    camera = connect(device)
    device.advancing = False
    time.sleep(0.05)
    frozen = camera.newest()
    time.sleep(0.4)
    assert camera.newest() == frozen
    with pytest.raises(TimeoutError, match="'front'"):
        camera.read_latest(0.2)


def test_s17_pictures_that_repeat_have_the_same_digest(connect):
    device = SoftwareRealSense()
    camera = connect(device)
    device._stop.set()
    digests = []
    for shade in (1, 1, 2):
        before = camera.newest().sequence
        device.show(shade)
        wait_until(lambda before=before: camera.newest().sequence > before)
        digests.append(camera.newest().digest)
    assert digests[0] == digests[1] != digests[2]


def test_a_stall_is_noticed_and_the_device_opened_anew(connect, monkeypatch, caplog):
    monkeypatch.setattr(grabbing, "STALL_S", 0.3)
    device = SoftwareRealSense()
    camera = connect(device)
    device.paused.set()
    wait_until(lambda: camera.trouble)
    before = camera.newest().sequence
    with pytest.raises(TimeoutError, match=r"no new frame for 0.3 s; trying to get it back"):
        camera.read_latest(0.2)
    device.paused.clear()
    wait_until(lambda: camera.newest().sequence > before and not camera.trouble)
    assert camera.reconnections >= 1
    assert camera.read_latest(0.5).sequence > before
    assert [r.message for r in caplog.records if "is lost" in r.message or "is back" in r.message] == [
        "camera 'front' is lost: no new frame for 0.3 s",
        "camera 'front' is back",
    ]


def test_a_device_that_comes_back_counts_on_from_where_it_was(plugged, connect, monkeypatch):
    monkeypatch.setattr(grabbing, "STALL_S", 0.3)
    camera = connect(SoftwareRealSense("123", counter=5000), serial="123")
    wait_until(lambda: camera.newest().sequence >= 3)
    plugged.pop().stop()
    wait_until(lambda: camera.trouble)
    before = camera.newest().sequence
    again = SoftwareRealSense("123", counter=0)
    plugged.append(again)
    again.play()
    wait_until(lambda: not camera.trouble)
    after = camera.newest().sequence
    assert before < after < before + 60


def record(source, path):
    """librealsense's own recording of a device; the file is whole once recorder and camera are let go of."""
    recorder = source.rs.recorder(path, source.device)
    camera = RealSenseCamera("front", CameraSettings(), RealClock(), lambda: [recorder])
    camera.connect()
    wait_until(lambda: camera.newest().sequence >= 10)
    camera.close()


def test_a_recorded_file_plays_as_a_device(tmp_path):
    source, path = SoftwareRealSense("77"), str(tmp_path / "seen.db3")
    source.play()
    record(source, path)
    source.stop()
    played = source.rs.context().load_device(path)
    camera = RealSenseCamera("front", CameraSettings(serial="77"), RealClock(), lambda: [played])
    camera.connect()
    try:
        wait_until(lambda: camera.newest().sequence >= 5)
        assert camera.lens == Intrinsics((600.0, 600.0), (320.0, 240.0), ())
        red, green, blue = camera.read_latest(10.0).image[0, 0]
        assert (green, red + blue) == (0, 255)
    finally:
        camera.close()
