"""The doctor's look with a person: which camera is which, where pushes point, the emergency stop."""

from __future__ import annotations

from math import inf

import pytest

from hardware import doctor_by_hand
from hardware.arms.ur import UrArm
from hardware.clock import RealClock
from hardware.device_settings import TeleopSettings
from hardware.devices import Devices
from hardware.doctor import Level
from hardware.doctor_by_hand import camera_names, deflection, emergency_stop
from hardware.fakes import FakeArm, FakeCamera, FakeClock, FakeTeleop, shifted
from hardware.interfaces import NoTeleop
from hardware.teleop.spacemouse import SpaceMouse
from robot_rl.cli import main
from tests.hardware.arms.rig import UrSimulator
from tests.hardware.teleop.rig import FULL, HidDevice, motion_report, plug_in


@pytest.fixture
def clock():
    return FakeClock()


def in_turn(clock, *acts):
    """A person who does the next of ``acts`` every two seconds."""
    waiting = list(acts)
    clock.every(2.0, lambda now: waiting.pop(0)() if waiting else None, phase_s=1.0)


def plug(clock, camera, there):
    return lambda: setattr(camera, "frozen_s", inf if there else clock.now())


@pytest.mark.parametrize(
    ("unplugged", "levels", "found"),
    [
        (("wrist", "front"), (Level.PASS, Level.PASS), "it is the one unplugged"),
        (("front", "wrist"), (Level.FAIL, Level.FAIL), "what was unplugged is front"),
        ((), (Level.WARN, Level.WARN), "none was unplugged within 30 s"),
    ],
)
def test_a_camera_is_the_one_that_falls_silent(clock, unplugged, levels, found, capsys):
    cameras = {name: FakeCamera(clock, name) for name in ("wrist", "front")}
    in_turn(clock, *(plug(clock, cameras[name], there) for name in unplugged for there in (False, True)))
    findings = list(camera_names(cameras, clock))
    assert [(f.what, f.level) for f in findings] == [("camera wrist", levels[0]), ("camera front", levels[1])]
    assert found in findings[0].found
    assert "unplug the camera 'wrist'" in capsys.readouterr().err


def test_a_camera_that_does_not_come_back_fails(clock):
    cameras = {"wrist": FakeCamera(clock, "wrist")}
    in_turn(clock, plug(clock, cameras["wrist"], False))
    assert "did not come back within 30 s" in next(camera_names(cameras, clock)).found


def test_a_hub_unplugged_with_two_on_it_is_told(clock):
    cameras = {name: FakeCamera(clock, name) for name in ("wrist", "front")}
    in_turn(clock, plug(clock, cameras["wrist"], False))
    cameras["front"].frozen_s = 1.1
    finding = next(camera_names(cameras, clock))
    assert (finding.level, finding.fix) == (Level.FAIL, "unplug one alone")


def test_each_push_is_named_by_where_it_would_move_the_hand(clock, capsys):
    stick = FakeTeleop()
    pushes = ((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, 0.6))
    in_turn(clock, *(act for push in pushes for act in (lambda push=push: stick.push(*push), stick.release)))
    forward, left, up = deflection(stick, clock)
    assert (forward.level, up.level) == (Level.PASS, Level.PASS)
    assert (left.level, left.fix) == (Level.FAIL, "teleop.yaw_rad or teleop.axes")
    assert "would move the hand along -y" in left.found
    assert "y -1.00" in capsys.readouterr().err, "the deflection is shown as it is"


def test_nobody_who_pushes_is_told_and_a_stick_that_stays_fails(clock):
    stick = FakeTeleop()
    assert {finding.level for finding in deflection(stick, clock)} == {Level.WARN}
    stick.push(1.0)
    assert "x stays deflected" in next(deflection(stick, clock)).found


def test_a_spacemouse_is_pushed_through_its_vendors_parser(tmp_path, monkeypatch):
    pytest.importorskip("pyspacemouse", reason="needs the extra 'spacemouse' and libhidapi", exc_type=Exception)
    hid = HidDevice(tmp_path / "hidraw0")
    plug_in(monkeypatch, [hid])
    asked = []
    pushes = {"away": {"y": -FULL}, "left": {"x": -FULL}, "go up": {"z": -FULL}}

    def person(text, end="\n"):
        """Pushes when asked to, and lets go as soon as that is shown."""
        asked.append(text)
        for word, push in pushes.items():
            if word in text:
                hid.send(motion_report(**push))
        if "1.00" in text:
            hid.send(motion_report())

    monkeypatch.setattr(doctor_by_hand, "say", person)
    findings = list(deflection(SpaceMouse(TeleopSettings(), RealClock()), RealClock()))
    assert [finding.level for finding in findings] == [Level.PASS] * 3, (findings, asked)


@pytest.mark.parametrize(
    ("acts", "level", "found"),
    [
        ([{"stopped": "emergency stop"}, {"stopped": ""}], Level.PASS, "seen (emergency stop), and nothing moved"),
        ([{"gone": True}, {"gone": False}], Level.PASS, "seen (the fake arm is gone)"),
        ([{"stopped": "user stop"}, {"pose": shifted(FakeArm.pose, (0.0, 0.0, 0.03))}], Level.FAIL, "moved by 30 mm"),
        ([], Level.FAIL, "none was seen within 30 s"),
    ],
)
def test_an_emergency_stop_must_be_seen_and_its_release_move_nothing(clock, acts, level, found):
    arm = FakeArm(clock)
    in_turn(clock, *(lambda act=act: [setattr(arm, name, value) for name, value in act.items()] for act in acts))
    (finding,) = emergency_stop(arm, clock)
    assert (finding.level, found in finding.found) == (level, True), finding


def test_an_arm_that_is_stopped_before_is_not_tried(clock):
    (finding,) = emergency_stop(FakeArm(clock, stopped="reflex"), clock)
    assert (finding.level, "stopped already (reflex)" in finding.found) == (Level.WARN, True)


def test_an_emergency_stop_is_seen_through_ur_rtde(monkeypatch):
    simulator = UrSimulator()
    monkeypatch.setattr(doctor_by_hand, "RELEASE_S", 1.0)
    monkeypatch.setattr(
        doctor_by_hand, "say", lambda text: simulator.do("emergency" if "press" in text else "released")
    )
    try:
        (finding,) = emergency_stop(UrArm(simulator.cell(), RealClock()), RealClock())
    finally:
        simulator.close()
    assert (finding.level, "seen (emergency stop)" in finding.found) == (Level.PASS, True), finding


def test_what_a_cell_has_not_is_not_asked_for(clock):
    cell = Devices(FakeArm(clock), NoTeleop(), {}, clock)
    assert [what for what, _ in doctor_by_hand.checks(cell)] == ["emergency stop"]
    cell = Devices(FakeArm(clock), FakeTeleop(), {"front": FakeCamera(clock)}, clock)
    assert [what for what, _ in doctor_by_hand.checks(cell)] == ["camera names", "deflection", "emergency stop"]


@pytest.mark.parametrize("given", [["--sim"], []])
def test_it_needs_a_real_cell(given, capsys):
    assert main(["doctor", "--by-hand", *given]) == 2
    assert "--by-hand needs a real cell" in capsys.readouterr().err
