"""The doctor, on devices that are well and on ones that are not."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass, field, replace

import pytest

from hardware import doctor_computer, doctor_devices, doctor_rights
from hardware.arms.ur import UrArm
from hardware.cell import load_cell
from hardware.clock import RealClock
from hardware.device_settings import CameraSettings, TeleopSettings
from hardware.devices import Devices
from hardware.doctor import Level, examine, passed
from hardware.fakes import POINTING_DOWN, FakeArm, FakeCamera, FakeClock, FakeTeleop, shifted
from hardware.interfaces import FrameStamp, NoTeleop
from hardware.local_robot import LocalRobot
from hardware.teleop import evdev_keys
from robot_rl.cli import main
from tests.hardware.rig import fake_cell


@pytest.fixture(autouse=True)
def _short_looks(monkeypatch):
    monkeypatch.setattr(doctor_devices, "WATCH_S", 0.3)


def only(findings):
    (finding,) = list(findings)
    return finding


def absent(*_):
    raise ConnectionError("it is not there")


def test_a_check_that_breaks_off_fails_and_the_others_still_run():
    findings = list(examine([("a", absent), ("b", lambda: [passed("b", "well")])]))
    assert [(f.level, f.what) for f in findings] == [(Level.FAIL, "a"), (Level.PASS, "b")]
    assert findings[0].found == "it is not there"


def stream(period_s=1 / 30, frames=60, lost=(), digest=lambda index: index):
    """What a camera shows in two seconds."""
    return [FrameStamp(5.0 + k * period_s, k, digest(k)) for k in range(frames) if k not in lost]


@pytest.mark.parametrize(
    ("seen", "level", "found"),
    [
        (stream(), Level.PASS, "30.0 frames/s, widest gap 33 ms, 0 lost, jitter 0.0 ms"),
        (stream(lost={7}), Level.PASS, "widest gap 67 ms, 1 lost"),
        (stream(lost={7, 8}), Level.WARN, "widest gap 100 ms, 2 lost"),
        (stream(period_s=1 / 15), Level.WARN, "15.0 frames/s"),
        (stream(frames=2), Level.FAIL, "2 frames in"),
        (stream(digest=lambda index: 7), Level.FAIL, "every picture is the same"),
        (stream(digest=lambda index: None), Level.PASS, "30.0 frames/s"),
    ],
)
def test_a_camera_is_judged_by_its_frames(seen, level, found):
    finding = doctor_devices.judged("camera front", seen, 30.0)
    assert (finding.level, found in finding.found) == (level, True)


def test_a_camera_that_is_missing_fails_and_a_slow_port_is_warned_of():
    well = FakeCamera(RealClock())
    well.usb_speed = "2.1"
    _, port = doctor_devices.camera("front", well, 30.0)
    assert (port.level, port.found) == (Level.WARN, "on USB 2.1")
    well.connect = absent
    assert only(doctor_devices.camera("front", well, 30.0)).level is Level.FAIL


def test_where_an_sdk_is_missing_cables_are_not_blamed(monkeypatch):
    monkeypatch.setitem(sys.modules, "rtde_control", None)
    finding = only(doctor_devices.arm(UrArm(load_cell("ur5e_robotiq"), RealClock()), fake_cell()))
    assert (finding.level, finding.fix) == (Level.FAIL, "install that")
    assert "pip install 'robot-rl[ur]'" in finding.found


def test_each_arm_of_a_cell_is_looked_at_and_none_alone_is_moved(tmp_path, capsys):
    path = tmp_path / "two.toml"
    pytest.importorskip("scservo_sdk", reason="needs the extra 'so101'")
    tables = "".join(
        f"[arms.{side}]\nmount = {{ position_m = [0.0, {y}, 0.0] }}\ncontroller = {{ address = '/dev/{side}' }}\n"
        for side, y in (("left", 0.3), ("right", -0.3))
    )
    box = "workspace = { min_m = [0.1, -0.2, 0.02], max_m = [0.3, 0.2, 0.3] }"
    path.write_text(f"name = 'two'\narm = 'so101'\nhome_joint_positions_rad = []\n{box}\n{tables}")
    assert main(["doctor", "--cell", str(path), "--folder", str(tmp_path), "--json"]) == 1
    findings = {f["what"]: f["found"] for f in json.loads(capsys.readouterr().out)["findings"]}
    assert "/dev/left: No such file" in findings["left arm"] and "/dev/right: No such file" in findings["right arm"]
    assert main(["doctor", "--cell", str(path), "--folder", str(tmp_path), "--trip-watchdog"]) == 2
    assert "without the others' guards (S30)" in capsys.readouterr().err


def test_a_stick_at_rest_passes_a_deflected_one_is_warned_of_and_a_dead_reader_fails():
    stick = FakeTeleop()
    assert only(doctor_devices.teleop(stick)).level is Level.PASS
    stick.push(0.5)
    assert "deflected all the time: +0.50" in only(doctor_devices.teleop(stick)).found
    read = stick.read
    stick.read = lambda now: read(now - 0.5)
    assert only(doctor_devices.teleop(stick)).level is Level.FAIL
    assert "nobody can take over" in only(doctor_devices.teleop(NoTeleop())).found


def test_rights_to_a_spacemouse_are_looked_at_and_the_rule_printed(tmp_path, monkeypatch):
    entry = tmp_path / "sys" / "hidraw3" / "device"
    entry.mkdir(parents=True)
    (entry / "uevent").write_text("DRIVER=hid-generic\nHID_ID=0003:0000256F:0000C62E\nHID_NAME=3Dconnexion\n")
    files = tmp_path / "dev"
    files.mkdir()
    (files / "hidraw3").touch()
    look = lambda: only(doctor_rights.spacemouse_rights(tmp_path / "sys", files))  # noqa: E731
    assert look().level is Level.PASS
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert (look().level, "256f" in look().fix, "udevadm" in look().fix) == (Level.FAIL, True, True)
    shutil.rmtree(entry.parent)
    assert look().level is Level.WARN


def test_rights_to_keys_are_looked_at_and_a_rule_for_that_one_device_printed(tmp_path, monkeypatch):
    event = tmp_path / "event7"
    event.touch()
    pedal = tmp_path / "usb-PCsensor_FootSwitch-event-kbd"
    pedal.symlink_to(event)
    look = lambda: only(doctor_rights.key_rights(str(pedal)))  # noqa: E731
    assert look().level is Level.PASS
    ids = tmp_path / "sys" / "event7" / "device" / "id"
    ids.mkdir(parents=True)
    (ids / "vendor").write_text("0c45\n")
    (ids / "product").write_text("7403\n")
    fix = evdev_keys.rule(str(pedal), tmp_path / "sys")
    assert 'ATTRS{id/vendor}=="0c45", ATTRS{id/product}=="7403", OWNER=' in fix and "udevadm" in fix
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "name a keyboard's event device" in look().fix, "what has no ids is no such device"
    monkeypatch.setattr(evdev_keys, "rule", lambda path: f"a rule for {path}")
    assert (look().level, look().fix) == (Level.FAIL, f"a rule for {pedal}")
    event.unlink()
    assert "is not plugged in" in look().found


@pytest.mark.parametrize(
    ("changes", "what", "level"),
    [
        ({}, "arm", Level.PASS),
        ({"stopped": "reflex"}, "arm", Level.FAIL),
        ({"pose": shifted(POINTING_DOWN, (2.0, 0.0, 0.0))}, "arm", Level.WARN),
        ({"wrench": (0.0, 0.0, 9.0, 0.0, 0.0, 0.0)}, "wrench", Level.WARN),
    ],
)
def test_an_arm_is_looked_at(changes, what, level):
    findings = {f.what: f for f in doctor_devices.arm(FakeArm(RealClock(), **changes), fake_cell())}
    assert findings[what].level is level


@dataclass
class Reckless(FakeArm):
    """Goes on without references, and has no watchdog."""

    watchdog_s: float = field(default=1e9)


@pytest.mark.parametrize(
    ("arm", "level", "found"),
    [
        (FakeArm, Level.PASS, "stood after 0.1"),
        (Reckless, Level.FAIL, "did not stop by itself"),
        (lambda clock: FakeArm(clock, blocked=True), Level.FAIL, "did not move"),
    ],
)
def test_s3_the_watchdog_is_tried(arm, level, found):
    clock = FakeClock()
    robot = LocalRobot(arm(clock), {}, NoTeleop(), fake_cell(cameras={}), clock, control_hz=None)
    finding = doctor_devices.trip(robot, clock._calls.clear)
    assert (finding.level, found in finding.found) == (level, True), finding


def test_a_full_or_slow_disk_is_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**12, 10**12, 10**9))
    space, speed = doctor_computer.disk(tmp_path)
    assert (space.level, speed.level <= Level.WARN) == (Level.FAIL, True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("environment", "level"),
    [
        ({}, Level.PASS),
        ({"ROS_DISTRO": "jazzy"}, Level.WARN),
        ({"ROS_DISTRO": "jazzy", "ROS_DOMAIN_ID": "7"}, Level.PASS),
        ({"ROS_DISTRO": "jazzy", "ROS_DOMAIN_ID": "200"}, Level.FAIL),
        ({"ROS_DISTRO": "jazzy", "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}, Level.PASS),
    ],
)
def test_ros_discovery_is_looked_at(environment, level, monkeypatch):
    monkeypatch.setattr(doctor_computer, "_installed", lambda _: False)
    assert only(doctor_computer.ros(environment)).level is level


def test_the_cells_devices_are_looked_at_in_turn():
    clock = RealClock()
    cell = replace(load_cell("twin"), cameras={"top": CameraSettings()}, teleop=TeleopSettings(device="spacemouse"))
    looks = doctor_devices.checks(cell, Devices(FakeArm(clock), NoTeleop(), {"top": FakeCamera(clock)}, clock), True)
    assert [what for what, _ in looks] == ["camera top", "teleop rights", "teleop", "arm", "watchdog"]


def test_the_command_says_all_and_its_exit_code_tells(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**12, 0, 10**12))
    assert main(["doctor", "--folder", str(tmp_path), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert {"versions", "disk space", "disk speed", "scheduling", "gpu"} <= {f["what"] for f in report["findings"]}
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**12, 10**12, 0))
    assert main(["doctor", "--folder", str(tmp_path)]) == 1
    assert "FAIL  disk space" in capsys.readouterr().out


@pytest.mark.parametrize("cell", ["so101", "fr3_two_realsense"])
def test_sim_never_looks_at_a_real_cell_whose_arm_it_would_move(cell, capsys, tmp_path):
    assert main(["doctor", "--sim", "--cell", cell, "--folder", str(tmp_path)]) == 2
    said = capsys.readouterr()
    assert (said.out, f"--sim: {cell} is a real cell" in said.err) == ("", True)
