"""OpenCV's cameras: a stream of this machine stands in for V4L2, whose ioctls no test here can reach."""

from __future__ import annotations

import time

import pytest

from hardware.cameras.uvc import UvcCamera
from hardware.clock import RealClock
from hardware.device_settings import CameraSettings
from tests.hardware.cameras.rig import NetworkCamera

cv2 = pytest.importorskip("cv2", reason="needs the extra 'uvc'")


@pytest.fixture(name="source")
def a_network_camera():
    source = NetworkCamera()
    yield source
    source.close()


def test_red_is_first(source):
    camera = UvcCamera("front", CameraSettings(path=source.address), RealClock())
    camera.connect()
    red, green, blue = camera.read_latest(1.0).image[64, 64]
    camera.close()
    assert blue > 200 > 80 > green
    assert red < 200


def test_a_stream_that_ends_comes_back_with_its_counter_going_on(source):
    camera = UvcCamera("front", CameraSettings(path=source.address), RealClock())
    camera.connect()
    source.hang_up.set()
    deadline = time.monotonic() + 10.0
    while not camera.trouble and time.monotonic() < deadline:
        time.sleep(0.01)
    assert "no more pictures" in camera.trouble
    before = camera.newest().sequence
    source.hang_up.clear()
    while camera.newest().sequence <= before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert camera.newest().sequence > before
    camera.close()


def test_a_recorded_file_plays_and_other_sizes_are_refused(tmp_path):
    path = str(tmp_path / "film.avi")
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"MJPG"), 30.0, (320, 240))
    for shade in range(90):
        writer.write(cv2.merge([cv2.UMat(240, 320, cv2.CV_8U, shade).get()] * 3))
    writer.release()
    with pytest.raises(ConnectionError, match="delivers 320x240, not 640x480: set capture_px"):
        UvcCamera("front", CameraSettings(path=path), RealClock()).connect()
    camera = UvcCamera("front", CameraSettings(path=path, capture_px=(320, 240)), RealClock())
    camera.connect()
    assert camera.read_latest(5.0).image.shape == (128, 128, 3)
    camera.close()


@pytest.mark.parametrize("path", ["", "/dev/v4l/by-id/nowhere"])
def test_a_device_that_is_not_there_is_said_to_be(path):
    with pytest.raises(ConnectionError, match=r"no device .*; connected: "):
        UvcCamera("front", CameraSettings(path=path), RealClock()).connect()
