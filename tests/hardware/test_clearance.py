"""S32 and S33 on a hand without an arm: it stops clear of what is there, slides along it, and always gets away."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hardware.body import Capsule, Plane
from hardware.cell import Cell, load_cell
from hardware.clearance import keep_clear
from hardware.fakes import POINTING_DOWN, shifted
from hardware.geometry import pose_add, pose_delta, quat_rotate
from hardware.guard_inputs import GuardInputs
from hardware.guard_state import GuardState
from hardware.guard_step import step
from hardware.interfaces import ExecutedCommand, Gripper, GuardMode, Pose, Source
from hardware.limits import Limits
from hardware.posture import ArmBody, Presence
from hardware.surroundings import TaskArea
from hardware.whole_arm import PREDICTION_SLACK_M, PREDICTION_SLACK_RAD, WholeArm
from tests.hardware.rig import Rig, fake_cell

FINGER_M = 0.013
"""How far the fingers of the fake hand reach below its end effector."""
LOWEST_M = Limits().min_clearance_m + FINGER_M
LOW = POINTING_DOWN._replace(position_m=(0.5, 0.0, 0.1))


def cell() -> Cell:
    found = fake_cell()
    return replace(found, workspace=replace(found.workspace, min_m=(0.25, -0.35, -0.1)))


def drive(rig: Rig, goal: Pose, ticks: int = 300) -> ExecutedCommand:
    for _ in range(ticks // 10):
        rig.ask(goal, Gripper.HOLD)
        rig.tick(10)
        if rig.guard.mode is not GuardMode.RUNNING:
            break
    return rig.trace[-1]


def refused(rig: Rig, limit: str) -> list:
    return [refusal for executed in rig.trace for refusal in executed.refusals if refusal.limit == limit]


def tilt(executed: ExecutedCommand) -> float:
    return float(np.arccos(-quat_rotate(executed.reference.T_base_ee.quat_xyzw, (0.0, 0.0, 1.0))[2]))


def test_a_hand_sent_through_the_table_stops_clear_of_it_and_the_refusal_says_how_far_it_was_to_go():
    rig = Rig(cell(), pose=LOW).engage()
    drive(rig, shifted(LOW, (0.0, 0.0, -0.15)), 200)
    heights = rig.positions[:, 2]
    assert LOWEST_M <= heights.min() <= LOWEST_M + PREDICTION_SLACK_M + 1e-3
    first = refused(rig, "S32")[0]
    assert first.amount > 0.0 and first.source is Source.POLICY
    acceleration = np.diff(rig.twists[:, 2]) / rig.cell.guard_period_s
    assert np.abs(acceleration).max() <= rig.limits.max_stop_acceleration_m_s2 + 1e-6


def test_one_that_is_sent_along_the_table_and_into_it_goes_along_it():
    rig = Rig(cell(), pose=LOW).engage()
    executed = drive(rig, shifted(LOW, (0.06, 0.0, -0.15)), 300)
    assert executed.reference.T_base_ee.position_m[0] > LOW.position_m[0] + 0.03
    assert rig.positions[:, 2].min() >= LOWEST_M


@pytest.mark.parametrize("lean", [0.0, 1.2])
def test_one_that_is_at_the_table_already_goes_along_it(lean):
    """Even while it may not turn as it is asked to (S33); until it is held for pushing (S29)."""
    low = LOW._replace(position_m=(0.4, 0.0, LOWEST_M + 0.012))
    rig = Rig(cell(), pose=low).engage()
    drive(rig, pose_add(low, (0.0, 0.0, 0.0, 0.0, lean, 0.0)), 150)
    start = rig.trace[-1].reference.T_base_ee
    executed = drive(rig, pose_add(shifted(start, (0.0, 0.12, -0.05)), (0.0, 0.0, 0.0, 0.0, 0.5 * lean, 0.0)), 250)
    assert refused(rig, "S32")
    assert executed.reference.T_base_ee.position_m[1] > 0.035
    assert tilt(executed) <= rig.limits.max_tilt_rad


def test_sent_once_into_a_corner_it_comes_to_rest_and_wants_nothing_more():
    wall = Plane((-1.0, 0.0, 0.0), -0.62)
    corner = LOW._replace(position_m=(0.55, 0.0, LOWEST_M + 0.01))
    found = cell()
    rig = Rig(replace(found, planes={**found.planes, "wall": wall}), pose=corner).engage()
    rig.ask(shifted(corner, (0.1, 0.0, -0.1)))
    rig.tick(300)
    assert refused(rig, "S32")
    assert rig.guard.mode is GuardMode.RUNNING
    assert rig.guard.at_rest
    assert rig.trace[-1].target.position_m == pytest.approx(rig.trace[-1].reference.T_base_ee.position_m)


def turned(executed: ExecutedCommand, axis: int) -> float:
    """How far the hand has turned about a base axis since it pointed down."""
    return pose_delta(POINTING_DOWN, executed.reference.T_base_ee)[3 + axis]


def test_one_that_is_to_turn_as_well_turns_while_it_goes_along():
    rig = Rig(cell(), pose=LOW).engage()
    executed = drive(rig, pose_add(shifted(LOW, (0.06, 0.0, -0.15)), (0.0, 0.0, 0.0, 0.0, 0.0, 0.5)), 150)
    assert refused(rig, "S32") and rig.positions[:, 2].min() >= LOWEST_M
    assert executed.reference.T_base_ee.position_m[0] > LOW.position_m[0] + 0.05
    assert turned(executed, 2) == pytest.approx(0.5, abs=0.02)


def test_where_only_the_turn_may_not_go_on_the_hand_still_comes_to_its_place():
    high = POINTING_DOWN._replace(position_m=(0.5, 0.0, 0.3))
    rig = Rig(cell(), pose=high).engage()
    goal = shifted(high, (0.0, 0.15, 0.0))
    drive(rig, pose_add(high, (0.0, 0.0, 0.0, 0.6, 0.0, 0.0)), 150)
    executed = drive(rig, pose_add(goal, (0.0, 0.0, 0.0, 1.2, 0.0, 0.0)), 200)
    assert refused(rig, "S33") and tilt(executed) <= rig.limits.max_tilt_rad
    assert executed.reference.T_base_ee.position_m[1] == pytest.approx(0.15, abs=0.01)


def test_where_it_may_go_nowhere_it_still_turns():
    """Down and forward into a corner: along either side it would come too near the other."""
    found = cell()
    wall = Plane((-1.0, 0.0, 0.0), -0.62)
    corner = LOW._replace(position_m=(0.55, 0.0, LOWEST_M + 0.01))
    aslant = pose_add(corner, (0.0, 0.0, 0.0, 0.0, 0.0, 0.12))
    rig = Rig(replace(found, planes={**found.planes, "wall": wall}), pose=aslant).engage()
    drive(rig, shifted(aslant, (0.1, 0.0, -0.1)), 30)
    assert refused(rig, "S32") and turned(rig.trace[-1], 2) == pytest.approx(0.12, abs=1e-3)
    executed = drive(rig, shifted(corner, (0.1, 0.0, -0.1)), 60)
    assert rig.guard.mode is GuardMode.RUNNING
    assert turned(executed, 2) == pytest.approx(0.0, abs=0.02)


def test_one_that_may_neither_go_down_nor_lean_further_still_goes_along():
    leaning = pose_add(LOW._replace(position_m=(0.5, 0.0, LOWEST_M + 0.002)), (0.0, 0.0, 0.0, 0.0, 0.5, 0.0))
    rig = Rig(cell(), pose=leaning).engage()
    rig.ask(pose_add(shifted(leaning, (-0.08, 0.0, -0.03)), (0.0, 0.0, 0.0, 0.0, 0.6, 0.0)))
    rig.tick(200)
    assert refused(rig, "S32")
    assert rig.trace[-1].reference.T_base_ee.position_m == pytest.approx(
        shifted(leaning, (-0.08, 0.0, 0.0)).position_m, abs=1e-6
    )
    assert tilt(rig.trace[-1]) == pytest.approx(0.5, abs=1e-6)


def test_a_hand_that_would_turn_into_the_wall_while_it_leaves_it_comes_to_its_place():
    near = LOW._replace(position_m=(0.6, 0.0, 0.1))
    rig = Rig(replace(cell(), planes={"wall": Plane((-1.0, 0.0, 0.0), -0.62)}), pose=near).engage()
    goal = shifted(near, (-0.03, 0.0, 0.0))
    rig.ask(pose_add(goal, (0.0, 0.0, 0.0, 0.0, 0.6, 0.0)))
    rig.tick(200)
    assert refused(rig, "S32") and turned(rig.trace[-1], 1) < 0.2
    assert rig.trace[-1].reference.T_base_ee.position_m == pytest.approx(goal.position_m, abs=1e-6)


def test_who_goes_on_pushing_at_the_table_is_held():
    rig = Rig(cell(), pose=LOW).engage()
    for _ in range(60):
        rig.ask(shifted(rig.arm.pose, (0.0, 0.0, -0.1)))
        rig.tick(10)
    assert rig.guard.mode is GuardMode.HOLD
    assert rig.guard.reason.startswith("S29: policy kept pushing")


@pytest.mark.parametrize("way", [(0.0, 0.0, 0.08), (0.05, 0.0, 0.05)])
def test_a_hand_that_is_too_near_gets_away(way):
    below = LOW._replace(position_m=(0.5, 0.0, LOWEST_M - 0.005))
    rig = Rig(cell(), pose=below).engage()
    executed = drive(rig, shifted(below, way), 200)
    assert executed.reference.T_base_ee.position_m == pytest.approx(shifted(below, way).position_m, abs=1e-6)
    assert refused(rig, "S32") == []


def test_a_hand_that_is_too_near_does_not_come_nearer():
    below = LOW._replace(position_m=(0.5, 0.0, LOWEST_M - 0.005))
    rig = Rig(cell(), pose=below).engage()
    drive(rig, shifted(below, (0.0, 0.0, -0.02)), 100)
    assert rig.positions[:, 2].min() >= below.position_m[2] - 1e-9
    assert refused(rig, "S32")


def test_s33_the_tool_tilts_as_far_as_the_cone_and_no_further():
    high = POINTING_DOWN._replace(position_m=(0.5, 0.0, 0.3))
    rig = Rig(cell(), pose=high).engage()
    drive(rig, pose_add(high, (0.0, 0.0, 0.0, 1.2, 0.0, 0.0)), 400)
    limit = rig.limits.max_tilt_rad
    tilts = [tilt(executed) for executed in rig.trace]
    assert limit - 2.0 * PREDICTION_SLACK_RAD <= max(tilts) <= limit
    assert refused(rig, "S33")


def arm(area: TaskArea = TaskArea()) -> WholeArm:
    twin = load_cell("twin")
    whole = twin.whole_arm("collaborative")
    body = ArmBody(whole.body.model, twin.mount.pose, area.held, whole.limits)
    return WholeArm(body, {**twin.planes, **twin.fixtures}, area, None, whole.limits)


def test_only_what_moves_with_the_hand_has_a_way_out_that_is_simple():
    whole, joints = arm(), (0.0, 0.2, 0.0, -2.2, 0.0, 2.4, 0.7854)
    view = whole.body.view(joints, Pose((0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0)))
    posture = whole.body.posture(view._replace(ee=view.ee_by_joints), view.ee_by_joints)
    ways = {}
    for index, label in enumerate(whole.gap_labels):
        if label.about.endswith("table"):
            ways[label.about.split(" ")[0]] = whole.away(index, posture)
    assert ways["forearm"] is None and ways["hand"] == ways["fingers"] == (0.0, 0.0, 1.0)


def test_fingers_that_touch_inside_the_work_zone_are_sent_back_into_it():
    table = fake_cell()
    zone = table.tasks["peg_insertion"].work_zone
    assert zone is not None
    whole = replace(table, tasks={"t": TaskArea(work_zone=zone)}).whole_arm("collaborative", "t")
    near_edge = POINTING_DOWN._replace(position_m=(zone.max_m[0] - 0.004, 0.0, 0.02))
    posture = whole.body.posture(whole.body.view((), near_edge), near_edge)
    index = next(i for i, label in enumerate(whole.gap_labels) if label.about == "fingers and table")
    assert whole.gaps(posture)[index] == pytest.approx(0.004)
    assert whole.away(index, posture) == (-1.0, 0.0, 0.0)


def test_a_hand_that_would_break_two_limits_at_once_breaks_neither():
    """Down and over: to stop only the one or only the other would not do."""
    rig = Rig(cell(), pose=LOW).engage()
    over = (0.0, 0.0, 0.0, 0.65, 0.0, 0.0)
    drive(rig, pose_add(LOW, over), 80)
    drive(rig, pose_add(shifted(LOW, (0.0, 0.0, -0.05)), over), 200)
    assert refused(rig, "S32") or refused(rig, "S33")
    assert max(tilt(executed) for executed in rig.trace) <= rig.limits.max_tilt_rad
    assert rig.positions[:, 2].min() >= LOWEST_M - FINGER_M


def on_the_way(rig: Rig, ticks: int) -> tuple[GuardState, GuardInputs, float]:
    """What the next tick would begin with."""
    rig.tick(ticks)
    inputs = GuardInputs(rig.arm.read(), rig.teleop.read(rig.clock.now()))
    return rig.guard.state, inputs, rig.clock.now() + rig.cell.guard_period_s


def beneath(state: GuardState, height_m: float) -> Presence:
    """Another arm below the hand, that reaches up to ``height_m``."""
    x, y, _ = state.translation.motion.position
    return Presence(arm=(Capsule((x, y, height_m - 0.1), (x, y, height_m - 0.1), 0.1),), points=((x, y, height_m),))


@pytest.mark.parametrize("mode", [GuardMode.HOLD, GuardMode.FAULT])
def test_a_stop_is_not_looked_at_again(mode):
    rig = Rig(cell(), pose=LOW).engage()
    rig.ask(shifted(LOW, (0.0, 0.0, -0.05)))
    state, inputs, _ = on_the_way(rig, 10)
    stopping, refusals = state._replace(mode=mode, outlook=None), []
    assert not stopping.translation.at_rest
    after, _ = keep_clear(rig.guard.settings, state, stopping, inputs, refusals, lambda state: state)
    assert after is stopping
    assert refusals == []


def test_sent_once_through_the_table_it_comes_to_rest_and_waits():
    for goal in (shifted(LOW, (0.0, 0.0, -0.15)), pose_add(LOW, (0.0, 0.0, -0.15, 0.0, 0.0, 0.4))):
        rig = Rig(cell(), pose=LOW).engage()
        rig.ask(goal)
        rig.tick(400)
        assert refused(rig, "S32")
        assert rig.guard.at_rest
        assert rig.trace[-1].target.position_m == pytest.approx(rig.trace[-1].reference.T_base_ee.position_m)


def test_s30_what_was_seen_without_a_neighbour_is_not_trusted_once_there_is_one():
    rig = Rig(cell(), pose=LOW).engage()
    rig.ask(shifted(LOW, (0.0, 0.0, -0.04)))
    state, inputs, now = on_the_way(rig, 12)
    assert state.outlook is not None
    _, alone = step(rig.guard.settings, state, inputs, now)
    assert alone.refusals == ()
    _, beside = step(rig.guard.settings, state, inputs._replace(neighbours=(beneath(state, 0.07),)), now)
    assert [refusal.limit for refusal in beside.refusals] == ["S30"]


def test_of_two_limits_that_would_break_the_worse_one_is_told():
    rig = Rig(cell(), pose=LOW).engage()
    rig.ask(shifted(LOW, (0.0, 0.0, -0.15)))
    while not refused(rig, "S32"):
        state, inputs, now = on_the_way(rig, 1)
        if not refused(rig, "S32"):
            before = state, inputs, now
    state, inputs, now = before
    _, alone = step(rig.guard.settings, state, inputs, now)
    _, beside = step(rig.guard.settings, state, inputs._replace(neighbours=(beneath(state, 0.05),)), now)
    (table,), (other,) = alone.refusals, beside.refusals
    assert (table.limit, other.limit) == ("S32", "S30")
    assert other.amount > table.amount > 0.0


def test_where_it_brakes_is_where_it_is_then_said_to_be_sent():
    """Whatever a limit left of a motion: the target is where the reference is on its way to, at every tick."""
    found, wall = cell(), Plane((-1.0, 0.0, 0.0), -0.62)
    corner = LOW._replace(position_m=(0.55, 0.0, LOWEST_M + 0.01))
    rig = Rig(replace(found, planes={**found.planes, "wall": wall}), pose=corner).engage()
    rig.ask(pose_add(shifted(corner, (0.1, 0.0, -0.1)), (0.0, 0.0, 0.0, 0.0, 0.0, 0.3)))
    for _ in range(60):
        rig.tick(1)
        state = rig.guard.state
        assert state.target.position == pytest.approx(state.translation.target, abs=1e-9)
    assert refused(rig, "S32")
