"""connector_insertion: the key, the latch, and what it takes to get past them."""

from __future__ import annotations

from math import pi

import numpy as np
import pytest

from hardware.interfaces import ZERO6, ArmReference, Pose
from sim.drivers import SimArm, SimClock
from sim.tasks.base import pointing_down
from sim.tasks.connector_insertion import ConnectorInsertion

CENTRED = {
    "hole": [0.5, 0.0, 0.0],
    "estimate_error": [0.0, 0.0, 0.0],
    "grasp_offset": [0.0, 0.0],
    "sight_error": [0.0, 0.0, 0.0],
    "start": [0.5, 0.0, 0.076, 0.0],
}


class Bench:
    """The plug over the socket's middle on a rigid course down, without the guard: a press, not a task."""

    def __init__(self, yaw_rad: float = 0.0, socket_yaw_rad: float = 0.0):
        self.task = ConnectorInsertion()
        drawn = {"start": [0.5, 0.0, 0.076, yaw_rad], "hole": [0.5, 0.0, socket_yaw_rad]}
        plan = self.task.apply_setup({**CENTRED, **drawn})
        plan.teleport()
        self.arm, self.clock = SimArm(self.task.world), SimClock(self.task.world)
        self.arm.connect()
        self.quat, self.z = pointing_down(yaw_rad), 0.076

    def press_to(self, depth_m: float, speed_m_s: float = 0.02) -> float:
        """Command the tip to ``depth_m``, wait half a second; the greatest force upwards on the hand, N."""
        goal = 0.066 - depth_m
        force = 0.0
        for _ in range(round(abs(self.z - goal) / speed_m_s / 0.01) + 50):
            self.z += float(np.clip(goal - self.z, -speed_m_s * 0.01, speed_m_s * 0.01))
            self.arm.command(ArmReference(Pose((0.5, 0.0, self.z), self.quat), ZERO6, 0.018))
            self.clock.sleep_until(self.clock.now() + 0.01)
            force = max(force, self.arm.read().wrench[2])
        return force


def test_the_latch_holds_back_a_light_push_and_gives_to_a_firm_one():
    bench = Bench()
    bench.press_to(0.006)
    held = bench.press_to(0.012)
    assert bench.task.depth_m() < 0.009  # 5 mm of lead, 10 N, and it does not go
    assert 6.0 < held < 14.0
    peak = bench.press_to(0.020)
    assert bench.task.depth_m() > 0.0145
    assert 12.0 < peak < 60.0


def test_behind_the_latch_it_stays_against_a_light_pull():
    bench = Bench()
    bench.press_to(0.020)
    bench.press_to(0.0125)
    assert bench.task.depth_m() > 0.0135
    bench.press_to(-0.005)
    assert bench.task.depth_m() < 0.0  # a firm pull brings it out again


@pytest.mark.parametrize(("plug", "socket"), [(pi / 2, -pi / 2), (pi / 2, 0.0), (-pi / 2, 0.0)])
def test_only_one_orientation_fits(plug: float, socket: float):
    bench = Bench(plug, socket)
    bench.press_to(0.022)
    assert bench.task.depth_m() < 0.004


def test_the_walls_are_not_passed():
    bench = Bench()
    bench.press_to(0.030)
    assert bench.task.depth_m() < 0.0158  # the floor is 15.6 mm down
