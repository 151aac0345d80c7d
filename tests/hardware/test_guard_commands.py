"""Which commands reach the arm: flushing (S11), order (S19), clocks (S20)."""

from __future__ import annotations

import time
from dataclasses import fields

import numpy as np
import pytest

from hardware.fakes import POINTING_DOWN, shifted
from hardware.guard_inputs import LinkHealth
from hardware.interfaces import ArmCommand, GuardMode
from tests.hardware.rig import Rig

FAR = shifted(POINTING_DOWN, (0.2, 0.1, 0.2))


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


# -- S19 ---------------------------------------------------------------------------------------------------------------


@pytest.mark.no_cover  # long, and through branches that others here reach too
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
