"""When an arm stands still, and when it has arrived, each at its boundary."""

from __future__ import annotations

from dataclasses import replace
from math import nextafter

import pytest

from hardware.arrival import STILL_M_S, STILL_RAD_S, has_arrived, is_still
from hardware.fakes import POINTING_DOWN, shifted
from hardware.geometry import pose_add
from hardware.interfaces import ResetPlan
from tests.hardware.rig import Rig


@pytest.mark.parametrize("axis", range(6))
@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_an_arm_stands_still_below_5_mm_per_s_and_50_mrad_per_s_on_every_axis(axis, side):
    arm, limit = Rig().arm.read(), STILL_M_S if axis < 3 else STILL_RAD_S
    assert (STILL_M_S, STILL_RAD_S) == (0.005, 0.05)
    for speed, still in ((nextafter(limit, 0.0), True), (limit, False), (2.0 * limit, False)):
        twist = tuple(side * speed * (k == axis) for k in range(6))
        assert is_still(replace(arm, ee_twist=twist)) is still


@pytest.mark.parametrize(("share", "arrived"), [(0.99, True), (1.01, False)])
def test_an_arm_has_arrived_within_both_tolerances(share, arrived):
    arm, plan = Rig().arm.read(), ResetPlan(POINTING_DOWN)
    goal = arm.T_base_ee
    assert has_arrived(arm, goal, plan)
    away = shifted(goal, (0.0, -share * plan.position_tolerance_m, 0.0))
    turned = pose_add(goal, (0.0, 0.0, 0.0, 0.0, share * plan.rotation_tolerance_rad, 0.0))
    assert has_arrived(replace(arm, T_base_ee=away), goal, plan) is arrived
    assert has_arrived(replace(arm, T_base_ee=turned), goal, plan) is arrived


def test_at_exactly_the_tolerance_it_has_arrived():
    arm, origin = Rig().arm.read(), shifted(POINTING_DOWN, tuple(-x for x in POINTING_DOWN.position_m))
    exact = ResetPlan(origin, position_tolerance_m=0.25, rotation_tolerance_rad=0.0)
    assert has_arrived(replace(arm, T_base_ee=shifted(origin, (0.25, 0.0, 0.0))), origin, exact)
