"""A policy that falls silent (S2), or that nobody renews any more (S22)."""

from __future__ import annotations

from math import floor

import numpy as np
import pytest

from hardware.fakes import POINTING_DOWN, shifted
from hardware.guard import EngageError
from hardware.guard_inputs import LinkHealth
from hardware.interfaces import ArmCommand, GuardMode, Source
from tests.hardware.rig import Rig

PERIOD_S = 0.01
FAR = shifted(POINTING_DOWN, (0.2, 0.1, 0.2))


def speed(rig: Rig, index: int = -1) -> float:
    return float(np.linalg.norm(rig.twists[index, :3]))


def timeout_s(rig: Rig, control_hz: float) -> float:
    return max(rig.limits.command_timeout_periods / control_hz, rig.limits.min_command_timeout_s)


# -- S2 ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("control_hz", [3.0, 5.0, 7.0, 10.0, 15.0, 20.0, 25.0, 30.0, 50.0, 100.0])
def test_s2_the_guard_holds_at_the_first_tick_at_which_the_newest_command_is_too_old(control_hz):
    rig = Rig(control_hz=control_hz).engage()
    rig.ask(FAR)
    rig.tick()
    came_s, limit_s = rig.clock.now(), timeout_s(rig, control_hz)
    for _ in range(floor(limit_s / PERIOD_S + 1e-6)):
        assert rig.tick().mode is GuardMode.RUNNING
        assert rig.clock.now() - came_s <= limit_s + 1e-9
    executed = rig.tick()
    assert (executed.mode, executed.source) == (GuardMode.HOLD, Source.HOLD)
    assert executed.reason.startswith("S2: the policy's commands stopped coming (over by ")
    (refusal,) = executed.refusals
    assert (refusal.limit, refusal.source) == ("S2", Source.HOLD)
    assert refusal.amount == pytest.approx(rig.clock.now() - came_s - limit_s, abs=1e-8)
    assert 0.0 < refusal.amount <= PERIOD_S


def test_s2_braking_begins_in_that_tick_and_ends_within_200_ms_and_30_mm():
    rig = Rig(control_hz=10.0).engage()
    for _ in range(5):
        rig.ask(FAR)
        rig.tick(10)
    fastest = speed(rig)
    assert fastest > 0.8 * 0.2
    while rig.tick().mode is GuardMode.RUNNING:
        fastest = speed(rig)
    assert speed(rig) < fastest
    first, at = len(rig.trace), rig.positions[-1]
    rig.tick(50)
    assert speed(rig, first + 18) < 0.005
    assert np.linalg.norm(rig.positions[-1] - at) < 0.03


def test_s2_commands_within_the_promised_rate_are_never_late():
    rig = Rig(control_hz=10.0).engage()
    for step in range(50):
        rig.ask(shifted(POINTING_DOWN, (0.0, 0.002 * (step % 5), 0.0)))
        assert rig.tick(15).mode is GuardMode.RUNNING


def test_s2_repeated_or_old_commands_do_not_count_as_coming():
    rig = Rig(control_hz=10.0).engage()
    rig.ask(FAR, sequence=7)
    for _ in range(16):
        assert rig.tick().mode is GuardMode.RUNNING
        rig.ask(FAR, sequence=7)
        rig.ask(FAR, sequence=6)
        rig.guard.submit(ArmCommand(FAR, sequence=99, session=rig.guard.session - 1), rig.clock.now())
    assert rig.tick().mode is GuardMode.HOLD


def test_s2_a_policy_that_has_not_begun_is_not_late():
    rig = Rig(control_hz=10.0).engage()
    assert rig.tick(300).mode is GuardMode.ARMED


def test_s2_a_policy_that_promises_no_rate_is_never_late_until_it_promises_one():
    rig = Rig(control_hz=None).engage()
    rig.ask(POINTING_DOWN)
    assert rig.tick(300).mode is GuardMode.RUNNING
    rig.guard.promise(10.0)
    assert rig.tick().mode is GuardMode.HOLD


def test_s2_nobody_waits_for_the_policy_while_the_person_drives_but_at_once_after():
    rig = Rig(control_hz=10.0).engage()
    rig.ask(POINTING_DOWN)
    rig.tick()
    rig.teleop.push(0.0, 0.0, 0.2)
    assert rig.tick(100).mode is GuardMode.RUNNING
    rig.teleop.release()
    release = round(rig.cell.teleop.release_s / PERIOD_S)
    assert rig.tick(release).source is Source.POLICY
    assert rig.tick().mode is GuardMode.HOLD
    assert rig.guard.reason.startswith("S2")


def test_s2_commands_dropped_while_the_person_drives_still_show_that_the_policy_lives():
    rig = Rig(control_hz=10.0).engage()
    rig.teleop.push(0.0, 0.0, 0.2)
    for _ in range(10):
        rig.ask(FAR)
        rig.tick(10)
    rig.teleop.release()
    for _ in range(5):
        rig.ask(POINTING_DOWN)
        assert rig.tick(10).mode is GuardMode.RUNNING


def test_s2_a_reset_is_not_late_and_a_new_session_begins_unhurried():
    rig = Rig(control_hz=10.0).engage()
    rig.guard.begin_session(resetting=True)
    rig.ask(FAR)
    assert rig.tick(100).mode is GuardMode.RUNNING
    rig.guard.begin_session(resetting=False)
    assert rig.tick(100).mode is GuardMode.RUNNING
    rig.ask(POINTING_DOWN)
    assert rig.tick(16).mode is GuardMode.RUNNING
    assert rig.tick(1).mode is GuardMode.HOLD


def test_s2_resuming_forgets_the_old_commands():
    rig = Rig(control_hz=10.0).engage()
    rig.ask(FAR)
    assert rig.tick(100).mode is GuardMode.HOLD
    rig.resume()
    assert rig.tick(100).mode is GuardMode.ARMED


# -- S22 ---------------------------------------------------------------------------------------------------------------


def test_s22_the_arm_does_not_notice_a_learner_that_dies_until_its_policy_is_old():
    alive, dead = Rig(), Rig()
    for rig in (alive, dead):
        rig.engage()
        for step in range(20):
            age_s = 60.0 * step if rig is dead else 1.0
            rig.link = LinkHealth(actor=1, policy_age_s=min(age_s, rig.limits.max_policy_age_s))
            rig.ask(shifted(POINTING_DOWN, (0.004 * step, 0.0, 0.0)))
            rig.tick(10)
    assert [e.reference for e in alive.trace] == [e.reference for e in dead.trace]
    dead.link = dead.link._replace(policy_age_s=dead.limits.max_policy_age_s + 1.0)
    assert dead.tick().mode is GuardMode.HOLD
    assert dead.guard.reason.startswith("S22")


def test_s22_the_age_of_the_policy_is_of_no_matter_to_the_person_or_a_reset():
    rig = Rig().engage()
    rig.link = LinkHealth(policy_age_s=1e9)
    assert rig.tick(10).mode is GuardMode.ARMED
    rig.teleop.push(0.1)
    assert rig.tick(10).mode is GuardMode.RUNNING
    rig.teleop.release()
    with pytest.raises(EngageError):
        rig.resume()
    rig.tick(50)
    assert rig.guard.mode is GuardMode.HOLD
    rig.tick(60)
    rig.resume()
    rig.guard.begin_session(resetting=True)
    rig.ask(FAR)
    assert rig.tick(50).mode is GuardMode.RUNNING
