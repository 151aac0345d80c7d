"""When the operator may engage the arm: S4, S10, S11, S26, S32."""

from __future__ import annotations

from dataclasses import replace
from math import inf, nan

import pytest

from hardware.cell import load_cell
from hardware.fakes import POINTING_DOWN
from hardware.geometry import pose_add
from hardware.guard import EngageError
from hardware.guard_inputs import DiskHealth, GuardInputs
from hardware.guard_state import GuardSettings, GuardState
from hardware.guard_watch import watch_disarmed
from hardware.interfaces import ZERO6, ArmState, GuardMode
from hardware.limits import Limits
from hardware.permissions import MISFIT_M, MISFIT_RAD, may_engage
from tests.hardware.rig import Rig, ready

LIMITS = Limits()
PERIOD_S = 0.01


def engage(rig: Rig, **measured) -> None:
    rig.guard.engage(replace(rig.arm.read(), **measured), rig.clock.now())


# -- S10, S11 ----------------------------------------------------------------------------------------------------------


def test_s10_the_very_first_engagement_waits_for_a_second_of_streaming_to_the_tick():
    rig = Rig()
    for tick in range(round(LIMITS.stream_before_arm_s / PERIOD_S)):
        with pytest.raises(EngageError, match=rf"S10: .* streamed for {tick * PERIOD_S:.2f} s of 1 s \(not engaged\)"):
            engage(rig)
        rig.tick()
    engage(rig)
    assert rig.guard.mode is GuardMode.ARMED
    assert rig.guard.streaming_s == pytest.approx(LIMITS.stream_before_arm_s)


def test_s10_the_reason_names_the_first_stream_that_is_missing_and_goes_once_it_is_back():
    rig = ready()
    rig.see(1, stamp_s=-99.0)
    assert rig.guard.reason == "S10: the state of the arm is old"
    rig.see(1, ee_twist=(nan,) * 6)
    assert rig.guard.reason.startswith("S1: ")
    assert rig.guard.streaming_s == 0.0
    rig.tick()
    assert rig.guard.reason == "not engaged"
    assert rig.guard.streaming_s == pytest.approx(PERIOD_S)


def test_s10_a_disarmed_guard_keeps_the_reason_of_its_last_stop_while_all_streams():
    rig = ready().engage()
    rig.guard.disarm("shift ends")
    rig.tick(50)
    assert (rig.guard.mode, rig.guard.reason) == (GuardMode.DISARMED, "shift ends")


@pytest.mark.parametrize("how", ["hold and reset", "fault and reset", "disarm", "recover"])
def test_s11_engaging_again_takes_half_a_second(how):
    rig = ready().engage()
    rig.tick(10)
    if how == "disarm":
        rig.guard.disarm()
    else:
        rig.guard.hold("stop", GuardMode.FAULT if how.startswith("fault") else GuardMode.HOLD)
        (rig.guard.recover if how == "recover" else lambda now: rig.guard.reset())(rig.clock.now())
    begin_s = rig.clock.now()
    for tick in range(round(LIMITS.min_stop_s / PERIOD_S)):
        assert rig.guard.may_restart_s == pytest.approx(begin_s + LIMITS.min_stop_s)
        rig.tick()
        if tick + 1 < round(LIMITS.min_stop_s / PERIOD_S):
            ago_s = rig.clock.now() - begin_s
            with pytest.raises(
                EngageError, match=rf"S11: the last cause to stop was {ago_s:.2f} s ago .*, 0\.5 s must"
            ):
                engage(rig)
    engage(rig)


def test_s11_a_clock_that_ran_back_does_not_tell_of_a_stop_in_the_future():
    rig = ready().engage()
    rig.guard.hold()
    with pytest.raises(EngageError, match=r"S11: the last cause to stop was 0\.00 s ago"):
        rig.guard.resume(rig.arm.read(), rig.clock.now() - 5.0)


def test_a_guard_never_stopped_may_restart_at_any_time():
    assert Rig().guard.may_restart_s == -inf


# -- engaging ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [GuardMode.ARMED, GuardMode.RUNNING, GuardMode.HOLD, GuardMode.FAULT])
def test_engaging_is_only_for_a_disarmed_guard(mode):
    rig = ready().engage()
    if mode is GuardMode.RUNNING:
        rig.ask(POINTING_DOWN)
    if mode >= GuardMode.HOLD:
        rig.guard.hold("stop", mode)
    rig.tick(100)
    with pytest.raises(EngageError, match=f"{mode.name}, not DISARMED"):
        engage(rig)


@pytest.mark.parametrize(
    "pose",
    [
        POINTING_DOWN._replace(position_m=(0.4, nan, 0.2)),
        POINTING_DOWN._replace(position_m=(0.4, 0.0, -inf)),
        POINTING_DOWN._replace(quat_xyzw=(nan, 0.0, 0.0, 1.0)),
    ],
)
def test_s1_an_arm_that_reports_nonsense_is_not_engaged(pose):
    with pytest.raises(EngageError, match="not finite"):
        engage(ready(), T_base_ee=pose)


def test_s12_an_arm_stopped_by_its_own_controller_is_not_engaged():
    rig = ready()
    with pytest.raises(EngageError, match=r"S12: .*\(reflex\)"):
        engage(rig, stopped="reflex")
    engage(rig)


@pytest.mark.parametrize("share", [-0.5, -0.01, -1e-6, 1e-6, 0.01, 0.5])
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_s4_an_arm_outside_is_not_engaged(share, axis, side):
    rig = ready()
    box = rig.cell.workspace
    outside = LIMITS.max_workspace_excess_m * (1.0 + share)
    position = list(POINTING_DOWN.position_m)
    position[axis] = box.max_m[axis] + outside if side > 0.0 else box.min_m[axis] - outside
    pose = POINTING_DOWN._replace(position_m=tuple(position))
    if share < 0.0:
        engage(rig, T_base_ee=pose)
        assert rig.guard.mode is GuardMode.ARMED
    else:
        millimetres = ", ".join(f"{1000 * x:.0f}" for x in position)
        with pytest.raises(EngageError, match=rf"{1000 * outside:.1f} mm outside .* \({millimetres}\) mm; move"):
            engage(rig, T_base_ee=pose)


# -- S26 ---------------------------------------------------------------------------------------------------------------

GB, MIN_S = LIMITS.min_disk_bytes, LIMITS.min_disk_time_s


@pytest.mark.parametrize(
    ("disk", "granted"),
    [
        (None, True),
        (DiskHealth(GB), True),
        (DiskHealth(GB, MIN_S), True),
        (DiskHealth(2.0 * GB, 2.0 * MIN_S), True),
        (DiskHealth(GB * (1 - 1e-9), MIN_S), False),
        (DiskHealth(GB, MIN_S * (1 - 1e-9)), False),
        (DiskHealth(0.0), False),
        (DiskHealth(inf, 0.0), False),
        (DiskHealth(nan), False),
        (DiskHealth(inf, nan), False),
        (DiskHealth(inf, failed=True), False),
    ],
)
def test_s26_an_episode_needs_room_on_the_disk(disk, granted):
    rig = ready()
    rig.disk = disk
    rig.tick()
    if granted:
        engage(rig)
        assert rig.guard.mode is GuardMode.ARMED
    else:
        with pytest.raises(EngageError, match=r"S26: .*needs 5 GB and 10 min"):
            engage(rig)


def test_s26_what_is_wrong_with_the_disk_is_told():
    rig = ready()
    for disk, says in (
        (DiskHealth(4e9, 3600.0), r"has room for 60 min, 4\.0 GB free"),
        (DiskHealth(4e12, failed=True), r"failed, 4000\.0 GB free"),
    ):
        rig.disk = disk
        rig.tick()
        with pytest.raises(EngageError, match=says):
            engage(rig)


def test_s26_a_disk_that_fills_while_engaged_holds_only_once_a_write_fails():
    rig = ready()
    rig.engage()
    rig.disk = DiskHealth(1.0, 1.0)
    assert rig.tick(10).mode is GuardMode.ARMED
    rig.disk = DiskHealth(0.0, 0.0, failed=True)
    assert rig.tick().mode is GuardMode.HOLD
    assert rig.guard.reason.startswith("S26: the recording failed")


# -- S32: the arm is the model's ---------------------------------------------------------------------------------------


def fr3() -> tuple[GuardSettings, GuardState, ArmState]:
    """The twin's arm at home, where its joints say, disarmed and streaming."""
    cell = load_cell("twin")
    settings = GuardSettings.of(cell, "collaborative", (0.08, 0.6), 10.0)
    home = cell.home_joint_positions_rad
    body = settings.whole_arm.body
    pose = body.view(home, POINTING_DOWN).ee_by_joints
    arm = ArmState(0.0, pose, ZERO6, home, (0.0,) * 7, ZERO6, 0.08)
    return settings, GuardState(streamed_ticks=100), arm


def test_s32_an_arm_that_is_its_model_engages():
    settings, state, arm = fr3()
    may_engage(settings, state, arm, None, 0.0)


@pytest.mark.parametrize("joints", [(), (0.0,) * 6, (0.0,) * 8, (0.0, 0.0, 0.0, nan, 0.0, 0.0, 0.0)])
def test_s32_other_joints_than_the_models_are_refused(joints):
    settings, state, arm = fr3()
    with pytest.raises(EngageError, match=r"S32: the arm reports joints .*'fr3' has 7"):
        may_engage(settings, state, replace(arm, joint_positions_rad=joints), None, 0.0)


@pytest.mark.parametrize("share", [-0.5, -0.01, -1e-4, 1e-4, 0.01, 0.5])
@pytest.mark.parametrize("turned", [False, True])
def test_s32_another_tool_than_the_models_is_refused(share, turned):
    settings, state, arm = fr3()
    amount = (MISFIT_RAD if turned else MISFIT_M) * (1.0 + share)
    delta = (0.0, 0.0, 0.0, 0.0, amount, 0.0) if turned else (0.0, amount, 0.0, 0.0, 0.0, 0.0)
    moved = replace(arm, T_base_ee=pose_add(arm.T_base_ee, delta))
    if share < 0.0:
        may_engage(settings, state, moved, None, 0.0)
        return
    told = f"0 mm and {amount:.2f} rad" if turned else f"{1000 * amount:.0f} mm and 0.00 rad"
    with pytest.raises(EngageError, match=rf"S32: .*'fr3' is {told} from where the arm reports it"):
        may_engage(settings, state, moved, None, 0.0)


def test_watching_a_disarmed_guard_moves_nothing_else():
    rig = ready()
    state = rig.guard.state
    seen = watch_disarmed(
        rig.guard.settings, state, GuardInputs(rig.arm.read(), rig.teleop.read(rig.clock.now())), rig.clock.now()
    )
    changed = {name for name in state._fields if getattr(state, name) != getattr(seen, name)}
    assert changed == {"streamed_ticks"}
