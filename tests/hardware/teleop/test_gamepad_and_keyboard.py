"""The gamepad through joystick events, the keyboard through a terminal of its own."""

from __future__ import annotations

import os
import termios
import time

import pytest

from hardware.clock import RealClock
from hardware.device_settings import TeleopSettings
from hardware.interfaces import ZERO6, Gripper
from hardware.teleop.gamepad import Gamepad
from hardware.teleop.keyboard import Keyboard
from tests.hardware.teleop.rig import Joystick


@pytest.fixture
def joystick(tmp_path):
    return Joystick(tmp_path / "js0")


@pytest.fixture
def gamepad(joystick):
    device = Gamepad(TeleopSettings(path=joystick.path), RealClock())
    device.connect()
    yield device
    device.close()


@pytest.fixture
def hand():
    """The other end of the terminal, and the terminal's path."""
    ours, theirs = os.openpty()
    yield ours, os.ttyname(theirs)
    os.close(theirs)


@pytest.fixture
def keyboard(hand):
    device = Keyboard(TeleopSettings(path=hand[1], jog_s=0.3), RealClock())
    device.connect()
    yield device
    device.close()


def comes(device, wanted):
    """Whether ``device`` gives a sample as ``wanted``, sooner or later."""
    deadline = time.monotonic() + 10.0
    while not wanted(device.read(time.monotonic())):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


@pytest.mark.parametrize(
    ("number", "share", "axis", "sign"),
    [(1, -1, 0, 1), (0, -1, 1, 1), (5, 1, 2, 1), (2, 1, 2, -1), (6, 1, 3, 1), (4, -1, 4, 1), (3, -1, 5, 1)],
)
def test_each_stick_moves_its_axis(gamepad, joystick, number, share, axis, sign):
    time.sleep(0.05)
    assert gamepad.read(time.monotonic()).twist == ZERO6, "untouched triggers must not press the arm down"
    joystick.axis(number, share)
    assert comes(gamepad, lambda s: s.twist == tuple(sign * float(index == axis) for index in range(6)))


def test_buttons_of_a_gamepad(gamepad, joystick):
    joystick.button(0)
    assert comes(gamepad, lambda s: s.gripper is Gripper.CLOSE)
    joystick.button(1)
    assert comes(gamepad, lambda s: s.takeover)


def test_s13_an_unplugged_gamepad_stops_beating_and_moves_nothing(gamepad, joystick):
    joystick.axis(1, -1.0)
    assert comes(gamepad, lambda s: s.takeover)
    joystick.unplug()
    time.sleep(0.2)
    read = gamepad.read(time.monotonic())
    assert time.monotonic() - read.heartbeat_s > 0.1
    assert (read.twist, read.takeover) == (ZERO6, False)


def test_s13_a_key_stroke_moves_for_a_fixed_time(keyboard, hand):
    os.write(hand[0], b"wa")
    assert comes(keyboard, lambda s: s.twist == (1.0, 1.0, 0, 0, 0, 0))
    time.sleep(0.4)
    read = keyboard.read(time.monotonic())
    assert (read.twist, read.takeover) == (ZERO6, False)
    assert time.monotonic() - read.heartbeat_s < 0.1


@pytest.mark.parametrize(("key", "name"), [(b" ", "takeover"), (b"\n", "success"), (b"x", "failure")])
def test_keys_that_act(keyboard, hand, key, name):
    os.write(hand[0], key)
    assert comes(keyboard, lambda s: getattr(s, name))


def test_a_key_held_down_toggles_the_gripper_once(keyboard, hand):
    for _ in range(5):
        os.write(hand[0], b"g")
        assert comes(keyboard, lambda s: s.gripper is Gripper.CLOSE)


def test_the_terminal_is_left_as_it_was(hand):
    path = hand[1]
    terminal = os.open(path, os.O_RDWR | os.O_NOCTTY)
    before = termios.tcgetattr(terminal)
    device = Keyboard(TeleopSettings(path=path), RealClock())
    device.connect()
    assert termios.tcgetattr(terminal) != before
    device.close()
    assert termios.tcgetattr(terminal) == before
    os.close(terminal)


def test_without_a_terminal_or_a_gamepad_one_line_says_so(tmp_path):
    with pytest.raises(ConnectionError, match="is no terminal to read keys from"):
        Keyboard(TeleopSettings(path=str(tmp_path / "none")), RealClock()).connect()
    with pytest.raises(ConnectionError, match=r"gamepad .*No such file"):
        Gamepad(TeleopSettings(path=str(tmp_path / "none")), RealClock()).connect()
