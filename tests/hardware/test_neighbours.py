"""Two arms in one cell (S30): one's stop is the other's, and each knows where the other is and will be."""

from __future__ import annotations

import pytest

from hardware.fakes import POINTING_DOWN, shifted
from hardware.guard import EngageError
from hardware.guard_inputs import LinkHealth
from hardware.interfaces import ArmState, GuardMode, Refusal, Source
from hardware.neighbours import join, presence
from tests.hardware.rig import Rig, fake_cell

FAR = shifted(POINTING_DOWN, (0.2, 0.0, 0.1))


def pair(engaged: bool = True) -> tuple[Rig, Rig]:
    """Two arms whose guards tick one after another."""
    left, right = Rig(), Rig()
    join(left.guard, right.guard)
    if engaged:
        both(left, right, 120)
        left.engage()
        right.engage()
        both(left, right)
    return left, right


def both(left: Rig, right: Rig, count: int = 1) -> None:
    for _ in range(count):
        left.tick()
        right.tick()


def modes(left: Rig, right: Rig) -> tuple[GuardMode, GuardMode]:
    return left.guard.mode, right.guard.mode


def test_joined_guards_are_neighbours_of_all_others_and_not_of_themselves():
    rigs = [Rig().guard for _ in range(3)]
    assert rigs[0].neighbours == ()
    join(*rigs)
    assert [guard.neighbours for guard in rigs] == [(rigs[1], rigs[2]), (rigs[0], rigs[2]), (rigs[0], rigs[1])]


def test_alone_a_guard_tells_nobody_where_it_is():
    rig = Rig().engage()
    rig.tick(5)
    assert rig.guard.presence is None


def test_a_neighbour_that_has_not_ticked_yet_is_not_there():
    left, right = pair(engaged=False)
    assert right.guard.presence is None
    assert left.tick().mode is GuardMode.DISARMED
    assert left.guard.presence is not None


@pytest.mark.parametrize("mode", [GuardMode.HOLD, GuardMode.FAULT])
def test_s30_one_arms_stop_holds_the_other_within_the_tick_and_says_why(mode):
    for first, second in ((0, 1), (1, 0)):
        rigs = pair()
        for rig in rigs:
            rig.ask(FAR)
        both(*rigs, 40)
        assert modes(*rigs) == (GuardMode.RUNNING, GuardMode.RUNNING)
        rigs[first].guard.hold("pedal", mode)
        both(*rigs)
        if second == 0:  # It had ticked before its neighbour held.
            assert rigs[second].guard.mode is GuardMode.RUNNING
            rigs[second].tick()
        assert (rigs[first].guard.mode, rigs[second].guard.mode) == (mode, GuardMode.HOLD)
        assert rigs[second].guard.reason.startswith("S30: the other arm holds")
        assert rigs[second].trace[-1].refusals == (Refusal("S30", 1.0, Source.HOLD),)
        assert rigs[first].guard.reason == "pedal"


def test_s30_a_stop_that_answers_the_neighbours_is_not_answered_and_so_they_can_be_cleared_one_after_the_other():
    left, right = pair()
    left.guard.hold("pedal")
    both(left, right, 60)
    assert left.guard.presence.holds
    assert not right.guard.presence.holds
    with pytest.raises(Exception, match="S11"):
        right.resume()
    left.resume()
    both(left, right, 60)
    assert modes(left, right) == (GuardMode.ARMED, GuardMode.HOLD)
    right.resume()
    both(left, right, 60)
    assert modes(left, right) == (GuardMode.ARMED, GuardMode.ARMED)


def test_s30_a_disarmed_neighbour_holds_nobody():
    left, right = pair()
    left.guard.reset()
    both(left, right, 20)
    assert modes(left, right) == (GuardMode.DISARMED, GuardMode.ARMED)


def test_s30_a_fault_of_a_neighbours_own_keeps_holding_until_it_is_reset():
    left, right = pair()
    left.guard.hold("broken", GuardMode.FAULT)
    both(left, right, 200)
    with pytest.raises(Exception, match="S11"):
        right.resume()
    left.guard.reset()
    both(left, right, 60)
    right.resume()
    both(left, right, 5)
    assert modes(left, right) == (GuardMode.DISARMED, GuardMode.ARMED)


def test_s30_another_guards_watchdog_holds_too():
    left, right = pair()
    left.ask(POINTING_DOWN)
    both(left, right, 5)
    left.link = LinkHealth(policy_age_s=1e9)
    both(left, right)
    assert modes(left, right) == (GuardMode.HOLD, GuardMode.HOLD)
    assert left.guard.reason.startswith("S22")
    assert right.guard.reason.startswith("S30")


def test_s30_a_presence_is_where_the_arm_is_and_where_it_would_come_to_rest():
    left, right = pair()
    left.ask(FAR)
    both(left, right, 40)
    now, rest = left.guard.presence.points
    assert now == pytest.approx(left.measured[-1].position_m)
    left.guard.hold("pedal")
    both(left, right, 60)
    at = left.trace[-1].reference.T_base_ee.position_m
    tick_m = 0.25 * 0.01  # It might have gone on for one tick more.
    assert rest == pytest.approx(at, abs=tick_m)
    assert rest[0] - now[0] > 2.0 * tick_m
    assert left.guard.presence.points == (pytest.approx(at), pytest.approx(at))


def test_s30_a_disarmed_arm_is_where_it_is_measured():
    rig = Rig().engage()
    rig.ask(FAR)
    rig.tick(40)
    settings, state = rig.guard.settings, rig.guard.state
    elsewhere = shifted(POINTING_DOWN, (0.0, 0.1, 0.0))
    measured = rig.arm.read()
    arm = ArmState(0.0, elsewhere, measured.ee_twist, (), (), measured.wrench, 0.08)
    seen = presence(settings, state._replace(mode=GuardMode.DISARMED), arm)
    assert seen.points == (pytest.approx(elsewhere.position_m),) * 2
    assert presence(settings, state, arm).points[1] != pytest.approx(elsewhere.position_m)


@pytest.mark.parametrize(
    ("mode", "reason", "holds"),
    [
        (GuardMode.DISARMED, "pedal", False),
        (GuardMode.ARMED, "pedal", False),
        (GuardMode.RUNNING, "", False),
        (GuardMode.HOLD, "pedal", True),
        (GuardMode.HOLD, "S30: the other arm holds (over by 1)", False),
        (GuardMode.HOLD, "S3: no S30:", True),
        (GuardMode.FAULT, "S4: outside", True),
    ],
)
def test_s30_whether_it_holds_for_a_reason_of_its_own(mode, reason, holds):
    rig = Rig().engage()
    state = rig.guard.state._replace(mode=mode, reason=reason)
    assert presence(rig.guard.settings, state, rig.arm.read()).holds is holds


def test_s30_an_arm_of_several_is_not_engaged_without_the_others_guards_beside_its_own():
    """Not unjoined, not joined to too few, not before the other has been seen."""
    alone, other, third = Rig(fake_cell(other_arms=("left", "right"))), Rig(), Rig()
    alone.tick(150)
    with pytest.raises(EngageError, match=r"S30: of the cell's other arms \(left, right\) 0 can be seen; join"):
        alone.engage()
    join(alone.guard, other.guard)
    both(alone, other)
    with pytest.raises(EngageError, match=r"S30: .* 1 can be seen"):
        alone.engage()
    join(alone.guard, other.guard, third.guard)
    with pytest.raises(EngageError, match=r"S30: .* 1 can be seen"):
        alone.engage()
    third.tick()
    alone.engage()
    assert alone.guard.mode is GuardMode.ARMED
