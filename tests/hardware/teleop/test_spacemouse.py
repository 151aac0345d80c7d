"""A SpaceMouse through pyspacemouse's own parser, and through the guard."""

from __future__ import annotations

import time

import pytest

from hardware.clock import RealClock
from hardware.device_settings import TeleopSettings
from hardware.fakes import FakeArm, FakeClock
from hardware.interfaces import ZERO6, Gripper, GuardMode
from hardware.local_robot import LocalRobot
from hardware.teleop.spacemouse import SpaceMouse
from tests.hardware.rig import fake_cell
from tests.hardware.teleop.rig import FULL, HidDevice, button_report, motion_report, plug_in

pytest.importorskip("pyspacemouse", reason="needs the extra 'spacemouse' and libhidapi", exc_type=Exception)


@pytest.fixture
def hid(tmp_path):
    return HidDevice(tmp_path / "hidraw0")


@pytest.fixture(name="connect")
def connected_device(monkeypatch):
    connected = []

    def connect(hids, **settings):
        plug_in(monkeypatch, hids)
        device = SpaceMouse(TeleopSettings(**settings), RealClock())
        connected.append(device)
        device.connect()
        return device

    yield connect
    for device in connected:
        device.close()


def read_after(device, hid, *reports):
    """The sample once ``reports`` are all read."""
    hid.send(*reports)
    deadline = time.monotonic() + 5.0
    while hid.reports and time.monotonic() < deadline:
        time.sleep(0.002)
    time.sleep(0.03)
    return device.read(time.monotonic())


@pytest.mark.parametrize(
    ("report", "axis", "sign"),
    [
        ({"y": -FULL}, 0, 1.0),  # Pushed away from the person: forward.
        ({"x": FULL}, 1, -1.0),  # To the right.
        ({"z": -FULL}, 2, 1.0),  # Pulled up.
        ({"ry": FULL}, 3, -1.0),
        ({"rx": FULL}, 4, -1.0),
        ({"rz": FULL}, 5, -1.0),  # Clockwise from above.
    ],
)
def test_each_motion_of_the_cap_moves_its_axis(hid, connect, report, axis, sign):
    device = connect([hid])
    twist = read_after(device, hid, motion_report(**report)).twist
    assert [abs(share) for share in twist] == [float(index == axis) for index in range(6)]
    assert twist[axis] == sign


def test_buttons_are_the_cell_files(hid, connect):
    device = connect([hid], buttons=("gripper", "success"))
    assert read_after(device, hid, button_report(0)).gripper is Gripper.CLOSE
    assert read_after(device, hid, button_report(1)).success
    assert not read_after(device, hid, button_report()).success


def test_of_many_reports_the_newest_counts(hid, connect):
    device = connect([hid])
    read = read_after(device, hid, *(motion_report(x=x) for x in range(0, FULL, 2)), motion_report())
    assert (read.twist, read.takeover) == (ZERO6, False)


def test_it_is_found_by_its_path_among_several(tmp_path, connect):
    mice = [HidDevice(tmp_path / f"hidraw{number}") for number in range(2)]
    with pytest.raises(ConnectionError, match=r"hidraw0 .*hidraw1 .*; name one as teleop.path"):
        connect(mice)
    right = connect(mice, path=mice[1].path)
    assert read_after(right, mice[1], motion_report(x=FULL)).takeover
    mice[0].send(motion_report(x=FULL))
    time.sleep(0.05)
    assert mice[0].reports, "the other one was read too"
    (tmp_path / "spacemouse-left").symlink_to(mice[0].path)
    connect(mice, path=str(tmp_path / "spacemouse-left"))
    deadline = time.monotonic() + 5.0
    while mice[0].reports and time.monotonic() < deadline:
        time.sleep(0.002)
    assert not mice[0].reports, "a name that a udev rule gives it is followed"


def test_without_one_it_says_where_to_look(connect):
    with pytest.raises(ConnectionError, match="no SpaceMouse is connected, or its rights hide it"):
        connect([])


def test_s13_its_readers_death_is_seen_by_the_age_of_its_heartbeat(hid, connect):
    device = connect([hid])
    assert read_after(device, hid, motion_report(x=FULL)).takeover
    device._poll = lambda: time.sleep(3600.0)
    time.sleep(0.15)
    now = time.monotonic()
    read = device.read(now)
    assert now - read.heartbeat_s > 0.1
    assert (read.twist, read.takeover) == (ZERO6, False)
    device._thread = None  # It sleeps for good; closing must not wait for it.


def test_unplugged_while_deflected_it_moves_nothing_and_the_guard_holds(hid, connect):
    device = connect([hid])
    clock = device.clock = FakeClock()
    arm = FakeArm(clock)

    def run(seconds):
        """Let the guard tick, each tick after a poll of the device at its time, while there are polls."""
        for _ in range(round(seconds / 0.01)):
            give_up_s = time.monotonic() + 5.0
            while not device.trouble and device._sample.heartbeat_s != clock.now() and time.monotonic() < give_up_s:
                time.sleep(0.001)
            clock.sleep_until(clock.now() + 0.01)

    run(0.01)
    robot = LocalRobot(arm, {}, device, fake_cell(cameras={}), clock, control_hz=None)
    run(1.2)
    robot.guard.engage(robot.arm_state, clock.now())
    hid.send(motion_report(y=-FULL))
    run(0.5)
    assert robot.guard.mode is GuardMode.RUNNING
    assert robot.arm_state.ee_twist[0] > 0.01
    hid.unplug()
    while not device.trouble:
        time.sleep(0.001)
    run(0.12)
    assert (robot.guard.mode, device.read(clock.now()).twist) == (GuardMode.HOLD, ZERO6)
    assert "teleop" in robot.guard.reason
    run(1.0)
    assert max(map(abs, robot.arm_state.ee_twist)) < 0.005


def test_plugged_in_again_it_is_read_again(hid, connect, tmp_path, monkeypatch):
    device = connect([hid])
    hid.unplug()
    deadline = time.monotonic() + 5.0
    while not device.trouble and time.monotonic() < deadline:
        time.sleep(0.01)
    again = HidDevice(tmp_path / "hidraw3")
    plug_in(monkeypatch, [again])
    while device.trouble and time.monotonic() < deadline:
        time.sleep(0.01)
    read = read_after(device, again, motion_report(x=FULL))
    assert (read.takeover, device.reconnections) == (True, 1)
