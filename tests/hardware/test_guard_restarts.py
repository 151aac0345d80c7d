"""A restart of the actor (S24), and a guard or a clock that is late (S25)."""

from __future__ import annotations

import pytest

from hardware.fakes import POINTING_DOWN, shifted
from hardware.guard import EngageError
from hardware.interfaces import GuardMode
from hardware.limits import Limits
from tests.hardware.rig import Rig, assert_held, once, running

LIMITS = Limits()


# -- S24 ---------------------------------------------------------------------------------------------------------------


def test_s24_an_actor_that_restarts_leaves_the_guard_disarmed_once_the_arm_has_stopped():
    rig = running()
    once(rig, actor=5)
    rig.ask(shifted(POINTING_DOWN, (0.2, 0.0, 0.0)))
    rig.tick(60)
    session = rig.guard.session
    executed = once(rig, actor=6)
    assert_held(executed, "S24", 1.0)
    modes = [rig.tick().mode for _ in range(40)]
    stop = modes.index(GuardMode.DISARMED)
    assert modes == [GuardMode.HOLD] * stop + [GuardMode.DISARMED] * (40 - stop)
    assert 5 < stop < 25
    assert rig.guard.reason.startswith("S24: the actor restarted")
    assert rig.guard.session > session
    with pytest.raises(EngageError, match=r"S11.*S24"):
        rig.guard.engage(rig.arm.read(), rig.clock.now())
    for _ in range(100):
        rig.ask(shifted(POINTING_DOWN, (0.2, 0.0, 0.0)))
        assert rig.tick().mode is GuardMode.DISARMED
    rig.engage()
    assert once(rig, actor=6).mode is GuardMode.ARMED


def test_s24_at_rest_it_is_disarmed_in_the_same_tick_and_a_hold_becomes_disarmed():
    for mode in (GuardMode.ARMED, GuardMode.HOLD):
        rig = Rig().engage()
        once(rig, actor=5)
        if mode is GuardMode.HOLD:
            rig.guard.hold("pedal")
        assert once(rig, actor=5).mode is mode
        executed = once(rig, actor=6)
        assert executed.mode is GuardMode.DISARMED
        assert [refusal.limit for refusal in executed.refusals] == ["S24"]
        assert executed.reason.startswith("S24" if mode is GuardMode.ARMED else "pedal")


def test_s24_a_fault_stays_one():
    rig = Rig().engage()
    once(rig, actor=5)
    rig.guard.hold("broken", GuardMode.FAULT)
    once(rig, actor=6)
    assert rig.tick(100).mode is GuardMode.FAULT


def test_s24_the_first_actor_and_one_that_is_this_process_are_no_restart():
    rig = running()
    for actor in (None, 5, None, 5, None, 5):
        assert once(rig, actor=actor).mode is GuardMode.RUNNING
    assert once(rig, actor=4).mode is GuardMode.DISARMED


def test_s24_an_actor_seen_before_engaging_is_remembered_and_may_change_while_disarmed():
    for before, mode in ((6, GuardMode.ARMED), (5, GuardMode.DISARMED)):
        rig = Rig()
        once(rig, actor=4)
        once(rig, actor=before)
        rig.tick()
        rig.engage()
        assert once(rig, actor=6).mode is mode


def test_disarming_stops_first_and_holds_until_then():
    rig = running()
    rig.ask(shifted(POINTING_DOWN, (0.2, 0.0, 0.0)))
    rig.tick(60)
    rig.guard.disarm("shift ends")
    executed = rig.tick()
    assert (executed.mode, executed.reason) == (GuardMode.HOLD, "shift ends")
    assert rig.tick(40).mode is GuardMode.DISARMED
    assert rig.guard.reason == "shift ends"
    assert rig.guard.at_rest


# -- S25 ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("missed", [0, 0.5, 1, 2, 2.9, 2.99999, 3])
def test_s25_a_few_missed_ticks_are_no_fault(missed):
    rig = running()
    rig.skip(missed)
    executed = rig.tick()
    assert (executed.mode, executed.refusals) == (GuardMode.RUNNING, ())


@pytest.mark.parametrize("missed", [3.00002, 3.001, 3.1, 4, 5, 10, 1e3, 360_000])
def test_s25_more_hold_at_the_next_tick(missed):
    for drive in (True, False):
        rig = running() if drive else Rig().engage()
        rig.skip(missed)
        assert_held(rig.tick(), "S25", missed - LIMITS.max_missed_ticks - 1e-6)
        assert rig.tick(60).refusals == ()
        rig.resume()
        assert rig.tick(5).mode is GuardMode.ARMED


@pytest.mark.parametrize("back", [1.001, 1.5, 2, 10, 360_000])
def test_s25_a_clock_that_runs_backwards_holds(back):
    rig = running()
    rig.skip(-back)
    executed = rig.tick()
    assert executed.mode is GuardMode.HOLD
    (refusal,) = (refusal for refusal in executed.refusals if refusal.limit == "S25")
    assert refusal.amount == pytest.approx(back - 1.0)


def test_s25_a_tick_at_the_same_time_twice_is_no_fault():
    rig = running()
    rig.skip(-1.0)
    assert rig.tick().mode is GuardMode.RUNNING


def test_s25_a_late_tick_moves_the_reference_no_further_than_a_punctual_one():
    late, punctual = running(), running()
    for rig in (late, punctual):
        rig.ask(shifted(POINTING_DOWN, (0.2, 0.0, 0.0)))
        rig.tick(30)
    late.skip(3.0)
    assert late.tick().reference == punctual.tick().reference


def test_s25_engaging_and_being_disarmed_are_punctual():
    rig = Rig()
    rig.tick(150)
    rig.skip(1000.0)
    rig.tick()
    assert rig.guard.streaming_s == pytest.approx(1.51)
    rig.skip(2.0)
    rig.guard.engage(rig.arm.read(), rig.clock.now())
    rig.skip(3.0)
    assert rig.tick().mode is GuardMode.ARMED
