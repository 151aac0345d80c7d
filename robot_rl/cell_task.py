"""A task of a real cell: a TOML file. It says where episodes begin; what succeeded, others say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import hypot
from pathlib import Path

import numpy as np

from hardware.geometry import quat_from_rotvec, quat_multiply, quat_normalize
from hardware.interfaces import Gripper, Pose, Quaternion, ResetPlan, RobotObservation, Vector3
from hardware.toml_dataclass import ConfigError, from_table, number, read_toml
from robot_rl.env import DOWN
from robot_rl.task import TaskSpec


@dataclass(frozen=True)
class Place:
    """A pose in the arm's base axes."""

    position_m: Vector3
    quat_xyzw: Quaternion = DOWN
    """By default a hand that points straight down."""

    def __post_init__(self) -> None:
        if abs(hypot(*self.quat_xyzw) - 1.0) > 0.01:
            raise ValueError(f"quat_xyzw is {list(self.quat_xyzw)}: its length must be 1")

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


def load_task(path: str | Path, text: str | None = None) -> TaskFile:
    """What the file says, or said when it had ``text``. Raises :class:`hardware.toml_dataclass.ConfigError`, one line
    that names what is wrong."""
    if not str(path).endswith(".toml"):
        raise ConfigError(f"--task is '{path}': a real cell's task is a .toml file (docs/new-task.md)")
    return from_table(TaskFile, read_toml(Path(path), text), str(path))


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
