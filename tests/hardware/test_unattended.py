"""S3 and S25: a guard that was away, while the arm's own controller stopped the arm."""

from __future__ import annotations

from math import nan

import pytest

from hardware.fakes import shifted
from hardware.interfaces import GuardMode
from tests.hardware.rig import NAN_POSE, Rig


def running() -> Rig:
    rig = Rig(lag_s=0.01).engage()
    for _ in range(3):
        rig.ask(shifted(rig.arm.pose, (0.05, 0.0, 0.0)))
        rig.tick(10)
    assert rig.guard.mode is GuardMode.RUNNING
    return rig


@pytest.mark.parametrize("away_s", [0.08, 1.0, 3600.0])
def test_a_guard_that_was_away_longer_than_the_watchdog_holds_where_the_arm_is_and_at_rest(away_s):
    rig = running()
    rig.arm.blocked = True  # as its controller does
    rig.clock.time_s += away_s - rig.cell.guard_period_s
    executed = rig.tick()
    assert executed.mode is GuardMode.HOLD
    assert [refusal.limit for refusal in executed.refusals] == ["S25"]
    assert executed.reference.T_base_ee == rig.measured[-1]
    assert executed.target == rig.measured[-1]
    assert executed.reference.twist == (0.0,) * 6


def test_a_guard_that_missed_fewer_ticks_brakes_what_is_under_way():
    rig = running()
    speed = rig.trace[-1].reference.twist[0]
    rig.clock.time_s += 0.9 * rig.limits.max_unattended_s - rig.cell.guard_period_s
    executed = rig.tick()
    assert executed.mode is GuardMode.HOLD
    assert 0.0 < executed.reference.twist[0] <= speed


def test_a_guard_that_comes_back_to_an_arm_it_cannot_read_does_not_start_from_there():
    rig = running()
    rig.clock.time_s += 1.0
    executed = rig.see(T_base_ee=NAN_POSE, wrench=(nan,) * 6)
    assert executed.mode is GuardMode.HOLD
    assert executed.reference.T_base_ee != NAN_POSE
