"""Who drives: the rules of takeover, release and command order, tick by tick."""

from __future__ import annotations

import pytest

from hardware.fakes import POINTING_DOWN, shifted
from hardware.geometry import pose_delta
from hardware.interfaces import ArmCommand, Pose, Source, TeleopSample
from hardware.mux import MuxState, arbitrate, jog, newest, within_reach
from tests.hardware.rig import Rig

RELEASE_S = 0.2
IDLE, TAKEOVER = TeleopSample(0.0), TeleopSample(0.0, takeover=True)


def command(sequence: int, session: int = 0) -> ArmCommand:
    return ArmCommand(POINTING_DOWN, sequence=sequence, session=session)


def test_the_person_takes_over_at_once_and_drives_until_the_release_time_has_passed():
    state = arbitrate(MuxState(), TAKEOVER, 1.0, RELEASE_S)
    assert state.driver is Source.HUMAN
    state = arbitrate(state, IDLE, 1.0 + 0.9 * RELEASE_S, RELEASE_S)
    assert state.driver is Source.HUMAN
    assert arbitrate(state, IDLE, 1.0 + RELEASE_S, RELEASE_S).driver is Source.POLICY


def test_a_pause_of_the_hand_shorter_than_the_release_time_is_no_release():
    state = MuxState()
    for tick in range(100):
        state = arbitrate(state, TAKEOVER if tick % 15 == 0 else IDLE, tick * 0.01, RELEASE_S)
        assert state.driver is Source.HUMAN


def test_an_idle_device_changes_nothing():
    state = MuxState()
    assert arbitrate(state, IDLE, 5.0, RELEASE_S) is state


@pytest.mark.parametrize(
    ("arrived", "expected"),
    [([3], 3), ([3, 4], 4), ([4, 3], 4), ([2], None), ([1, 2], None), ([], None), ([3, 3], 3)],
)
def test_only_the_newest_command_counts(arrived, expected):
    state, best = newest(MuxState(last_sequence=2), [command(n) for n in arrived], 1.0)
    assert (best and best.sequence) == expected
    assert state.last_sequence == max(2, expected or 0)


def test_commands_of_another_session_are_dropped():
    arrived = [command(9, session=1), command(1, session=2), command(9, session=3)]
    state, best = newest(MuxState(session=2), arrived, 1.0)
    assert (best and best.session, state.last_sequence) == (2, 1)


def test_a_full_deflection_moves_the_target_at_the_full_speed():
    sample = TeleopSample(0.0, twist=(1.0, -0.5, 0.0, 0.0, 0.0, 1.0), takeover=True)
    target = Pose((0.4, 0.0, 0.2), (0.0, 0.0, 0.0, 1.0))
    for _ in range(100):
        target = jog(target, sample, 0.08, 0.6, 0.01)
    assert target.position_m == pytest.approx((0.48, -0.04, 0.2))
    assert target.quat_xyzw == pytest.approx((0.0, 0.0, 0.29552, 0.95534), abs=1e-5)


def test_every_axis_of_the_stick_is_an_axis_of_the_base():
    start = Pose((0.4, 0.0, 0.2), (0.0, 0.0, 0.0, 1.0))
    twist = (0.1, -0.2, 0.3, -0.4, 0.5, 0.6)
    moved = pose_delta(start, jog(start, TeleopSample(0.0, twist=twist, takeover=True), 0.08, 0.6, 0.01))
    assert moved == pytest.approx([*(8e-4 * x for x in twist[:3]), *(6e-3 * x for x in twist[3:])])


def test_a_deflection_beyond_one_is_one_and_without_takeover_nothing():
    wild = TeleopSample(0.0, twist=(9.0, -9.0, 0.0, 0.0, 0.0, 0.0), takeover=True)
    assert jog(POINTING_DOWN, wild, 0.1, 0.6, 0.1).position_m == pytest.approx((0.46, -0.01, 0.25))
    assert jog(POINTING_DOWN, TeleopSample(0.0, twist=wild.twist), 0.1, 0.6, 0.1) is POINTING_DOWN


def test_within_reach_shortens_along_the_line_to_the_reference():
    assert within_reach((0.3, 0.0, 0.0), (0.0, 0.0, 0.0), 0.1) == pytest.approx((0.1, 0.0, 0.0))
    near = (0.05, 0.05, 0.0)
    assert within_reach(near, (0.0, 0.0, 0.0), 0.1) is near


# -- through the guard -----------------------------------------------------------------------------------------------


def test_policy_commands_are_dropped_while_the_person_drives_and_a_new_one_drives_after_the_release():
    rig = Rig().engage()
    rig.teleop.push(0.3)
    rig.tick()
    rig.ask(shifted(POINTING_DOWN, (0.0, 0.05, 0.0)))
    assert rig.tick(20).source is Source.HUMAN
    rig.teleop.release()
    rig.ask(shifted(POINTING_DOWN, (0.0, 0.05, 0.0)))
    left_at = rig.tick(15).target
    assert rig.trace[-1].source is Source.HUMAN
    after = rig.tick(15)
    assert after.source is Source.POLICY
    assert after.target == left_at
    fresh = shifted(POINTING_DOWN, (0.0, -0.02, 0.0))
    rig.ask(fresh)
    assert rig.tick().target is fresh


def test_takeover_reaches_the_arm_in_the_same_tick_and_from_where_the_reference_comes_to_rest():
    rig = Rig().engage()
    rig.ask(shifted(POINTING_DOWN, (0.2, 0.0, 0.0)))
    moving = rig.tick(40)
    assert moving.reference.twist[0] > 0.05
    rig.teleop.push(0.0, 0.0, 1e-9)
    taken = rig.tick()
    assert taken.source is Source.HUMAN
    rest = rig.tick(60).reference.T_base_ee.position_m
    assert rest == pytest.approx(taken.target.position_m, abs=1e-4)


def test_a_stick_held_against_the_wall_winds_nothing_up():
    rig = Rig(pose=POINTING_DOWN._replace(position_m=(0.74, 0.0, 0.25))).engage()
    rig.teleop.push(1.0)
    rig.tick(90)
    assert rig.trace[-1].target.position_m[0] == pytest.approx(rig.cell.workspace.max_m[0], abs=2e-6)
    assert "S4" in {refusal.limit for refusal in rig.trace[-1].refusals}
    rig.teleop.push(-1.0)
    assert rig.tick().target.position_m[0] < rig.cell.workspace.max_m[0]


def test_a_stick_held_against_a_blocked_arm_winds_nothing_up():
    rig = Rig().engage()
    rig.arm.blocked = True
    rig.teleop.push(0.0, 0.0, -1.0, 0.0, 0.0, 1.0)
    rig.tick(300)
    assert POINTING_DOWN.position_m[2] - rig.trace[-1].target.position_m[2] <= 2.0 * rig.limits.max_lead_m
