"""Two arms at one table, each behind a guard of its own; the judge is MuJoCo's distances in every physics step (S30).

The twin lets arms pass through each other, so nothing but the guards keeps them apart.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import mujoco
import numpy as np
import pytest

from hardware.cell import Cell, load_cells
from hardware.fakes import shifted
from hardware.geometry import pose_add, pose_inverse, pose_multiply
from hardware.guard import EngageError
from hardware.guard_inputs import DiskHealth
from hardware.interfaces import ArmCommand, GuardMode, NoTeleop, Pose
from hardware.local_robot import LocalRobot
from hardware.neighbours import join
from sim.drivers import SimArm, SimClock
from sim.world import World

STORIES = 2
LEFT, RIGHT = "left", "right"
HAND = ("link7", "hand", "left_finger", "right_finger")
"""Bodies that may meet in the handover zone; the guard counts the flange among them."""
FAR_M = 0.12
"""Distances are measured up to here."""
TRACKING_M = 0.001
"""An arm may be this far from its reference: as S4 allows at the workspace."""
HZ = 10.0
MEETING = Pose((0.56, 0.0, 0.30), (1.0, 0.0, 0.0, 0.0))
"""The middle of the handover zone, hand down."""


class Row(NamedTuple):
    """What one physics step looked like."""

    arms_m: float
    """Least distance of two parts of which one at most is a hand."""
    hands_m: float
    in_zone: bool
    """Both end effectors."""
    fastest_m_s: float


class Judge:
    """Distances of all parts of both arms, drawn or touching, by MuJoCo."""

    def __init__(self, world: World, cell: Cell):
        self.model, self.data = world.model, world.data
        self.zone = cell.handover_zone
        groups = [[i for i in range(self.model.ngeom) if self._body(i).startswith(f"{arm}/")] for arm in (LEFT, RIGHT)]
        self.left, self.right = (np.array(group) for group in groups)
        hands = [np.array([self._body(i).split("/")[1] in HAND for i in group]) for group in groups]
        self.both_hands = hands[0][:, None] & hands[1]
        self.reach = self.model.geom_rbound[self.left][:, None] + self.model.geom_rbound[self.right]
        self.sites = [world.data.site(f"{arm}/ee").xpos for arm in (LEFT, RIGHT)]
        self.speeds = [world.data.sensor(f"{arm}/ee_velocity").data for arm in (LEFT, RIGHT)]
        self.rows: list[Row] = []

    def __call__(self, now: float) -> None:
        centres = self.data.geom_xpos[self.left][:, None] - self.data.geom_xpos[self.right]
        bounds = np.linalg.norm(centres, axis=2) - self.reach
        assert self.zone is not None
        in_zone = all(self.zone.depth(tuple(site)) >= -TRACKING_M for site in self.sites)
        fastest = max(float(np.linalg.norm(speed)) for speed in self.speeds)
        arms, hands = (self._least(bounds, pairs) for pairs in (~self.both_hands, self.both_hands))
        self.rows.append(Row(arms, hands, in_zone, fastest))

    def _least(self, bounds: np.ndarray, among: np.ndarray) -> float:
        """Of the pairs ``among``, the most promising first, as few as it takes."""
        least, pairs = FAR_M, np.argwhere(among & (bounds < FAR_M))
        for i, j in sorted(pairs.tolist(), key=lambda pair: bounds[pair[0], pair[1]]):
            if bounds[i, j] >= least:
                break
            least = min(least, mujoco.mj_geomDistance(self.model, self.data, self.left[i], self.right[j], least, None))
        return least

    def _body(self, geom: int) -> str:
        return str(self.model.body(int(self.model.geom_bodyid[geom])).name)


class TwoArms:
    """The cell ``two_arms`` in the twin."""

    def __init__(self, joined: bool = True) -> None:
        self.cells = load_cells("two_arms")
        if not joined:  # Guards that know of one another refuse to engage alone.
            self.cells = {name: replace(cell, other_arms=()) for name, cell in self.cells.items()}
        self.world = World("two_arms.xml", arms={name: cell.mount.pose for name, cell in self.cells.items()})
        self.clock = SimClock(self.world, command_delay_s=0.0)
        self.judge = Judge(self.world, self.cells[LEFT])
        arms = {name: SimArm(self.world, prefix=f"{name}/") for name in self.cells}
        for name, arm in arms.items():
            arm.place(self.cells[name].home_joint_positions_rad)
        self.world.refresh()
        for arm in arms.values():
            arm.connect()
        self.robots = {
            name: LocalRobot(arm, {}, NoTeleop(), self.cells[name], self.clock, control_hz=HZ)
            for name, arm in arms.items()
        }
        self.guards = {name: robot.guard for name, robot in self.robots.items()}
        if joined:
            join(*self.guards.values())
        self.clock.every(self.world.timestep_s, self.judge)
        self.wait(1.1)
        for name in self.robots:
            self.guards[name].engage(arms[name].read(), self.clock.now())

    def wait(self, seconds: float) -> None:
        self.clock.sleep_until(self.clock.now() + seconds)

    def in_cell(self, name: str) -> Pose:
        """Measured ``T_cell_ee``."""
        return pose_multiply(self.cells[name].mount.pose, self.robots[name].arm_state.T_base_ee)

    def ask(self, name: str, T_cell_ee: Pose) -> None:
        """A policy's target, in the cell's frame."""
        target = pose_multiply(pose_inverse(self.cells[name].mount.pose), T_cell_ee)
        self.robots[name].command(ArmCommand(target))

    def go(self, targets: dict[str, Pose], seconds: float) -> None:
        """Both policies want these for so long."""
        for _ in range(round(seconds * HZ)):
            for name, target in targets.items():
                self.ask(name, target)
            self.wait(1.0 / HZ)

    def modes(self) -> tuple[GuardMode, GuardMode]:
        return self.guards[LEFT].mode, self.guards[RIGHT].mode

    def resume(self) -> list[str]:
        """The operator resumes whichever arm may be, until both run; in which order that was."""
        order: list[str] = []
        for _ in range(300):
            for name, robot in self.robots.items():
                if robot.guard.mode is GuardMode.HOLD:
                    try:
                        robot.resume()
                        order.append(name)
                    except EngageError:
                        pass
            self.wait(0.01)
            if GuardMode.HOLD not in self.modes():
                return order
        raise AssertionError(f"never resumed: {[guard.reason for guard in self.guards.values()]}")


def tell(seed: int, seconds: float, joined: bool = True) -> TwoArms:
    """Two policies that want to be where the other arm is, or near there, tilted this way and that."""
    two, rng = TwoArms(joined), np.random.default_rng([seed, 30])
    upright = {name: two.in_cell(name).quat_xyzw for name in two.robots}
    end_s = two.clock.now() + seconds
    while two.clock.now() < end_s:
        targets = {}
        for name, other in ((LEFT, RIGHT), (RIGHT, LEFT)):
            there = Pose(two.in_cell(other).position_m, upright[name])
            targets[name] = pose_add(there, (*rng.uniform(-0.2, 0.2, 3), *rng.uniform(-0.5, 0.5, 3)))
        two.go(targets, float(rng.uniform(0.2, 0.9)))
        if GuardMode.HOLD in two.modes():
            two.resume()
    return two


@pytest.fixture(scope="module")
def stories() -> list[TwoArms]:
    return [tell(seed, 3.0) for seed in range(STORIES)]


def test_arms_driven_at_each_other_never_come_closer_than_allowed(stories):
    rows = [row for two in stories for row in two.judge.rows]
    limit = stories[0].guards[LEFT].settings.limits.min_arm_distance_m
    arms, hands = min(row.arms_m for row in rows), min(row.hands_m for row in rows if not row.in_zone)
    print(f"\n  S30 distance: arms {1000 * arms:.1f} mm, hands outside the zone {1000 * hands:.1f} mm", end="")
    assert limit == 0.05
    assert arms >= limit and hands >= limit
    assert min(arms, hands) < 2.5 * limit, "they never came near each other"
    assert max(row.fastest_m_s for row in rows) > 0.1


def test_the_same_policies_collide_when_the_guards_do_not_know_each_other():
    rows = tell(0, 3.0, joined=False).judge.rows
    assert min(min(row.arms_m, row.hands_m) for row in rows) < 0.0


@pytest.fixture(scope="module")
def met() -> TwoArms:
    """Hands a finger's breadth apart inside the zone; what follows is to lead them out of it together."""
    two = TwoArms()
    for side, seconds in ((0.18, 2.0), (0.11, 0.8)):
        two.go({LEFT: shifted(MEETING, (0.0, side, 0.0)), RIGHT: shifted(MEETING, (0.0, -side, 0.0))}, seconds)
    return two


def test_hands_may_meet_inside_the_handover_zone(met):
    rows = met.judge.rows
    assert 0.0 < min(row.hands_m for row in rows if row.in_zone) < 0.04
    assert min(row.hands_m for row in rows if not row.in_zone) >= 0.05
    assert min(row.arms_m for row in rows) >= 0.05


def test_hands_that_met_must_part_before_they_leave_the_zone(met):
    high = {LEFT: shifted(MEETING, (0.0, 0.11, 0.25)), RIGHT: shifted(MEETING, (0.0, -0.11, 0.25))}
    met.go(high, 2.4)
    assert min(row.hands_m for row in met.judge.rows if not row.in_zone) >= 0.05


@pytest.fixture
def moving() -> TwoArms:
    """Both arms on their way, well apart."""
    two = TwoArms()
    two.go({name: shifted(two.in_cell(name), (0.1, 0.0, -0.1)) for name in two.robots}, 0.4)
    assert two.modes() == (GuardMode.RUNNING, GuardMode.RUNNING)
    assert all(np.linalg.norm(robot.arm_state.ee_twist[:3]) > 0.02 for robot in two.robots.values())
    return two


@pytest.mark.parametrize(
    ("stopped", "other", "mode"),
    [(LEFT, RIGHT, GuardMode.HOLD), (RIGHT, LEFT, GuardMode.HOLD), (RIGHT, LEFT, GuardMode.FAULT)],
)
def test_when_one_arm_stops_the_other_does_within_a_tick_and_goes_on_after_it(moving, stopped, other, mode):
    guards = moving.guards
    guards[stopped].hold("the test asked for it", mode)
    moving.wait(0.01)
    moving.wait(0.01)
    assert (guards[stopped].mode, guards[other].mode) == (mode, GuardMode.HOLD)
    assert guards[other].reason.startswith("S30: the other arm holds")
    moving.wait(1.0)
    assert all(np.linalg.norm(robot.arm_state.ee_twist[:3]) < 0.005 for robot in moving.robots.values())
    with pytest.raises(EngageError, match=r"S11: .*S30: the other arm holds"):
        moving.robots[other].resume()
    if mode is GuardMode.FAULT:
        guards[stopped].reset()
        assert moving.resume() == [other]
    else:
        assert moving.resume() == [stopped, other]


def test_two_arms_that_each_hold_for_a_reason_of_their_own_can_be_resumed(moving):
    moving.wait(0.5)  # Both policies fall silent, in one tick.
    assert [guard.reason[:3] for guard in moving.guards.values()] == ["S2:", "S2:"]
    assert set(moving.resume()) == {LEFT, RIGHT}
    moving.wait(0.1)
    assert moving.modes() == (GuardMode.ARMED, GuardMode.ARMED)


def test_a_reason_of_its_own_counts_though_the_arm_was_held_already(moving):
    left, right = moving.guards[LEFT], moving.guards[RIGHT]
    left.hold()
    moving.wait(0.6)
    moving.robots[RIGHT].disk_health = lambda: DiskHealth(0.0, failed=True)
    moving.wait(0.05)
    assert right.reason.startswith("S30")
    moving.robots[LEFT].resume()
    moving.wait(0.03)
    assert left.mode is GuardMode.HOLD and left.reason.startswith("S30: the other arm holds")
