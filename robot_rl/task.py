"""What an environment must know of a task, and the Protocol that twin and real tasks share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from hardware.interfaces import Pose, ResetPlan, RobotObservation


@dataclass(frozen=True)
class TaskSpec:
    """The constants of a task. Together with the cell's limits they say what an action means."""

    name: str
    """Registered name in snake case, e.g. ``peg_insertion``."""
    instruction: str
    """The task in one sentence, for people and for language-conditioned bases."""
    max_steps: int
    """Episode limit; reaching it truncates, it never terminates."""
    control_hz: float = 10.0
    max_step_m: float = 0.008
    """Translation of one step at action 1, per axis."""
    max_step_rad: float = 0.06
    """Rotation of one step at action 1, per axis."""
    max_lead_m: float = 0.005
    """How far the reference may already lead the arm where a step begins: what it leads more is dropped before the
    step's move is added. In the air an arm trails by less; in contact this bounds the force that steps can wind up
    (times the stiffness, 10 N in the twin), where a policy would else press ever harder."""
    max_lead_rad: float = 0.03
    """The same for rotation."""
    gripper: bool = True
    """False locks the gripper: actions have 6 dimensions instead of 7."""
    feature_names: tuple[str, ...] = ()
    """Names of what :meth:`Task.features` returns."""
    position_scale_m: float = 0.05
    """Positions in observations are divided by this."""
    limits_profile: str = "collaborative"
    """Named profile of the cell's limits that the task needs."""

    @property
    def action_dim(self) -> int:
        return 7 if self.gripper else 6

    @property
    def teleop_speed(self) -> tuple[float, float]:
        """Of the person's target at full deflection, per axis, m/s and rad/s: what action 1 of every step comes to."""
        return self.max_step_m * self.control_hz, self.max_step_rad * self.control_hz


class Task(Protocol):
    """One task in one cell. Nothing it returns to the policy is privileged."""

    spec: TaskSpec

    def reset(self, rng: np.random.Generator, teleport: bool) -> ResetPlan:
        """Draw this episode's scene from ``rng`` and say how the robot gets to its start."""
        ...

    @property
    def setup(self) -> Mapping[str, float | list[float]]:
        """The numbers drawn for this episode, JSON-able: they are recorded so that it can be built again."""
        ...

    @property
    def task_frame(self) -> Pose:
        """Where the policy believes the task to be (``T_base_task``): end-effector observations are relative to it.
        For a hole this is its *estimate*, error and all."""
        ...

    def features(self, observation: RobotObservation) -> np.ndarray:
        """Further unprivileged features, float32 (len(spec.feature_names),), about unit scale."""
        ...

    def success(self, observation: RobotObservation) -> bool: ...

    def snapshot(self) -> np.ndarray | None:
        """The full physics state, float64, in a twin; None on a real robot."""
        ...
