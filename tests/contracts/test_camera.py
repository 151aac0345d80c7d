"""What every Camera promises."""

from __future__ import annotations

import numpy as np
import pytest

from hardware.interfaces import Camera
from tests.contracts.registry import CAMERAS, comes


@pytest.fixture(params=CAMERAS)
def bench(request):
    bench = CAMERAS[request.param]()
    bench.wait(0.2)
    yield bench
    bench.close()


def test_it_is_a_camera(bench):
    assert isinstance(bench.device, Camera)
    assert bench.device.name


def test_frames_are_rgb_bytes_with_a_past_stamp(bench):
    frame = bench.device.read_latest(bench.max_age_s)
    assert (frame.image.dtype, frame.image.ndim, frame.image.shape[2]) == (np.uint8, 3, 3)
    assert 0.0 <= bench.clock.now() - frame.stamp_s <= bench.max_age_s


def test_frames_move_on_with_time(bench):
    second = first = bench.device.read_latest(bench.max_age_s)
    for _ in range(20):  # On a busy computer a frame may take its time.
        bench.wait(0.1)
        second = bench.device.read_latest(bench.max_age_s)
        if second.sequence > first.sequence:
            break
    assert second.sequence > first.sequence
    assert second.stamp_s > first.stamp_s


def test_a_frame_older_than_asked_for_is_an_error_that_names_the_camera(bench):
    bench.wait(0.015)
    with pytest.raises(TimeoutError, match=bench.device.name):
        bench.device.read_latest(1e-6)


def test_one_that_is_lost_ages_and_says_so_and_goes_on_when_it_is_back(bench):
    if bench.lose is None or bench.find is None:
        pytest.skip("it cannot be lost")
    bench.lose()
    comes(bench, lambda: bench.clock.now() - bench.device.newest().stamp_s > 0.5)
    with pytest.raises(TimeoutError, match=bench.device.name):
        bench.device.read_latest(0.5)
    last = bench.device.newest().sequence
    bench.find()
    comes(bench, lambda: bench.device.newest().sequence > last)
    assert bench.device.read_latest(bench.max_age_s).sequence > last


def test_after_closing_it_connects_anew(bench):
    bench.device.close()
    bench.device.connect()
    comes(bench, lambda: bench.device.newest() is not None)
    assert bench.device.read_latest(bench.max_age_s).image.any()
