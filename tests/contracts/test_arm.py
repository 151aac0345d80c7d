"""What every Arm promises: to say where it is, to follow its reference, and to stop when references stop."""

from __future__ import annotations

import os
from math import isfinite

import pytest

from hardware.fakes import shifted
from hardware.geometry import pose_distance
from hardware.interfaces import ZERO6, Arm, ArmReference
from tests.contracts.registry import ARMS, Bench, comes

TICK_S = 0.01


@pytest.fixture
def scheduling():
    """Policy and priority before an arm is connected."""
    return hasattr(os, "sched_getscheduler") and (os.sched_getscheduler(0), os.sched_getparam(0).sched_priority)


@pytest.fixture(params=ARMS)
def bench(request, scheduling):
    bench = ARMS[request.param]()
    yield bench
    bench.close()


def drive(bench: Bench[Arm], speed_m_s: float, ticks: int):
    """References that rise at ``speed_m_s``, one a tick; the last."""
    start, began_s = bench.device.read(), bench.clock.now()
    for tick in range(1, ticks + 1):
        pose = shifted(start.T_base_ee, (0.0, 0.0, tick * TICK_S * speed_m_s))
        reference = ArmReference(pose, (0.0, 0.0, speed_m_s, 0.0, 0.0, 0.0), start.gripper_width_m)
        bench.device.command(reference)
        bench.clock.sleep_until(began_s + tick * TICK_S)
    return reference


def test_it_is_an_arm(bench):
    assert isinstance(bench.device, Arm)
    assert 0.0 < bench.device.watchdog_s <= 0.1


@pytest.mark.skipif(not hasattr(os, "sched_getscheduler"), reason="this system has no such scheduling")
def test_who_connects_is_scheduled_as_before(scheduling, bench):
    """A vendor's library that takes the highest priority would starve the guard, and all that is started later."""
    assert (os.sched_getscheduler(0), os.sched_getparam(0).sched_priority) == scheduling


def test_it_reports_finite_numbers_in_the_agreed_form(bench):
    state = bench.device.read()
    (x, y, z), quat = state.T_base_ee
    numbers = (x, y, z, *quat, *state.ee_twist, *state.wrench, state.gripper_width_m, *state.joint_positions_rad)
    assert all(type(number) is float and isfinite(number) for number in numbers)
    assert (len(quat), len(state.ee_twist), len(state.wrench)) == (4, 6, 6)
    assert len(state.joint_positions_rad) == len(state.joint_velocities_rad_s)
    assert sum(q * q for q in quat) == pytest.approx(1.0, abs=1e-6)
    assert quat[3] >= 0.0
    assert state.stamp_s <= bench.clock.now() + 1e-9


def test_it_stays_where_it_is_until_told_otherwise(bench):
    before = bench.device.read()
    bench.wait(0.5)
    metres, radians = pose_distance(before.T_base_ee, bench.device.read().T_base_ee)
    assert metres < 0.002
    assert radians < 0.01


def test_it_follows_its_reference_with_a_small_lag(bench):
    reference = drive(bench, 0.05, 60)
    state = bench.device.read()
    assert pose_distance(state.T_base_ee, reference.T_base_ee)[0] < bench.lag_m
    assert state.ee_twist[2] == pytest.approx(0.05, abs=0.01)


def test_s3_it_stops_by_itself_when_references_stop(bench):
    drive(bench, 0.1, 30)
    bench.wait(bench.device.watchdog_s + 0.4)
    stopped = bench.device.read()
    assert max(abs(v) for v in stopped.ee_twist[:3]) < 0.005
    bench.wait(0.3)
    assert pose_distance(stopped.T_base_ee, bench.device.read().T_base_ee)[0] < 0.001


def test_the_gripper_goes_to_the_width_commanded(bench):
    reference = ArmReference(bench.device.read().T_base_ee, ZERO6, 0.04)
    for _ in range(100):
        bench.device.command(reference)
        bench.wait(TICK_S)
    assert bench.device.read().gripper_width_m == pytest.approx(0.04, abs=0.002)


def test_a_lost_arm_is_an_error_and_not_its_last_state(bench):
    if bench.lose is None:
        pytest.skip("it cannot be lost")
    bench.lose()
    comes(bench, lambda: is_lost(bench.device))
    if bench.find is not None:
        bench.find()
        bench.device.recover()
        assert bench.device.read().stopped == ""


def is_lost(arm: Arm) -> bool:
    try:
        arm.read()
    except ConnectionError as error:
        assert str(error)
        return True
    return False


def test_after_closing_it_connects_anew_where_it_was(bench):
    before = bench.device.read().T_base_ee
    bench.device.close()
    bench.device.connect()
    assert pose_distance(before, bench.device.read().T_base_ee)[0] < 0.002
