"""From a deflection to what the guard reads."""

from __future__ import annotations

from math import pi

import pytest

from hardware.device_settings import TeleopSettings
from hardware.interfaces import ZERO6, Gripper
from hardware.teleop.polling import GRIPPER_WISH_S, Interpreter, Reading

FORWARD = (1.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def sample(deflection=ZERO6, buttons=(), now=1.0, **settings):
    return Interpreter(TeleopSettings(**settings)).sample(Reading(deflection, buttons), now)


@pytest.mark.parametrize(
    ("share", "moved"), [(0.0, 0.0), (0.1, 0.0), (-0.1, 0.0), (0.55, 0.5), (-0.55, -0.5), (1.0, 1.0)]
)
def test_below_the_dead_band_nothing_moves_and_beyond_it_motion_begins_at_nought(share, moved):
    read = sample((share, 0, 0, 0, 0, 0), dead_band=0.1)
    assert read.twist[0] == pytest.approx(moved)
    assert read.takeover is (moved != 0.0)


def test_a_deflection_beyond_full_is_full_and_scale_shrinks_it():
    assert sample((1.4, 0, 0, 0, 0, -2.0)).twist == (1.0, 0, 0, 0, 0, -1.0)
    assert sample((1.4, 0, 0, 0, 0, 0), scale=0.3).twist[0] == pytest.approx(0.3)


def test_axes_say_which_moves_what_and_which_way():
    axes = ("-y", "x", "z", "roll", "pitch", "-yaw")
    assert sample((1.0, 0.5, 0, 0, 0, 1.0), axes=axes, dead_band=0.0).twist == (-0.5, 1.0, 0, 0, 0, -1.0)


def test_yaw_turns_moves_and_turns_alike():
    twist = sample((1.0, 0, 0, 1.0, 0, 0), yaw_rad=pi / 2).twist
    assert twist == pytest.approx((0, 1.0, 0, 0, 1.0, 0))


def test_a_turned_diagonal_stays_within_one():
    assert max(sample((1.0, 1.0, 0, 0, 0, 0), yaw_rad=pi / 4).twist) == 1.0


def test_takeover_success_and_failure_last_as_long_as_their_buttons():
    buttons = ("takeover", "success", "failure")
    interpreter = Interpreter(TeleopSettings(buttons=buttons))
    read = interpreter.sample(Reading(buttons=(True, False, True)), 1.0)
    assert (read.takeover, read.success, read.failure) == (True, False, True)
    read = interpreter.sample(Reading(buttons=(False, True, False)), 1.1)
    assert (read.takeover, read.success, read.failure) == (False, True, False)


def test_a_gripper_button_toggles_once_a_press_and_takes_over_while_it_wishes():
    interpreter = Interpreter(TeleopSettings())
    wishes = [interpreter.sample(Reading(buttons=(down,)), t).gripper for down, t in ((1, 0.0), (1, 0.1), (0, 0.2))]
    assert wishes == [Gripper.CLOSE] * 3
    rest = interpreter.sample(Reading(buttons=(False,)), GRIPPER_WISH_S)
    assert (rest.gripper, rest.takeover) == (Gripper.HOLD, False)
    again = interpreter.sample(Reading(buttons=(True,)), 1.0)
    assert (again.gripper, again.takeover, again.twist) == (Gripper.OPEN, True, ZERO6)


def test_s15_an_enable_switch_is_reported_only_where_there_is_one():
    assert sample(FORWARD).enabled is None
    switched = {"enable_switch": True, "buttons": ("enable",)}
    interpreter = Interpreter(TeleopSettings(**switched))
    assert interpreter.sample(Reading(FORWARD, (True,)), 1.0).enabled is True
    assert interpreter.sample(Reading(FORWARD, (False,)), 1.1).enabled is False


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"axes": ("x", "y")}, "axes has 2 entries; it must have 6"),
        ({"axes": ("x", "y", "z", "roll", "pitch", "yav")}, "'yav'; did you mean 'yaw'"),
        ({"buttons": ("takover",)}, "'takover'; did you mean 'takeover'"),
        ({"enable_switch": True}, "needs a button that does 'enable'"),
    ],
)
def test_what_makes_no_sense_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        TeleopSettings(**settings)
