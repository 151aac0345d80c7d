"""Whose commands reach the arm, and for how long: age (S2), flushing (S11), dead reader (S13), takeover (S14), order
(S19), clocks (S20), a dead learner (S22)."""

from __future__ import annotations

import time
from dataclasses import fields, replace
from math import floor

import numpy as np
import pytest

from hardware.fakes import POINTING_DOWN, FakeArm, FakeCamera, FakeClock, FakeTeleop, shifted
from hardware.guard import EngageError
from hardware.guard_inputs import LinkHealth
from hardware.interfaces import ZERO6, ArmCommand, GuardMode, ResetPlan, Source
from hardware.local_robot import LocalRobot
from tests.hardware.rig import Rig, fake_cell

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


# -- S11 ---------------------------------------------------------------------------------------------------------------


def queue(rig: Rig, count: int = 1000) -> None:
    """Commands of this session that wait, and that arrive during the next ten seconds."""
    for i in range(count):
        command = ArmCommand(shifted(POINTING_DOWN, (0.1, 0.0, 0.1)), sequence=10_000 + i, session=rig.guard.session)
        rig.guard.submit(command, rig.clock.now() + (0.01 * i if i % 2 else 0.0))


@pytest.mark.parametrize("release", ["resume", "reset and engage", "recover and engage"])
@pytest.mark.parametrize("when", ["before the stop", "in the stop"])
def test_s11_a_thousand_queued_commands_move_the_arm_by_nothing_after_a_release(release, when):
    rig = Rig().engage()
    if when == "before the stop":
        queue(rig)
        rig.guard._inbox = [(rig.clock.now() + 0.3 + 0.001 * i, c) for i, (_, c) in enumerate(rig.guard._inbox)]
    rig.tick(5)
    rig.guard.hold("emergency stop", GuardMode.HOLD if release == "resume" else GuardMode.FAULT)
    if when == "in the stop":
        queue(rig)
    rig.tick(60)
    at = rig.arm.pose
    if release == "resume":
        rig.resume()
    elif release == "reset and engage":
        rig.guard.reset()
        rig.engage()
    else:
        rig.guard.recover(rig.clock.now())
        rig.engage()
    executed = rig.tick(1200)
    assert executed.mode is GuardMode.ARMED
    assert (executed.reference.T_base_ee, executed.proposed) == (at, None)
    assert rig.arm.pose == at
    rig.ask(shifted(at, (0.0, 0.0, 0.05)), sequence=1)
    assert rig.tick(100).reference.T_base_ee.position_m[2] == pytest.approx(at.position_m[2] + 0.05, abs=1e-6)


@pytest.mark.parametrize("mode", [GuardMode.HOLD, GuardMode.FAULT])
def test_s11_nothing_re_engages_by_itself(mode):
    rig = Rig().engage()
    rig.guard.hold("emergency stop", mode)
    rig.teleop.push(0.0, 0.0, 1.0)
    for _ in range(300):
        rig.ask(FAR)
        executed = rig.tick()
        assert (executed.mode, executed.reference.T_base_ee) == (mode, POINTING_DOWN)
    rig.guard.reset()
    for _ in range(300):
        rig.ask(FAR)
        assert rig.tick().mode is GuardMode.DISARMED
    assert rig.arm.pose == POINTING_DOWN


# -- S13 ---------------------------------------------------------------------------------------------------------------


def test_s13_a_reader_that_dies_deflected_is_stopped_and_does_not_give_way_to_the_policy():
    rig = Rig().engage()
    rig.teleop.push(0.0, 0.0, 0.5)
    rig.tick(30)
    died_s = rig.clock.now()
    rig.distort = lambda inputs, now: inputs._replace(teleop=replace(inputs.teleop, heartbeat_s=died_s))
    for _ in range(round(rig.limits.max_teleop_age_s / PERIOD_S)):
        rig.ask(FAR)
        assert rig.tick().source is Source.HUMAN
    for _ in range(200):
        rig.ask(FAR)
        executed = rig.tick()
        assert (executed.mode, executed.source) == (GuardMode.HOLD, Source.HOLD)
    assert executed.reference.twist == ZERO6
    assert executed.reason.startswith("S13")
    rig.distort = lambda inputs, now: inputs
    rig.ask(FAR)
    assert rig.tick(100).mode is GuardMode.HOLD


def test_s13_an_unplugged_device_says_nothing_more_at_once_and_holds_100_ms_later():
    clock = FakeClock()
    robot = LocalRobot(FakeArm(clock), {"front": FakeCamera(clock)}, FakeTeleop(), fake_cell(), clock)
    robot.reset(ResetPlan(POINTING_DOWN))
    robot.teleop.push(0.0, 0.0, 1.0)
    clock.sleep_until(clock.now() + 0.3)
    seen = []
    robot.guard.recorder = lambda inputs, state, executed: seen.append((inputs.teleop, state, executed))

    def read(now):
        raise ConnectionError("unplugged")

    robot.teleop.read = read
    target_m = robot.guard.state.target.pose.position_m[2]
    clock.sleep_until(clock.now() + 0.6)
    assert {sample.twist for sample, _, _ in seen} == {ZERO6}
    modes = [executed.mode for _, _, executed in seen]
    age = round(robot.guard.settings.limits.max_teleop_age_s / PERIOD_S)
    assert modes == [GuardMode.RUNNING] * age + [GuardMode.HOLD] * (len(modes) - age)
    assert {executed.source for _, _, executed in seen} == {Source.HUMAN, Source.HOLD}
    assert all(executed.target.position_m[2] <= target_m + 1e-6 for _, _, executed in seen)


# -- S14 ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ticks", [0, 1, 2, 5, 9, 10, 20, 40])
def test_s14_the_person_has_the_arm_in_the_same_tick_and_both_wishes_are_stored(ticks):
    rig = Rig(control_hz=10.0).engage()
    for tick in range(ticks):
        if tick % 5 == 0:
            rig.ask(FAR)
        rig.tick()
    wanted = shifted(FAR, (0.0, -0.01, 0.0))
    rig.ask(wanted)
    rig.teleop.push(-1.0, 0.0, 0.0)
    executed = rig.tick()
    assert (executed.mode, executed.source, executed.proposed) == (GuardMode.RUNNING, Source.HUMAN, wanted)
    assert executed.target != executed.proposed
    rig.ask(FAR)
    assert (rig.tick().source, rig.trace[-1].proposed) == (Source.HUMAN, FAR)


def test_s14_before_the_policy_asks_for_anything_nothing_is_proposed_and_what_it_asks_is_executed():
    rig = Rig().engage()
    assert rig.tick().proposed is None
    rig.ask(FAR)
    executed = rig.tick()
    assert executed.proposed is executed.target is FAR
    assert rig.tick(20).proposed is FAR
    outside = shifted(POINTING_DOWN, (0.0, 0.0, 5.0))
    rig.ask(outside)
    executed = rig.tick()
    assert executed.proposed is outside
    assert executed.target.position_m[2] <= rig.cell.workspace.max_m[2]


def test_s14_in_a_reset_the_person_is_not_listened_to():
    rig = Rig().engage()
    rig.guard.begin_session(resetting=True)
    rig.teleop.push(1.0)
    assert rig.tick(10).source is Source.POLICY
    rig.guard.begin_session(resetting=False)
    assert rig.tick().source is Source.HUMAN


# -- S19 ---------------------------------------------------------------------------------------------------------------


def test_s19_of_a_hundred_thousand_shuffled_doubled_and_old_commands_none_is_executed_out_of_order():
    random, count = np.random.default_rng(19), 100_000
    rig = Rig().engage()
    rig.guard.begin_session(resetting=False)
    session = rig.guard.session
    order = np.argsort(np.arange(count) + random.uniform(0.0, 300.0, count))
    sessions = random.choice([session, session, session - 1, session - 2, session + 1, 10**9, -1], count)
    numbers = np.where(random.random(count) < 0.2, order // 2, order)  # Some come again, much later.
    poses = [shifted(POINTING_DOWN, (0.0, 1e-7 * (i % 1000), 0.0)) for i in range(1000)]
    executed, last, own = [], -1, 0
    for begin in range(0, count, 50):
        for i in range(begin, begin + 50):
            number, of = int(numbers[i]), int(sessions[i])
            rig.guard.submit(ArmCommand(poses[number % 1000], sequence=number, session=of), rig.clock.now())
        mine = [int(numbers[i]) for i in range(begin, begin + 50) if sessions[i] == session]
        own += len(mine)
        rig.tick()
        accepted = rig.guard.state.mux.last_sequence
        assert accepted == max([last, *mine])
        if accepted > last:
            assert rig.trace[-1].target is poses[accepted % 1000]
            executed.append(accepted)
        last = accepted
    assert executed == sorted(set(executed))
    assert len(executed) > 1000 < own < count
    assert all(tick.refusals == () for tick in rig.trace)


# -- S20 ---------------------------------------------------------------------------------------------------------------


def story(rig: Rig) -> Rig:
    """A bit of everything."""
    rig.engage()
    for step in range(12):
        rig.ask(shifted(POINTING_DOWN, (0.008 * step, 0.0, -0.004 * step)))
        if step == 6:
            rig.teleop.push(0.0, 0.5, 0.0, 0.0, 0.0, 0.2)
        if step == 8:
            rig.teleop.release()
        rig.tick(10)
    rig.tick(100)
    return rig


@pytest.mark.parametrize("origin_s", [-3600.0, 3600.0, 1e6])
def test_s20_it_does_not_matter_what_the_receivers_clock_counts_from(origin_s):
    here, there = Rig(control_hz=10.0), Rig(control_hz=10.0)
    there.clock.time_s += origin_s
    story(here)
    story(there)
    assert here.trace[-1].mode is GuardMode.HOLD
    moved = [(e.mode, e.source, e.target, e.reference) for e in here.trace]
    assert moved == [(e.mode, e.source, e.target, e.reference) for e in there.trace]
    assert len({e.source for e in here.trace}) == 3


def test_s20_commands_carry_no_time_of_their_sender_and_nobody_asks_the_wall_clock(monkeypatch):
    assert not [field.name for field in fields(ArmCommand) if "stamp" in field.name or "_s" in field.name[-2:]]
    assert not [name for name in LinkHealth._fields if "stamp" in name]

    def jumped(*_):
        raise AssertionError("the wall clock was asked")

    for name in ("time", "time_ns", "localtime", "gmtime"):
        monkeypatch.setattr(time, name, jumped)
    assert len(story(Rig(control_hz=10.0)).trace) == 220


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
