"""What every TeleopDevice promises."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hardware.clock import RealClock
from hardware.interfaces import Gripper, TeleopDevice, TeleopSample
from tests.contracts.registry import TELEOPS


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
