"""The environment of a real cell whose drivers and guard live in this process: what ``--cell FILE --task FILE`` make.

Nothing here knows when a task is done: the person at the teleop device says so by its success and failure buttons, or a
success classifier does. Each episode begins when that person, having put the scene back, presses success; that press
also clears a stop of the guard (S11, S24), so nothing moves before it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from hardware.cell import Cell, load_cell
from hardware.devices import devices_of, runtime_folder
from hardware.geometry import quat_from_rotvec, quat_multiply, quat_normalize
from hardware.guard import EngageError
from hardware.guard_process import LOCK, locked
from hardware.interfaces import (
    Gripper,
    GuardMode,
    NoTeleop,
    Pose,
    Quaternion,
    ResetPlan,
    RobotObservation,
    Vector3,
)
from hardware.local_robot import LocalRobot
from hardware.teleop.labels import WithLabels
from hardware.toml_dataclass import ConfigError, from_table, number, read_toml
from robot_rl.command import say
from robot_rl.env import DOWN, EnvOptions, RobotEnv
from robot_rl.task import TaskSpec

_POLL_S = 0.05

gymnasium.register("RealCell-v0", entry_point="robot_rl.cell_env:make", disable_env_checker=True)


@dataclass(frozen=True)
class Place:
    """A pose in the arm's base axes."""

    position_m: Vector3
    quat_xyzw: Quaternion = DOWN
    """By default a hand that points straight down."""

    @property
    def pose(self) -> Pose:
        return Pose(self.position_m, quat_normalize(self.quat_xyzw))


@dataclass(frozen=True)
class Start(Place):
    """Where the hand is when an episode begins."""

    range_m: Vector3 = (0.0, 0.0, 0.0)
    """How far to either side of it, drawn anew each episode."""
    range_rad: float = number(0.0, 0.0, 3.1416)
    """How far it is turned to either side about its own axis."""
    lift_m: float = number(0.05, 0.0, 0.5)
    """On the way the hand first goes straight up by this, though no higher than the start."""


@dataclass(frozen=True)
class TaskFile:
    """A task of a real cell, as its TOML file has it."""

    name: str
    instruction: str
    """In one sentence."""
    start: Start
    frame: Place | None = None
    """Where the task is believed to be: positions in observations are relative to it. The start, if left out."""
    gripper: bool = True
    """False locks the gripper: actions have 6 dimensions instead of 7."""
    opens: bool = True
    """Whether the gripper is opened on the way to the start."""
    max_steps: int = 150
    control_hz: float = number(10.0, 1.0, 50.0)
    limits_profile: str = "collaborative"

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise ValueError(f"name is {self.name!r}: letters, digits and _ are allowed")
        if self.max_steps < 1:
            raise ValueError(f"max_steps is {self.max_steps}: give 1 or more")

    @property
    def spec(self) -> TaskSpec:
        return TaskSpec(
            self.name,
            self.instruction,
            max_steps=self.max_steps,
            control_hz=self.control_hz,
            gripper=self.gripper,
            limits_profile=self.limits_profile,
        )


def load_task(path: str | Path) -> TaskFile:
    """Raises :class:`hardware.toml_dataclass.ConfigError`, one line that names what is wrong."""
    if not str(path).endswith(".toml"):
        raise ConfigError(f"--task is '{path}': a real cell's task is a .toml file (docs/new-task.md)")
    return from_table(TaskFile, read_toml(Path(path)), str(path))


class CellTask:
    """Implements :class:`robot_rl.task.Task` for what a file describes; ``here`` is asked where the hand is."""

    def __init__(self, file: TaskFile, here: Callable[[], Pose]) -> None:
        self.spec, self._file, self._here = file.spec, file, here
        self.setup: Mapping[str, float | list[float]] = {}

    def reset(self, rng: np.random.Generator, teleport: bool) -> ResetPlan:
        """Straight up, then to a start drawn about the file's; ``teleport`` is the twin's alone."""
        start, middle = self._file.start, self._file.start.pose
        x, y, z = (middle.position_m + rng.uniform(-1.0, 1.0, 3) * start.range_m).tolist()
        turn = float(rng.uniform(-1.0, 1.0)) * start.range_rad
        self.setup = {"start": [x, y, z, turn]}
        turned = quat_multiply(middle.quat_xyzw, quat_from_rotvec((0.0, 0.0, turn)))
        (now_x, now_y, now_z), quat = self._here()
        above = Pose((now_x, now_y, max(now_z, min(now_z + start.lift_m, z))), quat)
        opens = self._file.gripper and self._file.opens
        return ResetPlan(Pose((x, y, z), turned), Gripper.OPEN if opens else Gripper.HOLD, (above,))

    @property
    def task_frame(self) -> Pose:
        return (self._file.frame or self._file.start).pose

    def features(self, observation: RobotObservation) -> np.ndarray:
        return np.zeros(0, np.float32)

    def success(self, observation: RobotObservation) -> bool:
        """Others say so."""
        return False

    def snapshot(self) -> None:
        return None


class CellPerson(WithLabels):
    """The person at the teleop device, who is the cell's operator too."""

    robot: LocalRobot

    def rest(self) -> None:
        """Wait until the next episode may begin; a stop of the guard is cleared then."""
        say("put the scene back; the success button begins the next episode: the arm moves")
        while True:
            self.forget()
            while self.verdict() != "success":
                self.robot.clock.sleep_until(self.robot.clock.now() + _POLL_S)
            try:
                self._clear()
                return
            except EngageError as refused:
                say(f"not yet: {refused}; then press again")

    def new_episode(self, seed: int) -> None:
        self.forget()

    def _clear(self) -> None:
        robot = self.robot
        if robot.guard.mode is GuardMode.HOLD:
            robot.resume()
        elif robot.guard.mode is GuardMode.FAULT:
            if robot.arm_state.stopped:
                robot.recover()
            robot.guard.reset()


class CellEnv(RobotEnv):
    """Gives the cell back when it is closed."""

    def __init__(self, held: ExitStack, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._held = held

    def close(self) -> None:
        self._held.close()


def make(
    *,
    cell: str,
    task: str,
    cameras: tuple[str, ...] = (),
    image_size: int = 128,
    max_steps: int | None = None,
    folder: str = "",
    render_mode: str | None = None,
    **options: Any,
) -> RobotEnv:
    """The task of the file ``task`` in the cell of the file ``cell``. ``folder`` has the guard's lock and black box.

    Raises ``ValueError`` for files that make no sense, ``ConnectionError`` naming a device that is not there, and
    :class:`hardware.guard_process.GuardRunningError` where another process guards the arm.
    """
    settings, file = load_cell(cell), load_task(task)
    _require_sizes(settings, cameras, image_size)
    place = Path(folder) if folder else runtime_folder(settings.name)
    place.mkdir(parents=True, exist_ok=True)
    devices = devices_of(settings, place)
    if isinstance(devices.teleop, NoTeleop):
        raise ValueError(f"cell {settings.name!r} has no teleop device: nobody could begin an episode or stop the arm")
    with ExitStack() as held:
        held.enter_context(locked(place / LOCK))
        devices.connect()
        person, spec = CellPerson(devices.teleop), file.spec
        speed = (spec.max_step_m * spec.control_hz, spec.max_step_rad * spec.control_hz)
        given = (spec.limits_profile, speed, place / "black_box", spec.control_hz, spec.name)
        robot = person.robot = LocalRobot(devices.arm, devices.cameras, person, settings, devices.clock, *given)
        held.callback(robot.close)
        held.callback(getattr(devices.clock, "close", lambda: None))  # No tick reads an arm that is closed.
        chosen = EnvOptions(
            cameras=tuple(cameras), image_size=image_size, teleport=False, max_steps=max_steps, **options
        )
        real = CellTask(file, lambda: robot.arm_state.T_base_ee)
        return CellEnv(held.pop_all(), robot, real, chosen, render_mode)


def _require_sizes(settings: Cell, cameras: tuple[str, ...], image_size: int) -> None:
    for name in cameras:
        if name not in settings.cameras:
            raise ValueError(f"cell {settings.name!r} has no camera '{name}'; there are {', '.join(settings.cameras)}")
        size = settings.cameras[name].width_px, settings.cameras[name].height_px
        if size != (image_size, image_size):
            raise ValueError(
                f"camera '{name}' of cell {settings.name!r} delivers {size[0]} x {size[1]} px, --image-size is "
                f"{image_size}: make width_px and height_px of the cell file the same"
            )
