"""The Franka driver: franky and libfranka themselves, against franky-sim in a process of its own."""

from __future__ import annotations

import io
import sys
from dataclasses import replace

import pytest

from hardware.arm_model import load_arm_model
from hardware.arms.franka import HOLD_S, FrankaArm
from hardware.cell import cell_file, load_cell
from hardware.clock import RealClock
from hardware.device_settings import ControllerSettings
from hardware.geometry import IDENTITY_POSE, pose_distance
from hardware.interfaces import ZERO6, ArmReference
from robot_rl.cli import main
from tests.hardware.arms.rig import FrankaSimulator, SimulatorClock, stream, wait_until


@pytest.fixture(name="simulator")
def a_simulator():
    simulator = FrankaSimulator()
    yield simulator
    simulator.close()


@pytest.fixture(name="clock")
def a_clock():
    return SimulatorClock()


@pytest.fixture(name="arm")
def a_connected_arm(simulator, clock):
    arm = FrankaArm(simulator.cell(), clock)
    arm.connect()
    clock.follow(arm)
    yield arm
    arm.close()


def test_the_controllers_end_effector_is_the_one_of_the_arms_model(arm):
    state = arm.read()
    frame = load_arm_model("fr3").chain(IDENTITY_POSE).frames(state.joint_positions_rad)[-1]
    assert frame.origin == pytest.approx(state.T_base_ee.position_m, abs=1e-5)
    (x, y, z, w) = state.T_base_ee.quat_xyzw
    assert frame.z == pytest.approx((2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)), abs=1e-3)


def test_a_reflex_stops_it_and_only_recovery_lets_it_move_again(arm, simulator, clock):
    stream(arm, clock, 30, 0.05)
    simulator.do("reflex")
    wait_until(lambda: arm.read().stopped)
    assert "eflex" in arm.read().stopped
    before = arm.read()
    stream(arm, clock, 30, 0.05)
    assert pose_distance(arm.read().T_base_ee, before.T_base_ee)[0] < 0.002
    arm.recover()
    wait_until(lambda: not arm.read().stopped)
    before = arm.read()
    clock.sleep_until(clock.now() + 0.2)
    assert pose_distance(arm.read().T_base_ee, before.T_base_ee)[0] < 0.001, "recovery alone must not move it"
    stream(arm, clock, 50, 0.05)
    assert arm.read().T_base_ee.position_m[2] > before.T_base_ee.position_m[2] + 0.01


def test_a_lost_link_is_said_and_recovery_connects_anew(arm, simulator):
    simulator.close()
    wait_until(lambda: arm._lost)
    for use in (arm.read, lambda: arm.command(ArmReference(IDENTITY_POSE, ZERO6, 0.08))):
        with pytest.raises(ConnectionError, match="Franka at 127"):
            use()
    with pytest.raises(ConnectionError, match="Franka at 127"):
        arm.recover()


def test_an_arm_whose_link_was_just_lost_can_be_let_go_of(arm, clock, simulator):
    stream(arm, clock, 20)
    assert arm._motion is not None
    simulator.close()
    arm.close()


def test_what_fails_beneath_the_sdk_is_a_lost_link_too(arm):
    class Gone:
        @property
        def state(self):
            raise RuntimeError("Net Exception")  # As franky did when its simulator was starved for seconds.

    robot, arm._robot = arm._robot, Gone()
    wait_until(lambda: arm._lost)
    with pytest.raises(ConnectionError, match=r"Franka at 127.*: Net Exception"):
        arm.read()
    arm._robot = robot


def test_tracking_ends_when_nobody_sends_references_any_more(arm, clock):
    stream(arm, clock, 20)
    assert arm._motion is not None
    clock.sleep_until(clock.now() + 1.2)
    assert arm._motion is None
    assert arm.read().stopped == ""
    stream(arm, clock, 30, 0.05)
    assert arm._motion is not None
    assert arm.read().stopped == ""


def test_a_cell_is_set_up_from_where_the_arm_stands(simulator, tmp_path, monkeypatch):
    like, path = tmp_path / "like.toml", tmp_path / "bench.toml"
    like.write_text(
        cell_file("fr3_two_realsense").read_text().replace("[controller]", "[controller]\nrealtime = false")
    )
    where = ["--address", simulator.address, "--cameras", "none", "--teleop", "none", "--table-m", "-0.1"]
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n\n\nhere\nzero\naround\n"))
    assert main(["setup-cell", "--out", str(path), "--like", str(like), *where]) == 0
    cell = load_cell(path)
    arm = FrankaArm(cell, RealClock())
    arm.connect()
    state = arm.read()
    arm.close()
    assert cell.home_joint_positions_rad == pytest.approx(state.joint_positions_rad, abs=1e-3)
    assert cell.workspace.excess(state.T_base_ee.position_m) == pytest.approx(-0.1, abs=0.002)
    assert state.wrench == pytest.approx((0.0,) * 6, abs=0.5)


def test_the_guard_starts_anew_before_the_driver_holds_by_itself():
    limits = load_cell("fr3_two_realsense").limits["collaborative"]
    assert limits.max_unattended_s <= HOLD_S < FrankaArm.watchdog_s


@pytest.mark.parametrize(("address", "message"), [("", "has no address"), ("127.255.255.250", "Franka at 127.255")])
def test_an_arm_that_is_not_there_is_one_line(address, message):
    pytest.importorskip("franky", reason="needs the extra 'franka'")
    cell = replace(load_cell("twin"), controller=ControllerSettings(address=address, realtime=False))
    with pytest.raises(ConnectionError, match=message):
        FrankaArm(cell, RealClock()).connect()
