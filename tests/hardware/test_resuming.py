"""When the operator may resume (S9), and have the arm clear errors of its own (S12)."""

from __future__ import annotations

from dataclasses import replace
from math import nan, nextafter

import pytest

from hardware.fakes import POINTING_DOWN, shifted
from hardware.geometry import pose_add, pose_distance
from hardware.guard import EngageError
from hardware.guard_state import GuardState
from hardware.interfaces import ZERO6, ArmState, GuardMode
from hardware.limits import Limits
from hardware.permissions import may_recover, may_resume
from hardware.reference import Motion, Track
from tests.hardware.rig import Rig, ready

LIMITS = Limits()


def engage(rig: Rig, **measured) -> None:
    rig.guard.engage(replace(rig.arm.read(), **measured), rig.clock.now())


# -- resuming ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [-0.5, -0.01, -1e-6, 1e-6, 0.01, 0.5])
@pytest.mark.parametrize("turned", [False, True])
def test_s9_resuming_is_refused_beyond_the_mismatch_and_of_a_pose_that_is_no_number(share, turned):
    rig = ready().engage()
    rig.guard.hold()
    rig.tick(60)
    amount = (LIMITS.max_engage_mismatch_rad if turned else LIMITS.max_engage_mismatch_m) * (1.0 + share)
    delta = (0.0, 0.0, 0.0, 0.0, 0.0, amount) if turned else (0.0, 0.0, -amount, 0.0, 0.0, 0.0)
    arm = replace(rig.arm.read(), T_base_ee=pose_add(POINTING_DOWN, delta))
    with pytest.raises(EngageError, match=r"nan mm"):
        rig.guard.resume(replace(arm, T_base_ee=shifted(POINTING_DOWN, (nan, 0.0, 0.0))), rig.clock.now())
    if share < 0.0:
        rig.guard.resume(arm, rig.clock.now())
        assert rig.guard.mode is GuardMode.ARMED
        return
    told = f"0 mm and {amount:.2f} rad" if turned else f"{1000 * amount:.0f} mm and 0.00 rad"
    with pytest.raises(EngageError, match=rf"is {told} from where it was held, more than 50 mm or 0\.80 rad"):
        rig.guard.resume(arm, rig.clock.now())


def test_s9_a_mismatch_of_exactly_the_limit_is_granted():
    settings, state = Rig().guard.settings, GuardState(mode=GuardMode.HOLD)
    moved = pose_add(POINTING_DOWN, (0.04, 0.0, 0.0, 0.0, 0.0, 0.5))
    arm = ArmState(0.0, moved, ZERO6, (), (), ZERO6, 0.08)
    metres, radians = pose_distance(POINTING_DOWN, moved)
    exact = replace(settings.limits, max_engage_mismatch_m=metres, max_engage_mismatch_rad=radians)
    may_resume(replace(settings, limits=exact), state, POINTING_DOWN, arm, 99.0)
    for tight in (
        {"max_engage_mismatch_m": nextafter(metres, 0.0)},
        {"max_engage_mismatch_rad": nextafter(radians, 0.0)},
    ):
        with pytest.raises(EngageError, match="from where it was held"):
            may_resume(replace(settings, limits=replace(exact, **tight)), state, POINTING_DOWN, arm, 99.0)


@pytest.mark.parametrize("mode", [GuardMode.DISARMED, GuardMode.ARMED, GuardMode.RUNNING, GuardMode.FAULT])
def test_only_hold_is_resumed(mode):
    rig = ready()
    if mode is not GuardMode.DISARMED:
        rig.engage()
    if mode is GuardMode.RUNNING:
        rig.ask(POINTING_DOWN)
    if mode is GuardMode.FAULT:
        rig.guard.hold("broken", mode)
    rig.tick(100)
    with pytest.raises(EngageError, match=f"is {mode.name}, not HOLD; there is nothing to resume"):
        rig.resume()


@pytest.mark.parametrize("group", ["translation", "rotation"])
def test_neither_resuming_nor_recovering_is_granted_while_one_group_still_brakes(group):
    settings = Rig().guard.settings
    moving = settings.planner.follow(
        Track(Motion((0.4, 0.0, 0.2)), (0.4, 0.0, 0.2)), (0.5, 0.0, 0.2), settings.translation.stop
    )
    state = GuardState(mode=GuardMode.HOLD)._replace(**{group: moving})
    arm = ArmState(0.0, POINTING_DOWN, ZERO6, (), (), ZERO6, 0.08)
    with pytest.raises(EngageError, match="still brakes"):
        may_resume(settings, state, POINTING_DOWN, arm, 99.0)
    with pytest.raises(EngageError, match="still brakes"):
        may_recover(settings, state, 99.0)
    may_resume(settings, GuardState(mode=GuardMode.HOLD), POINTING_DOWN, arm, 99.0)


# -- S12 ---------------------------------------------------------------------------------------------------------------


def stopped(mode: GuardMode) -> Rig:
    rig = ready().engage()
    if mode is GuardMode.RUNNING:
        rig.ask(POINTING_DOWN)
    if mode >= GuardMode.HOLD:
        rig.guard.hold("stop", mode)
    rig.tick(60)
    assert rig.guard.mode is mode
    return rig


@pytest.mark.parametrize("mode", [GuardMode.HOLD, GuardMode.FAULT])
def test_s12_recovering_from_a_stop_leaves_the_guard_disarmed_with_nothing_under_way(mode):
    rig = stopped(mode)
    session = rig.guard.session
    rig.ask(shifted(POINTING_DOWN, (0.1, 0.0, 0.0)))
    rig.guard.recover(rig.clock.now())
    assert (rig.guard.mode, rig.guard.reason) == (GuardMode.DISARMED, "the arm is being recovered")
    assert rig.guard.session > session
    sent = rig.arm.commands
    rig.tick(100)
    assert rig.arm.commands == sent
    rig.engage()
    assert rig.tick(100).reference.T_base_ee == POINTING_DOWN


@pytest.mark.parametrize("mode", [GuardMode.DISARMED, GuardMode.ARMED, GuardMode.RUNNING])
def test_s12_no_recovery_in_any_other_mode(mode):
    rig = ready() if mode is GuardMode.DISARMED else stopped(mode)
    before = rig.guard.state
    with pytest.raises(EngageError, match=f"{mode.name}; the arm's errors are cleared in HOLD or FAULT only"):
        rig.guard.recover(rig.clock.now())
    assert rig.guard.state is before


def test_s12_an_arm_stopped_by_its_own_controller_faults_and_engages_only_after_recovery():
    rig = stopped(GuardMode.RUNNING)
    rig.arm.stopped = "reflex"
    executed = rig.tick()
    assert (executed.mode, executed.reason[:4]) == (GuardMode.FAULT, "S12:")
    rig.tick(100)
    rig.guard.reset()
    with pytest.raises(EngageError, match="S12"):
        rig.engage()
    rig.arm.stopped = ""
    assert rig.engage().tick().mode is GuardMode.ARMED


@pytest.mark.parametrize("window_share", [0.5, 0.999999, 1.0, 1.5])
def test_s12_so_many_recoveries_in_the_window_and_no_more(window_share):
    settings, state = Rig().guard.settings, GuardState(mode=GuardMode.HOLD)
    for index in range(LIMITS.max_recoveries):
        times = may_recover(settings, state, float(index))
        assert times == tuple(float(i) for i in range(index + 1))
        state = state._replace(counts=state.counts._replace(recoveries_s=times))
    for now in (3.0, LIMITS.recovery_window_s * window_share):
        if now < LIMITS.recovery_window_s:
            with pytest.raises(EngageError, match=r"S12: 3 recoveries in 10 min, 3 are allowed"):
                may_recover(settings, state, now)
    if window_share >= 1.0:
        now = LIMITS.recovery_window_s * window_share
        assert may_recover(settings, state, now)[-1] == now


def test_s12_recoveries_are_not_forgiven_by_resuming_resetting_or_engaging():
    rig = ready()
    for _ in range(LIMITS.max_recoveries):
        rig.engage()
        rig.guard.hold()
        rig.tick(60)
        rig.resume()
        rig.guard.hold()
        rig.tick(60)
        rig.guard.recover(rig.clock.now())
        rig.guard.reset()
    rig.engage()
    rig.guard.hold()
    rig.tick(60)
    with pytest.raises(EngageError, match="S12: 3 recoveries"):
        rig.guard.recover(rig.clock.now())
    assert rig.guard.mode is GuardMode.HOLD
