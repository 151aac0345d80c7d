"""The doctor's watchdog test (S3) on arms that are told positions: it moves them through the guard and falls silent."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest

from hardware.arms.servoed import ServoedArm
from hardware.device_settings import TeleopSettings
from hardware.doctor import Level
from hardware.doctor_devices import trip
from hardware.interfaces import NoTeleop
from hardware.local_robot import LocalRobot
from tests.contracts.registry import so101_arm, ur_arm


@pytest.fixture(params=[ur_arm, so101_arm], name="bench")
def an_arm(request):
    bench = request.param()
    yield bench
    bench.clock.close()
    bench.close()


def test_the_arm_stops_by_itself_within_a_few_millimetres(bench):
    arm = cast(ServoedArm, bench.device)
    cell = replace(arm.cell, teleop=TeleopSettings())
    found = trip(LocalRobot(arm, {}, NoTeleop(), cell, bench.clock, control_hz=None), bench.clock.close)
    assert found.level is Level.PASS, found.found
    assert "stood after" in found.found
    print(found.found)
