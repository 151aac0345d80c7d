"""Every implementation of a seam, by name. A new driver adds one line here and has its contract tested."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Collection
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path
from typing import Generic, TypeVar, cast

import numpy as np
import pytest

from hardware.arms.franka import FrankaArm
from hardware.arms.servoed import ServoedArm
from hardware.arms.so101 import So101Arm
from hardware.arms.ur import UrArm
from hardware.cameras.realsense import RealSenseCamera
from hardware.cameras.uvc import UvcCamera
from hardware.cell import load_cell, load_cells
from hardware.clock import RealClock
from hardware.device_settings import CameraSettings, TeleopSettings
from hardware.fakes import POINTING_DOWN, FakeArm, FakeCamera, FakeClock, FakeTeleop, shifted
from hardware.interfaces import (
    Arm,
    Camera,
    Clock,
    Gripper,
    NoTeleop,
    ResetError,
    ResetPlan,
    Robot,
    RobotObservation,
    TeleopDevice,
)
from hardware.local_robot import LocalRobot
from hardware.teleop.evdev_keys import KEYS, EvdevKeys
from hardware.teleop.gamepad import Gamepad
from hardware.teleop.keyboard import Keyboard
from hardware.teleop.pedal import WithPedal
from hardware.teleop.spacemouse import SpaceMouse
from robot_rl.console.hand import BrowserHand
from sim.drivers import SimArm, SimCamera, SimClock
from sim.envs import make
from sim.scripted_human import ScriptedHuman
from sim.tasks import make_task
from sim.world import RendererUnavailable, World
from tests.hardware.arms.rig import FrankaSimulator, SimulatorClock, UrSimulator, so101_bus
from tests.hardware.cameras.rig import NetworkCamera, SoftwareRealSense
from tests.hardware.rig import fake_cell
from tests.hardware.teleop.rig import FULL, HidDevice, Joystick, KeyDevice, motion_report, plug_in

T = TypeVar("T")
_ATTEMPTS = 10


@dataclass
class Bench(Generic[T]):
    """A connected device and the clock its time passes by."""

    device: T
    clock: Clock
    free: Callable[[], object] = lambda: None
    """Ends what stands in for the device's other end."""
    lose: Callable[[], object] | None = None
    """Takes the device away under its driver; None where nothing can, as in this process's own twin."""
    find: Callable[[], object] | None = None
    """Brings it back; None where what was lost is gone for good."""
    max_age_s: float = 0.2
    """Of a camera's frame. One in real time on a busy machine is given more."""
    lag_m: float = 0.002
    """How far an arm may be behind its reference at 50 mm/s."""

    def close(self) -> None:
        self.device.close()  # type: ignore[attr-defined]
        self.free()

    def wait(self, seconds: float) -> None:
        self.clock.sleep_until(self.clock.now() + seconds)


def comes(bench: Bench[T], condition: Callable[[], object]) -> None:
    """Let time pass until ``condition``, half a minute of ours at most: the clock of a lost arm may stand still."""
    give_up_s = time.monotonic() + 30.0
    while not condition():
        assert time.monotonic() < give_up_s, "it never came"
        if isinstance(bench.clock, (RealClock, SimulatorClock)):
            time.sleep(0.01)
        else:
            bench.wait(0.01)


@dataclass
class RobotBench(Bench[Robot]):
    """A robot and a plan it can carry out."""

    plan: ResetPlan = field(kw_only=True)
    hurried: Collection[str] = ()
    """The limits for which a guard in a process of its own stops the arm of a computer that is too busy."""

    def undisturbed(self, attempt: Callable[[], RobotObservation]) -> RobotObservation:
        """What ``attempt`` gives, which begins with a reset; made again where the computer was too busy for it."""
        reasons = []
        while len(reasons) < _ATTEMPTS:
            try:
                seen = attempt()
            except ResetError as refused:
                if not any(f" {limit}: " in str(refused) for limit in self.hurried):
                    raise
                reasons.append(str(refused))
            else:
                if seen.executed.stop_limit not in self.hurried:
                    return seen
                reasons.append(seen.executed.reason)
            self.wait(1.0)  # S11
        raise AssertionError(f"this computer was too busy for the guard, {_ATTEMPTS} times in a row: {reasons}")


def fake_arm() -> Bench[Arm]:
    clock = FakeClock()
    arm = FakeArm(clock, lag_s=0.01)
    return Bench(arm, clock, lose=lambda: setattr(arm, "gone", True), find=lambda: setattr(arm, "gone", False))


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


def franka_arm() -> Bench[Arm]:
    simulator = FrankaSimulator()
    clock = SimulatorClock()
    arm = FrankaArm(simulator.cell(), clock)
    arm.connect()
    clock.follow(arm)
    # Friction and damping of its joints hold it back at 2000 N/m, as they do the real one.
    return Bench(arm, clock, simulator.close, lose=simulator.close, lag_m=0.007)


def ur_arm() -> Bench[Arm]:
    simulator = UrSimulator()
    clock = SimulatorClock()
    arm = UrArm(simulator.cell(), clock)
    arm.connect()
    clock.follow(arm, simulator)
    return Bench(arm, clock, simulator.close, lose=simulator.close, lag_m=0.004)


def so101_arm() -> Bench[Arm]:
    bus, cell = so101_bus()
    clock = SimulatorClock()
    arm = So101Arm(cell, clock)
    arm.connect()
    clock.follow(bus, bus)
    return Bench(arm, clock, bus.close, lambda: bus.dead.update(bus.memory), bus.dead.clear, lag_m=0.004)


def ros2_control_arm() -> Bench[Arm]:
    """A controller in a process of its own, over real topics. Not in `make test-ros` yet: docs/ros2.md says why."""
    if "ROS2_CONTROL" not in os.environ:
        pytest.skip("`make test-ros2-control` runs this")
    from tests.ros.controlled_arm import controlled_arm

    return controlled_arm()


def fake_camera() -> Bench[Camera]:
    clock = FakeClock()
    camera = FakeCamera(clock)
    show = lambda until_s: setattr(camera, "frozen_s", until_s)  # noqa: E731
    return Bench(camera, clock, lose=lambda: show(clock.now()), find=lambda: show(inf))


def sim_camera() -> Bench[Camera]:
    world = World("reach.xml")
    clock = SimClock(world)
    camera = SimCamera(world, "front", 32, clock)
    try:
        camera.connect()
    except RendererUnavailable as error:
        pytest.skip(str(error))
    return Bench(camera, clock)


def realsense_camera(depth: bool) -> Bench[Camera]:
    source = SoftwareRealSense(depth=depth)
    source.play()
    camera = RealSenseCamera("front", CameraSettings(depth=depth), RealClock(), devices=lambda: [source.device])
    camera.connect()
    return Bench(camera, camera.clock, source.stop, source.paused.set, source.paused.clear, max_age_s=2.0)


def uvc_camera() -> Bench[Camera]:
    pytest.importorskip("cv2", reason="needs the extra 'uvc'")
    source = NetworkCamera()
    camera = UvcCamera("front", CameraSettings(path=source.address), RealClock())
    camera.connect()
    return Bench(camera, camera.clock, source.close, source.hang_up.set, source.hang_up.clear, max_age_s=2.0)


def spacemouse() -> Bench[TeleopDevice]:
    pytest.importorskip("pyspacemouse", reason="needs the extra 'spacemouse' and libhidapi", exc_type=Exception)
    patch = pytest.MonkeyPatch()
    hid = HidDevice(Path(tempfile.mkdtemp()) / "hidraw0")
    plug_in(patch, [hid])
    hid.send(motion_report(x=FULL, ry=-FULL // 2))
    again = lambda: plug_in(patch, [HidDevice(Path(hid.path))])  # noqa: E731
    return Bench(SpaceMouse(TeleopSettings(), RealClock()), RealClock(), patch.undo, hid.unplug, again)


def gamepad() -> Bench[TeleopDevice]:
    joystick = Joystick(Path(tempfile.mkdtemp()) / "js0")
    joystick.axis(1, -1.0)
    device = Gamepad(TeleopSettings(path=joystick.path), RealClock())
    return Bench(device, RealClock(), joystick.unplug, lose=joystick.unplug)


def keyboard() -> Bench[TeleopDevice]:
    hand, terminal = os.openpty()
    path = os.ttyname(terminal)
    os.write(hand, b"w")
    hang_up = ExitStack()
    hang_up.callback(os.close, hand)
    device = Keyboard(TeleopSettings(path=path), RealClock())
    return Bench(device, RealClock(), hang_up.close, lose=hang_up.close)


def evdev_keys() -> Bench[TeleopDevice]:
    pytest.importorskip("evdev", reason="needs the extra 'evdev'")
    patch = pytest.MonkeyPatch()
    board = KeyDevice(patch, *KEYS)
    device = EvdevKeys(TeleopSettings(path=board.path), RealClock())
    board.key("w")
    return Bench(device, RealClock(), patch.undo, board.unplug, board.plug_in)


def pedal() -> Bench[TeleopDevice]:
    pytest.importorskip("evdev", reason="needs the extra 'evdev'")
    patch = pytest.MonkeyPatch()
    board, beside = KeyDevice(patch, "b"), gamepad()
    settings = TeleopSettings(path=board.path, keys={"b": "takeover"})
    device = WithPedal(beside.device, EvdevKeys(settings, RealClock(), "pedal"))
    return Bench(device, RealClock(), patch.undo, board.unplug, board.plug_in)


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
    return RobotBench(robot, clock, plan=ResetPlan(shifted(POINTING_DOWN, (0.02, 0.01, -0.03)), Gripper.OPEN))


def franka_robot() -> RobotBench:
    bench = franka_arm()
    clock, cell = bench.clock, replace(load_cell("twin"), cameras={})
    robot = LocalRobot(bench.device, {}, NoTeleop(), cell, clock)
    plan = ResetPlan(shifted(bench.device.read().T_base_ee, (0.02, 0.01, -0.03)), Gripper.OPEN)
    return RobotBench(robot, clock, lambda: (clock.close(), bench.free()), plan=plan)


def servoed_robot(bench: Bench[Arm]) -> RobotBench:
    clock, arm = bench.clock, cast(ServoedArm, bench.device)
    robot = LocalRobot(arm, {}, NoTeleop(), replace(arm.cell, teleop=TeleopSettings(), scripted_operator=True), clock)
    plan = ResetPlan(shifted(arm.read().T_base_ee, (0.02, 0.01, -0.02)), Gripper.OPEN)
    return RobotBench(robot, clock, lambda: (clock.close(), bench.free()), plan=plan)


def sim_robot(teleport: bool) -> RobotBench:
    env = make("reach")
    plan = env.task.reset(np.random.default_rng(0), teleport)
    return RobotBench(env.robot, env.robot.clock, plan=plan)


def ros_robot() -> RobotBench:
    """The twin's nodes as processes, over real topics."""
    pytest.importorskip("rclpy", reason="rclpy is not installed; `make test-ros` runs this")
    from tests.ros.ros_cell import HURRIED, RobotOfItsOwnCell

    plan = make_task("reach").reset(np.random.default_rng(1), teleport=False)
    robot = RobotOfItsOwnCell()
    return RobotBench(robot, robot.clock, plan=plan, hurried=HURRIED)


CLOCKS: dict[str, Callable[[], Clock]] = {
    "fake": FakeClock,
    "sim": lambda: SimClock(World("reach.xml")),
    "real": RealClock,
}
ARMS: dict[str, Callable[[], Bench[Arm]]] = {
    "fake": fake_arm,
    "sim": sim_arm,
    "sim_second": sim_second_arm,
    "franka": franka_arm,
    "ros2_control": ros2_control_arm,
    "so101": so101_arm,
    "ur": ur_arm,
}
CAMERAS: dict[str, Callable[[], Bench[Camera]]] = {
    "fake": fake_camera,
    "sim": sim_camera,
    "realsense": lambda: realsense_camera(depth=False),
    "realsense_depth": lambda: realsense_camera(depth=True),
    "uvc": uvc_camera,
}
TELEOPS: dict[str, Callable[[], Bench[TeleopDevice]]] = {
    "none": lambda: Bench(NoTeleop(), FakeClock()),
    "fake": lambda: Bench(FakeTeleop(), FakeClock()),
    "scripted_human": scripted_human,
    "spacemouse": spacemouse,
    "gamepad": gamepad,
    "keyboard": keyboard,
    "evdev": evdev_keys,
    "pedal": pedal,
    "browser": browser_hand,
}
ROBOTS: dict[str, Callable[[], RobotBench]] = {
    "local_franka": franka_robot,
    "local_ros2_control": lambda: servoed_robot(ros2_control_arm()),
    "local_so101": lambda: servoed_robot(so101_arm()),
    "local_ur": lambda: servoed_robot(ur_arm()),
    "local_fake": fake_robot,
    "local_sim": lambda: sim_robot(teleport=False),
    "local_sim_teleport": lambda: sim_robot(teleport=True),
    "ros_twin": ros_robot,
}
