"""The person at the teleop device: a dead reader (S13), takeovers (S14)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hardware.fakes import POINTING_DOWN, FakeArm, FakeCamera, FakeClock, FakeTeleop, shifted
from hardware.interfaces import ZERO6, GuardMode, ResetPlan, Source
from hardware.local_robot import LocalRobot
from tests.hardware.rig import Rig, fake_cell

PERIOD_S = 0.01
FAR = shifted(POINTING_DOWN, (0.2, 0.1, 0.2))


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
