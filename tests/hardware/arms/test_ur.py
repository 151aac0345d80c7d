"""The UR driver: ur_rtde itself, against the controller's ports in a process of their own."""

from __future__ import annotations

import io
import subprocess
import sys
import time
from dataclasses import replace
from math import cos, hypot, sin

import numpy as np
import pytest

from hardware import doctor_devices
from hardware.arm_model import load_arm_model
from hardware.arms.robotiq import Robotiq2F85, position
from hardware.arms.servoed import HOLD_S
from hardware.arms.ur import UrArm
from hardware.cell import GripperSettings, load_cell
from hardware.clock import RealClock
from hardware.device_settings import ControllerSettings
from hardware.doctor import Level
from hardware.fakes import shifted
from hardware.geometry import IDENTITY_POSE, pose_distance
from hardware.interfaces import ZERO6, ArmReference
from robot_rl.cli import main
from tests.hardware.arms.rig import ROOT, SimulatorClock, UrSimulator, stream, wait_until

PUBLISHED = (
    *((0.0, 0.1625, 0.5), (-0.425, 0.0, 0.0), (-0.3922, 0.0, 0.0)),
    *((0.0, 0.1333, 0.5), (0.0, 0.0997, -0.5), (0.0, 0.0996, 0.0)),
)
"""The vendor's table for the UR5e: a (m), d (m) and alpha (half turns), in the classic convention."""


@pytest.fixture(name="simulator")
def a_simulator():
    simulator = UrSimulator()
    yield simulator
    simulator.close()


@pytest.fixture(name="clock")
def a_clock():
    return SimulatorClock()


@pytest.fixture(name="arm")
def a_connected_arm(simulator, clock):
    arm = UrArm(simulator.cell(wrench_bias=(0.0, 0.0, 2.0, 0.0, 0.0, 0.0), payload_kg=1.2), clock)
    arm.connect()
    clock.follow(arm)
    yield arm
    arm.close()


def test_the_models_kinematics_are_the_published_ones():
    model, rng = load_arm_model("ur5e"), np.random.default_rng(0)
    for joints in rng.uniform(-3.0, 3.0, (20, 6)):
        expected = np.eye(4)
        for q, (a, d, alpha) in zip(joints, PUBLISHED, strict=True):
            c, s, ca, sa = cos(q), sin(q), cos(alpha * np.pi), sin(alpha * np.pi)
            rows = [[c, -s * ca, s * sa, a * c], [s, c * ca, -c * sa, a * s], [0, sa, ca, d], [0, 0, 0, 1]]
            expected = expected @ np.array(rows)
        expected = expected @ np.block([[np.eye(3), np.array([model.tip.position_m]).T], [np.zeros((1, 3)), 1]])
        frame = model.chain(IDENTITY_POSE).frames(joints.tolist())[-1]
        np.testing.assert_allclose(np.array((*frame[:3], frame.origin)).T, expected[:3], atol=1e-12)


def test_what_connecting_tells_the_controller(arm, simulator):
    simulator.hear("payload 1.2 kg at 0 0 0")
    simulator.hear("watchdog at 10 Hz")
    assert "script loaded" in simulator.said
    tool = load_arm_model("ur5e").chain(IDENTITY_POSE).frames(arm.read().joint_positions_rad)[-1]
    assert arm.read().T_base_ee.position_m == pytest.approx(tool.origin, abs=1e-6)


def test_the_wrench_is_the_controllers_less_the_bias(arm, simulator):
    simulator.do("push 12")
    wait_until(lambda: arm.read().wrench[2] > 1.0)
    assert arm.read().wrench == pytest.approx((0.0, 0.0, 10.0, 0.0, 0.0, 0.0))


def test_a_protective_stop_is_told_and_only_recovery_lets_it_move_again(arm, simulator, clock):
    stream(arm, clock, 30, 0.05)
    simulator.do("protective")
    wait_until(lambda: arm.read().stopped)
    assert arm.read().stopped == "protective stop"
    wait_until(lambda: hypot(*arm.read().ee_twist) < 1e-3)
    before = arm.read()
    stream(arm, clock, 60, 0.05)
    assert pose_distance(arm.read().T_base_ee, before.T_base_ee)[0] < 0.001
    arm.recover()
    wait_until(lambda: not arm.read().stopped)
    clock.sleep_until(clock.now() + 0.2)
    assert pose_distance(arm.read().T_base_ee, before.T_base_ee)[0] < 0.001, "recovery alone must not move it"
    stream(arm, clock, 50, 0.05)
    assert arm.read().T_base_ee.position_m[2] > before.T_base_ee.position_m[2] + 0.01


def test_an_emergency_stop_is_undone_at_the_arm_and_not_by_recovery(arm, simulator, monkeypatch):
    monkeypatch.setattr("hardware.arms.ur_controller._START_S", 0.2)
    simulator.do("emergency")
    wait_until(lambda: arm.read().stopped == "emergency stop")
    with pytest.raises(ConnectionError, match=r"is still stopped \(emergency stop\)"):
        arm.recover()
    monkeypatch.undo()
    simulator.do("released")
    wait_until(lambda: "program has ended" in arm.read().stopped)
    arm.recover()
    wait_until(lambda: not arm.read().stopped)


def test_s3_the_controller_stops_the_arm_when_the_driver_is_stuck(arm, simulator, clock):
    stream(arm, clock, 30, 0.1)
    before = arm.read()
    with arm._commanding:  # From here on the program hears nothing.
        said = simulator.hear("program ended: watchdog")
        assert float(said.split()[-2]) <= arm.watchdog_s + 0.01
        wait_until(lambda: hypot(*arm.read().ee_twist) < 1e-3)
    wait_until(lambda: "program has ended" in arm.read().stopped)
    rest = arm.read()
    assert pose_distance(rest.T_base_ee, before.T_base_ee)[0] < 0.02
    stream(arm, clock, 30, 0.1)
    assert pose_distance(arm.read().T_base_ee, rest.T_base_ee)[0] < 0.001
    arm.recover()
    simulator.hear("watchdog at 10 Hz")
    clock.sleep_until(clock.now() + 0.2)
    assert pose_distance(arm.read().T_base_ee, rest.T_base_ee)[0] < 0.001, (
        "the last target must not outlive its program"
    )
    stream(arm, clock, 50, 0.05)
    assert arm.read().T_base_ee.position_m[2] > rest.T_base_ee.position_m[2] + 0.01


DRIVEN = """
import sys, time
from dataclasses import replace
from hardware.arms.ur import UrArm
from hardware.cell import load_cell
from hardware.clock import RealClock
from hardware.device_settings import ControllerSettings
from hardware.fakes import shifted
from hardware.interfaces import ArmReference
cell = replace(load_cell("ur5e_robotiq"), cameras={}, controller=ControllerSettings(address=sys.argv[1]))
arm = UrArm(cell, RealClock())
arm.connect()
start, tick = arm.read(), 0
while True:
    tick += 1
    pose = shifted(start.T_base_ee, (0.0, 0.0, min(0.0002 * tick, 0.15)))
    arm.command(ArmReference(pose, (0.0, 0.0, 0.02, 0.0, 0.0, 0.0), 0.085))
    if arm.read().ee_twist[2] > 0.004:
        print("moving", flush=True)
    time.sleep(0.01)
"""


def test_s3_the_controller_stops_the_arm_when_the_drivers_process_is_killed(simulator):
    with subprocess.Popen(
        [sys.executable, "-c", DRIVEN, simulator.address], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as driver:
        assert driver.stdout is not None
        assert driver.stdout.readline() == "moving\n"
        driver.kill()
    said = simulator.hear("program ended")
    assert said.startswith("program ended: watchdog after 0.1"), said
    arm = UrArm(simulator.cell(), RealClock())
    arm.connect()
    assert hypot(*arm.read().ee_twist) < 1e-3, "and a new driver finds it at rest, and leaves it so"
    arm.close()


def test_a_pose_out_of_reach_ends_the_program_and_is_told(arm):
    far = shifted(arm.read().T_base_ee, (2.0, 0.0, 0.0))
    arm.command(ArmReference(far, ZERO6, 0.08))
    wait_until(lambda: "a pose out of reach" in arm.read().stopped)


def test_a_lost_link_is_said_and_recovery_connects_anew(arm, simulator):
    simulator.close()
    wait_until(lambda: arm._lost)
    for use in (arm.read, lambda: arm.command(ArmReference(IDENTITY_POSE, ZERO6, 0.08)), arm.recover):
        with pytest.raises(ConnectionError, match="UR at 127"):
            use()


def test_an_arm_that_is_busy_is_refused(arm, simulator):
    with pytest.raises(ConnectionError, match="runs a program: stop it on the pendant"):
        UrArm(simulator.cell(), RealClock()).connect()


def test_a_gripper_that_would_move_to_be_activated_is_refused(simulator):
    simulator.do("deactivate")
    time.sleep(0.1)
    with pytest.raises(ConnectionError, match="is not activated"):
        UrArm(simulator.cell(), RealClock()).connect()


def test_no_gripper_is_one_line():
    with pytest.raises(ConnectionError, match=r"no Robotiq gripper at 127.255.255.250 .*URCap"):
        Robotiq2F85("127.255.255.250", GripperSettings(0.085, 0.0))


@pytest.mark.parametrize(("width_m", "count"), [(0.085, 0), (0.0, 255), (0.0425, 128), (0.2, 0), (-0.1, 255)])
def test_a_width_is_a_share_of_the_stroke(width_m, count):
    assert position(width_m) == count


@pytest.mark.parametrize(("address", "message"), [("", "has no address"), ("127.255.255.250", "UR at 127.255")])
def test_an_arm_that_is_not_there_is_one_line(address, message):
    pytest.importorskip("rtde_control", reason="needs the extra 'ur'")
    cell = replace(load_cell("ur5e_robotiq"), controller=ControllerSettings(address=address))
    with pytest.raises(ConnectionError, match=message):
        UrArm(cell, RealClock()).connect()


def test_the_guard_starts_anew_before_the_driver_holds_by_itself():
    limits = load_cell("ur5e_robotiq").limits["collaborative"]
    assert limits.max_unattended_s <= HOLD_S < UrArm.watchdog_s


def test_a_cell_is_set_up_from_where_the_arm_stands(simulator, tmp_path, monkeypatch):
    path = tmp_path / "bench.toml"
    where = ["--address", simulator.address, "--cameras", "none", "--teleop", "none", "--table-m", "-0.1"]
    monkeypatch.setattr(sys, "stdin", io.StringIO("\nur5e\n\nhere\nzero\naround\n"))
    assert main(["setup-cell", "--out", str(path), *where]) == 0
    cell = load_cell(path)
    assert cell.arm == "ur5e"
    assert cell.home_joint_positions_rad == pytest.approx(load_cell("ur5e_robotiq").home_joint_positions_rad)
    monkeypatch.setattr(doctor_devices, "WATCH_S", 0.3)
    arm, wrench = doctor_devices.arm(UrArm(cell, RealClock()), cell)
    assert (arm.level < Level.FAIL, wrench.level) == (True, Level.PASS)
