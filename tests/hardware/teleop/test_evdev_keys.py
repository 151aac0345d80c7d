"""Keyboard and foot pedal by evdev: keys act while they are held, and what is unplugged falls silent."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from hardware import drivers
from hardware.cell import load_cell
from hardware.clock import RealClock
from hardware.device_settings import TeleopSettings
from hardware.interfaces import ZERO6, Gripper
from hardware.teleop import evdev_keys
from hardware.teleop.evdev_keys import KEYS, EvdevKeys
from hardware.teleop.pedal import WithPedal
from tests.hardware.teleop.rig import Joystick, KeyDevice, VirtualKeys
from tests.hardware.teleop.test_gamepad_and_keyboard import comes

pytest.importorskip("evdev", reason="the extra 'evdev' is not installed")


@pytest.fixture(params=["bytes", "uinput"])
def board(request, monkeypatch):
    """A keyboard with all keys, as bytes everywhere and as a real one of the kernel where that is permitted."""
    keys = (*KEYS, "b")
    return KeyDevice(monkeypatch, *keys) if request.param == "bytes" else VirtualKeys(*keys)


@pytest.fixture
def connect():
    made = []

    def connect(**settings) -> EvdevKeys:
        made.append(EvdevKeys(TeleopSettings(**settings), RealClock()))
        made[-1].connect()
        return made[-1]

    yield connect
    for device in made:
        device.close()


def test_a_key_moves_for_as_long_as_it_is_held(board, connect):
    device = connect(path=board.path)
    board.key("w")
    board.key("a")
    assert comes(device, lambda s: s.twist == (1.0, 1.0, 0, 0, 0, 0) and s.takeover)
    board.key("w", 2)
    board.key("a", 0)
    assert comes(device, lambda s: s.twist == (1.0, 0, 0, 0, 0, 0))
    board.key("w", 0)
    assert comes(device, lambda s: s.twist == ZERO6 and not s.takeover)


@pytest.mark.parametrize(("key", "name"), [("space", "takeover"), ("enter", "success"), ("x", "failure")])
def test_keys_that_act(board, connect, key, name):
    device = connect(path=board.path)
    board.key(key)
    assert comes(device, lambda s: getattr(s, name))
    board.key(key, 0)
    assert comes(device, lambda s: not getattr(s, name))


def test_the_cell_file_says_what_keys_do(board, connect):
    device = connect(path=board.path, keys={"b": "gripper", "w": "-z"}, enable_switch=False)
    board.key("b")
    assert comes(device, lambda s: s.gripper is Gripper.CLOSE)
    board.key("w")
    assert comes(device, lambda s: s.twist == (0, 0, -1.0, 0, 0, 0))


def test_an_enable_pedal_enables_only_while_it_is_down(board, connect):
    device = connect(path=board.path, keys={"b": "enable"}, enable_switch=True)
    assert comes(device, lambda s: s.enabled is False)
    board.key("b")
    assert comes(device, lambda s: s.enabled is True)
    board.key("b", 0)
    assert comes(device, lambda s: s.enabled is False)


def test_s13_unplugged_while_a_key_is_down_it_stops_beating_and_moves_nothing(board, connect):
    device = connect(path=board.path)
    board.key("w")
    assert comes(device, lambda s: s.takeover)
    board.unplug()
    assert comes(device, lambda s: "it was unplugged" in device.trouble)
    beat_s = device.read(time.monotonic()).heartbeat_s
    assert comes(device, lambda s: time.monotonic() - beat_s > 0.15 and s.heartbeat_s == beat_s)
    assert comes(device, lambda s: (s.twist, s.takeover) == (ZERO6, False))


def test_releases_that_the_kernel_dropped_are_asked_for(connect, monkeypatch):
    board = KeyDevice(monkeypatch, *KEYS)
    device = connect(path=board.path)
    board.key("w")
    assert comes(device, lambda s: s.takeover)
    board.down.clear()
    codes = board._codes
    board.send((codes.EV_SYN, codes.SYN_DROPPED, 0), (codes.EV_KEY, codes.KEY_A, 1))  # Whose release is lost, too.
    assert comes(device, lambda s: s.twist == ZERO6)
    board.key("s")
    assert comes(device, lambda s: s.twist == (-1.0, 0, 0, 0, 0, 0))


def test_a_key_that_was_down_before_acts_from_its_next_stroke_on(connect, monkeypatch):
    board = KeyDevice(monkeypatch, *KEYS)
    board.down.add(board._codes.KEY_ENTER)
    device = connect(path=board.path)
    board.key("enter", 0)
    board.key("w")
    assert comes(device, lambda s: s.takeover)
    assert not device.read(time.monotonic()).success


def test_it_is_grabbed_once_all_keys_are_up(connect, monkeypatch):
    board = KeyDevice(monkeypatch, *KEYS)
    assert connect(path=board.path) and not board.grabbed
    assert connect(path=board.path, grab=True) and board.grabbed
    monkeypatch.setattr(evdev_keys, "_GRAB_S", 0.05)
    board.down.add(board._codes.KEY_ENTER)
    with pytest.raises(ConnectionError, match="a key is held down: let go of all of them"):
        connect(path=board.path, grab=True)


def test_what_cannot_be_is_said_in_one_line(connect, monkeypatch, tmp_path):
    pedal = KeyDevice(monkeypatch, "b")
    with pytest.raises(ConnectionError, match=r"it has no key 'w', but b; name others in the cell file"):
        connect(path=pedal.path)
    with pytest.raises(ConnectionError, match=r"there is no key 'spece'; did you mean 'space'\?"):
        connect(path=pedal.path, keys={"spece": "takeover"})
    with pytest.raises(ConnectionError, match="No such file"):
        connect(path=str(tmp_path / "gone"))
    monkeypatch.setattr(evdev_keys, "connected_paths", list)
    with pytest.raises(ConnectionError, match="no keyboard is connected"):
        connect()


def test_stable_paths_are_found_one_a_device(tmp_path, monkeypatch):
    folders = [tmp_path / "by-id", tmp_path / "by-path"]
    events = [tmp_path / f"event{number}" for number in range(2)]
    for path in (*folders,):
        path.mkdir()
    for event in events:
        event.touch()
    (folders[0] / "usb-Pedal-event-kbd").symlink_to(events[0])
    (folders[0] / "usb-Pedal-event-mouse").symlink_to(events[1])
    (folders[1] / "pci-usb-0:1-event-kbd").symlink_to(events[0])
    (folders[1] / "platform-i8042-event-kbd").symlink_to(events[1])
    monkeypatch.setattr(evdev_keys, "FOLDERS", tuple(folders))
    names = [Path(path).name for path in evdev_keys.connected_paths()]
    assert names == ["usb-Pedal-event-kbd", "platform-i8042-event-kbd"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"keys": {"b": "takover"}}, r"keys.b is 'takover'; did you mean 'takeover'\?"),
        ({"pedal_keys": {"b": "x"}}, "pedal_keys.b is 'x'; allowed"),
        ({"pedal": "/dev/input/by-id/p"}, "pedal needs pedal_keys"),
        ({"enable_switch": True, "keys": {"b": "success"}}, "needs a button that does 'enable'"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        TeleopSettings(**settings)


@pytest.fixture
def both(tmp_path, monkeypatch):
    """A gamepad with a pedal beside it, as a cell file makes them; and what moves each."""
    pedal, joystick = KeyDevice(monkeypatch, "b", "c"), Joystick(tmp_path / "js0")
    settings = TeleopSettings(
        device="gamepad", path=joystick.path, pedal=pedal.path, pedal_keys={"b": "takeover", "c": "success"}
    )
    device = drivers.teleop(replace(load_cell("twin"), teleop=settings), RealClock())
    assert isinstance(device, WithPedal)
    device.connect()
    yield device, pedal, joystick
    device.close()


def test_a_pedal_acts_beside_the_device_that_moves(both):
    device, pedal, joystick = both
    pedal.key("b")
    assert comes(device, lambda s: s.takeover and s.twist == ZERO6)
    joystick.axis(1, -1.0)
    assert comes(device, lambda s: s.twist == (1.0, 0, 0, 0, 0, 0))
    pedal.key("c")
    assert comes(device, lambda s: s.success)


@pytest.mark.parametrize("lost", ["pedal", "joystick"])
def test_s13_when_either_is_unplugged_the_heartbeat_stands_still(both, lost):
    device, pedal, joystick = both
    {"pedal": pedal, "joystick": joystick}[lost].unplug()
    assert comes(device, lambda s: device.trouble != "")
    gone = device.pedal if lost == "pedal" else device.device
    beat_s = gone.read(time.monotonic()).heartbeat_s
    assert comes(device, lambda s: time.monotonic() - beat_s > 0.15 and s.heartbeat_s == beat_s)
