"""What every TeleopDevice promises."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hardware.clock import RealClock
from hardware.interfaces import ZERO6, Gripper, TeleopDevice, TeleopSample
from tests.contracts.registry import TELEOPS, comes


@pytest.fixture(params=TELEOPS)
def bench(request):
    bench = TELEOPS[request.param]()
    bench.device.connect()
    yield bench
    bench.close()


def test_it_is_a_teleop_device(bench):
    assert isinstance(bench.device, TeleopDevice)


def test_samples_beat_and_stay_in_range(bench):
    for _ in range(30):
        bench.wait(0.01)
        now = bench.clock.now()
        sample = bench.device.read(now)
        assert isinstance(sample, TeleopSample)
        # A reader in real time shares the machine with other tests.
        assert now - (1.0 if isinstance(bench.clock, RealClock) else 0.1) <= sample.heartbeat_s <= now + 1e-9
        assert len(sample.twist) == 6
        assert all(-1.0 <= deflection <= 1.0 for deflection in sample.twist)
        assert sample.gripper in Gripper


def test_reading_twice_at_one_time_is_harmless(bench):
    now = bench.clock.now()
    first, second = bench.device.read(now), bench.device.read(now)
    assert replace(second, heartbeat_s=first.heartbeat_s) == first


def test_s13_one_that_is_lost_moves_nothing_and_its_heartbeat_tells(bench):
    if bench.lose is None:
        pytest.skip("it cannot be lost")
    read = lambda: bench.device.read(bench.clock.now())  # noqa: E731
    silent_s = lambda: bench.clock.now() - read().heartbeat_s  # noqa: E731
    bench.lose()
    comes(bench, lambda: silent_s() > 0.2)
    assert (read().twist, read().takeover) == (ZERO6, False)
    if bench.find is not None:
        bench.find()
        comes(bench, lambda: silent_s() < 0.1)


def test_after_closing_it_connects_anew(bench):
    bench.device.close()
    bench.device.connect()
    comes(bench, lambda: bench.clock.now() - bench.device.read(bench.clock.now()).heartbeat_s < 0.1)
