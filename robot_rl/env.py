"""The one environment: a task on a robot, as a ``gymnasium.Env``, the same in the twin and on the arm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import gymnasium
import numpy as np

from hardware.geometry import pose_add, pose_delta, quat_inverse, quat_rotate, rotvec_from_quat, quat_multiply
from hardware.interfaces import (
    ArmCommand,
    Gripper,
    GuardMode,
    Pose,
    Quaternion,
    Robot,
    RobotObservation,
    Source,
    Vector6,
)
from robot_rl.task import Task

IDENTITY: Quaternion = (0.0, 0.0, 0.0, 1.0)
ROTATION_SCALE_RAD = 0.2
FINE_M, FINE_RAD = 0.005, 0.05
"""Poses appear twice: over the whole workspace, and squashed to ± 1 about the task frame, where millimetres decide."""
LEAD_SCALE_M, LEAD_SCALE_RAD = 0.01, 0.05
FORCE_SCALE_N, TORQUE_SCALE_NM = 10.0, 1.0
GRIPPER_SCALE_M = 0.08
COMMANDED_GRIPPER = "commanded_gripper"
"""The observation's entry that says what the gripper was last told: -1 close, +1 open."""
GRIPPER_THRESHOLD = 1 / 3
"""A gripper action beyond ± this opens or closes; between, the gripper holds."""


@dataclass(frozen=True)
class EnvOptions:
    """What a policy sees, in which axes it acts, and how episodes begin."""

    frame: Literal["task", "end_effector"] = "task"
    """``task``: positions relative to the task frame, actions in base axes. ``end_effector``: positions relative to the
    episode's start, actions in the tool's own axes (HIL-SERL, arXiv 2410.21845, sec. III-C)."""
    memory_s: tuple[float, ...] = (0.5, 2.0)
    """Time constants of slow averages of pose and wrench in the observation; () for none. What a single observation does
    not tell (a hole that is not where it was estimated) shows in how the contact felt a moment ago."""
    previous_action: bool = False
    """Observe the previous executed action. Off: a clone learns to repeat it instead of looking (copycat; arXiv 1905.11979),
    and the lead of the target over the arm tells what is still under way."""
    cameras: tuple[str, ...] = ()
    """Robot cameras that become observation entries."""
    image_size: int = 128
    """Side of the square images, px; the cameras deliver this size."""
    teleport: bool = True
    """Twin only: begin episodes by placing the arm instead of moving it. A real robot moves whatever this says."""
    max_steps: int | None = None
    """Overrides the task's episode limit."""


class RobotEnv(gymnasium.Env[dict[str, np.ndarray], np.ndarray]):
    """One robot doing one task, in steps of ``1 / task.spec.control_hz`` seconds.

    Observations: ``"state"``, float32 (len(state_names),), about unit scale, and a uint8 HWC entry a camera. Actions:
    float32 (6 or 7,) in [-1, 1]: translation and rotation of the target, and the gripper (beyond ±1/3 it closes or
    opens). Reward 1 and ``terminated`` on success; ``truncated`` on the step limit and whenever the guard holds.

    ``info["executed_action"]`` is what the guard let through, ``info["source"]`` who drove; :attr:`latest` is all that the
    robot reported.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"]}

    def __init__(self, robot: Robot, task: Task, options: EnvOptions = EnvOptions(), render_mode: str | None = None):
        self.robot, self.task, self.options = robot, task, options
        self.render_mode = render_mode
        spec = task.spec
        self.period_s = 1.0 / spec.control_hz
        self.max_steps = options.max_steps or spec.max_steps
        self.action_scale = np.array([spec.max_step_m] * 3 + [spec.max_step_rad] * 3 + [1.0] * spec.gripper)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (spec.action_dim,), np.float32)
        self.state_names = self._state_names()
        spaces: dict[str, gymnasium.Space[Any]] = {
            "state": gymnasium.spaces.Box(-np.inf, np.inf, (len(self.state_names),), np.float32)
        }
        for name in options.cameras:
            spaces[name] = gymnasium.spaces.Box(0, 255, (options.image_size, options.image_size, 3), np.uint8)
        self.observation_space = gymnasium.spaces.Dict(spaces)
        self._decay = np.array([[np.exp(-self.period_s / tau)] for tau in options.memory_s])
        self._steps = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Draw a scene, bring the robot to its start, engage. ``info["setup"]`` holds the numbers drawn."""
        super().reset(seed=seed)
        plan = self.task.reset(self.np_random, self.options.teleport)
        person = getattr(self.robot, "teleop", None)
        if hasattr(person, "new_episode"):
            person.new_episode(int(self.np_random.integers(2**31)))
        began = self.robot.clock.now()
        self._latest = self.robot.reset(plan)
        self._start = self._latest.arm.T_base_ee
        self._target = self._accepted = self._latest.executed.target
        self._gripper = float(self._latest.executed.gripper)
        self._executed = np.zeros(self.action_space.shape, np.float32)
        if self.task.spec.gripper:
            self._executed[6] = self._gripper
        self._memory: np.ndarray | None = None
        self._steps, self._human = 0, False
        self._deadline = self.robot.clock.now()
        info = {
            "setup": dict(self.task.setup),
            "initial_state": self.task.snapshot(),
            "reset_s": self._deadline - began,
        }
        return self._observation(), info

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        """Propose ``action``, let one control period pass, report what happened. NaN is left for the guard to refuse."""
        proposed = np.asarray(action, dtype=np.float32)
        if proposed.shape != self.action_space.shape:
            raise ValueError(f"action has shape {proposed.shape}; {self.task.spec.name} takes {self.action_space.shape}")
        proposed = np.clip(proposed, -1.0, 1.0)
        axes = self._latest.arm.T_base_ee.quat_xyzw if self.options.frame == "end_effector" else IDENTITY
        delta: Vector6 = tuple((proposed[:6] * self.action_scale[:6]).tolist())  # type: ignore[assignment]
        wanted = pose_add(self._slackened(self._target), _rotate6(axes, delta))
        self.robot.command(ArmCommand(wanted, self._gripper_command(proposed)))
        clock = self.robot.clock
        self._deadline = max(self._deadline + self.period_s, clock.now())
        clock.sleep_until(self._deadline)
        began = self._slackened(self._accepted)
        self._latest = observation = self.robot.observe()
        self._settle(observation, wanted, proposed, began, axes)
        self._steps += 1
        held = observation.executed.mode >= GuardMode.HOLD
        success = self.task.success(observation)
        truncated = not success and (held or self._steps >= self.max_steps)
        human = observation.executed.source == Source.HUMAN
        info = {
            "executed_action": self._executed.copy(),
            "proposed_action": proposed,
            "source": observation.executed.source,
            "intervention_start": human and not self._human,
            "success": success,
            "held": held,
        }
        self._human = human
        return self._observation(), float(success), success, truncated, info

    def render(self) -> np.ndarray | None:  # type: ignore[override]
        """A picture of the scene, where the task can draw one (a twin can)."""
        draw = getattr(self.task, "render", None)
        return draw() if draw is not None else None

    @property
    def latest(self) -> RobotObservation:
        """What the robot reported last."""
        return self._latest

    def now(self) -> float:
        """The robot's clock, s."""
        return self.robot.clock.now()

    def close(self) -> None:
        self.robot.close()

    # -- actions -----------------------------------------------------------------------------------------------------

    def _gripper_command(self, action: np.ndarray) -> Gripper:
        if not self.task.spec.gripper or abs(action[6]) <= GRIPPER_THRESHOLD:
            return Gripper.HOLD
        return Gripper.OPEN if action[6] > 0 else Gripper.CLOSE

    def _slackened(self, target: Pose) -> Pose:
        """``target`` less what the reference leads the arm by beyond the task's limit."""
        lead = pose_delta(self._latest.arm.T_base_ee, self._latest.executed.reference.T_base_ee)
        spec = self.task.spec
        excess = (*_beyond(lead[:3], spec.max_lead_m), *_beyond(lead[3:], spec.max_lead_rad))
        return pose_add(target, tuple(-e for e in excess)) if any(excess) else target

    def _settle(
        self, observation: RobotObservation, wanted: Pose, proposed: np.ndarray, began: Pose, axes: Quaternion
    ) -> None:
        """Work out what was executed: the move of the accepted target since it ``began``, and the gripper target left."""
        executed = observation.executed
        obeyed = executed.source == Source.POLICY and not executed.refusals and executed.target == wanted
        if obeyed:
            self._executed[:6] = proposed[:6]
        else:
            delta = _rotate6(quat_inverse(axes), pose_delta(began, executed.target))
            self._executed[:6] = np.clip(np.asarray(delta) / self.action_scale[:6], -1.0, 1.0)
        if self.task.spec.gripper:
            self._executed[6] = self._gripper = float(executed.gripper)
        # A command still on its way (latency beyond one period) is not refused: keep building on it.
        refused = executed.source != Source.POLICY or bool(executed.refusals)
        self._target = executed.target if refused else wanted
        self._accepted = executed.target

    # -- observations ------------------------------------------------------------------------------------------------

    def _observation(self) -> dict[str, np.ndarray]:
        observation = self._latest
        arm, spec = observation.arm, self.task.spec
        origin = self.task.task_frame if self.options.frame == "task" else self._start
        axes = IDENTITY if self.options.frame == "task" else arm.T_base_ee.quat_xyzw
        to_axes = quat_inverse(axes)
        offset = [a - b for a, b in zip(arm.T_base_ee.position_m, origin.position_m, strict=True)]
        position = quat_rotate(quat_inverse(origin.quat_xyzw), tuple(offset))
        rotation = rotvec_from_quat(quat_multiply(quat_inverse(origin.quat_xyzw), arm.T_base_ee.quat_xyzw))
        lead = _rotate6(to_axes, pose_delta(arm.T_base_ee, observation.executed.target))
        twist, wrench = _rotate6(to_axes, arm.ee_twist), _rotate6(to_axes, arm.wrench)
        speed_m_s, speed_rad_s = spec.max_step_m / self.period_s, spec.max_step_rad / self.period_s
        pose = np.array([*(p / FINE_M for p in position), *(r / FINE_RAD for r in rotation)])
        felt = np.array([*(f / FORCE_SCALE_N for f in wrench[:3]), *(t / TORQUE_SCALE_NM for t in wrench[3:])])
        felt = np.clip(felt, -5.0, 5.0)
        parts = [
            [*(p / spec.position_scale_m for p in position), *(r / ROTATION_SCALE_RAD for r in rotation)],
            np.tanh(pose),
            [*(v / speed_m_s for v in twist[:3]), *(w / speed_rad_s for w in twist[3:])],
            felt,
            [*(x / LEAD_SCALE_M for x in lead[:3]), *(r / LEAD_SCALE_RAD for r in lead[3:])],
        ]
        if self.options.previous_action:
            parts.append(self._executed[:6])
        if spec.gripper:
            parts.append([self._gripper, arm.gripper_width_m / GRIPPER_SCALE_M])
        if self.options.memory_s:
            now = np.concatenate([pose, felt])
            memory = np.tile(now, (len(self._decay), 1)) if self._memory is None else self._memory
            self._memory = self._decay * memory + (1.0 - self._decay) * now
            parts.append(np.tanh(now - self._memory).ravel())
        if spec.feature_names:
            parts.append(self.task.features(observation))
        result = {"state": np.concatenate(parts).astype(np.float32)}
        for name in self.options.cameras:
            result[name] = observation.frames[name].image
        return result

    def _state_names(self) -> tuple[str, ...]:
        """A name for each entry of ``"state"``, in order."""
        axes = ("x", "y", "z", "rx", "ry", "rz")
        spec = self.task.spec
        names = [f"{group}_{axis}" for group in ("pose", "fine_pose", "twist", "wrench", "lead") for axis in axes]
        names += [f"previous_action_{axis}" for axis in axes] if self.options.previous_action else []
        names += [COMMANDED_GRIPPER, "gripper_width"] if spec.gripper else []
        for tau in self.options.memory_s:
            names += [f"{group}_change_{tau:g}s_{axis}" for group in ("pose", "wrench") for axis in axes]
        return (*names, *spec.feature_names)


def _rotate6(quat: Quaternion, vector: Vector6) -> Vector6:
    """Rotate both halves of a twist, wrench or small move into other axes: a rotation, not the twist adjoint, since the
    reference point stays the end effector."""
    if quat == IDENTITY:
        return vector
    return (*quat_rotate(quat, vector[:3]), *quat_rotate(quat, vector[3:]))


def _beyond(vector: tuple[float, ...], limit: float) -> tuple[float, ...]:
    """The part of ``vector`` (3,) that its length exceeds ``limit`` by."""
    length = sum(x * x for x in vector) ** 0.5
    share = 1.0 - limit / length if length > limit else 0.0
    return tuple(share * x for x in vector)
