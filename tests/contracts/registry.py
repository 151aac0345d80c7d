"""Every implementation of a seam, by name. A new driver adds one line here and has its contract tested."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

import numpy as np
import pytest

from hardware.cell import load_cells
from hardware.clock import RealClock
from hardware.fakes import POINTING_DOWN, FakeArm, FakeCamera, FakeClock, FakeTeleop, shifted
from hardware.interfaces import Arm, Camera, Clock, Gripper, NoTeleop, ResetPlan, Robot, TeleopDevice
from hardware.local_robot import LocalRobot
from robot_rl.console.hand import BrowserHand
from sim.drivers import SimArm, SimCamera, SimClock
from sim.envs import make
from sim.scripted_human import ScriptedHuman
from sim.tasks import make_task
from sim.world import RendererUnavailable, World
from tests.hardware.rig import fake_cell

T = TypeVar("T")


@dataclass
class Bench(Generic[T]):
    """A connected device and the clock its time passes by."""

    device: T
    clock: Clock

    def wait(self, seconds: float) -> None:
        self.clock.sleep_until(self.clock.now() + seconds)


@dataclass
class RobotBench(Bench[Robot]):
    """A robot and a plan it can carry out."""

    plan: ResetPlan


def fake_arm() -> Bench[Arm]:
    clock = FakeClock()
    return Bench(FakeArm(clock, lag_s=0.01), clock)


def sim_arm() -> Bench[Arm]:
    twin = make_task("reach")
    clock = SimClock(twin.world)
    plan = twin.reset(np.random.default_rng(0), teleport=True)
    assert plan.teleport is not None
    plan.teleport()
    arm = SimArm(twin.world)
    arm.connect()
    return Bench(arm, clock)


def sim_second_arm() -> Bench[Arm]:
    """One of two arms in a world, turned and away from its origin."""
    cells = load_cells("two_arms")
    world = World("two_arms.xml", arms={name: cell.mount.pose for name, cell in cells.items()})
    clock = SimClock(world)
    arms = {name: SimArm(world, prefix=f"{name}/") for name in cells}
    for name, arm in arms.items():
        arm.place(cells[name].home_joint_positions_rad)
    world.refresh()
    for arm in arms.values():
        arm.connect()
    return Bench(arms["right"], clock)


def fake_camera() -> Bench[Camera]:
    clock = FakeClock()
    return Bench(FakeCamera(clock), clock)


def sim_camera() -> Bench[Camera]:
    world = World("reach.xml")
    clock = SimClock(world)
    camera = SimCamera(world, "front", 32, clock)
    try:
        camera.connect()
    except RendererUnavailable as error:
        pytest.skip(str(error))
    return Bench(camera, clock)


def scripted_human() -> Bench[TeleopDevice]:
    twin = make_task("reach")
    twin.reset(np.random.default_rng(0), teleport=True)
    return Bench(ScriptedHuman.of_level(twin, "expert"), SimClock(twin.world))


def browser_hand() -> Bench[TeleopDevice]:
    bench = fake_robot()
    return Bench(BrowserHand(cast(LocalRobot, bench.device), lambda: POINTING_DOWN, lambda: ()), bench.clock)


def fake_robot() -> RobotBench:
    clock = FakeClock(delays_s={"command": 0.02})
    robot = LocalRobot(FakeArm(clock), {"front": FakeCamera(clock)}, NoTeleop(), fake_cell(cameras={}), clock)
    return RobotBench(robot, clock, ResetPlan(shifted(POINTING_DOWN, (0.02, 0.01, -0.03)), Gripper.OPEN))


def sim_robot(teleport: bool) -> RobotBench:
    env = make("reach")
    plan = env.task.reset(np.random.default_rng(0), teleport)
    return RobotBench(env.robot, env.robot.clock, plan)


CLOCKS: dict[str, Callable[[], Clock]] = {
    "fake": FakeClock,
    "sim": lambda: SimClock(World("reach.xml")),
    "real": RealClock,
}
ARMS: dict[str, Callable[[], Bench[Arm]]] = {"fake": fake_arm, "sim": sim_arm, "sim_second": sim_second_arm}
CAMERAS: dict[str, Callable[[], Bench[Camera]]] = {"fake": fake_camera, "sim": sim_camera}
TELEOPS: dict[str, Callable[[], Bench[TeleopDevice]]] = {
    "none": lambda: Bench(NoTeleop(), FakeClock()),
    "fake": lambda: Bench(FakeTeleop(), FakeClock()),
    "scripted_human": scripted_human,
    "browser": browser_hand,
}
ROBOTS: dict[str, Callable[[], RobotBench]] = {
    "local_fake": fake_robot,
    "local_sim": lambda: sim_robot(teleport=False),
    "local_sim_teleport": lambda: sim_robot(teleport=True),
}
