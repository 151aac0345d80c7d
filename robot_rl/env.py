"""The one environment: a task on a robot, as a ``gymnasium.Env``, the same in the twin and on the arm."""

from __future__ import annotations

from dataclasses import replace
from math import hypot
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np

from hardware.geometry import pose_add, pose_delta, quat_inverse
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
from robot_rl.env_options import EnvOptions
from robot_rl.observation import IDENTITY, StateVector, rotate6
from robot_rl.task import Task

if TYPE_CHECKING:
    from robot_rl.success_classifier import SuccessClassifier

FAILURES = ("S4", "S5", "S8", "S29")
"""Limits whose breach is the motion's own doing: leaving the workspace, speed, force, pushing at a wall. Such a stop is
how the episode failed; any other (a camera, a link, an operator) says nothing of the task."""
DOWN: Quaternion = (1.0, 0.0, 0.0, 0.0)
"""A hand that points straight down, in base axes."""
GRIPPER_THRESHOLD = 1 / 3
"""A gripper action beyond ± this opens or closes; between, the gripper holds."""


class RobotEnv(gymnasium.Env[dict[str, np.ndarray], np.ndarray]):
    """One robot doing one task, in steps of ``1 / task.spec.control_hz`` seconds.

    Observations: ``"state"``, float32 (len(state_names),), about unit scale, and a uint8 HWC entry a camera. Actions:
    float32 (6 or 7,) in [-1, 1]: translation and rotation of the target, and the gripper (beyond ±1/3 it closes or
    opens). Reward 1 and ``terminated`` on success; ``terminated`` too where the guard stops what the motion did
    (:data:`FAILURES`); ``truncated`` on the step limit and at any other stop of the guard.

    ``info["executed_action"]`` is what the guard let through, ``info["source"]`` who drove; :attr:`latest` is all that
    the robot reported, :attr:`seen` the newest observation. With a success classifier, ``terminated`` and
    ``info["success"]`` are its verdict (or the operator's, above it); the reward stays what the task itself can tell.
    """

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012 - the base class declares it so

    def __init__(self, robot: Robot, task: Task, options: EnvOptions = EnvOptions(), render_mode: str | None = None):
        self.robot, self.task, self.options = robot, task, options
        self.render_mode = render_mode
        spec = task.spec
        self.period_s = 1.0 / spec.control_hz
        self.max_steps = options.max_steps or spec.max_steps
        self.action_scale = np.array([spec.max_step_m] * 3 + [spec.max_step_rad] * 3 + [1.0] * spec.gripper)
        self.action_space: gymnasium.spaces.Box = gymnasium.spaces.Box(-1.0, 1.0, (spec.action_dim,), np.float32)
        self._features = spec.feature_names if options.tracked else ()
        seen = replace(spec, feature_names=self._features)
        self._state = StateVector(seen, options)
        self.state_names = self._state.names
        spaces: dict[str, gymnasium.Space[Any]] = {
            "state": gymnasium.spaces.Box(-np.inf, np.inf, (len(self.state_names),), np.float32)
        }
        for name in options.cameras:
            spaces[name] = gymnasium.spaces.Box(0, 255, (options.image_size, options.image_size, 3), np.uint8)
        self.observation_space: gymnasium.spaces.Dict = gymnasium.spaces.Dict(spaces)  # type: ignore[assignment]
        self.steps = 0
        """Steps of this episode."""
        self.info: dict[str, Any] = {}
        """What the newest step's ``info`` was; empty before an episode's first."""
        self.classifier = _classifier(options)
        """The success classifier, where one judges."""

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Draw a scene (or take ``options["plan"]``), go to its start, engage; a scripted person stays away where
        ``options["watched"]`` is False. ``info``: its numbers (``setup``), the operator's wait (``paused_s``)."""
        super().reset(seed=seed)
        given = options or {}
        plan = given.get("plan") or self.task.reset(self.np_random, self.options.teleport)
        person: Any = getattr(self.robot, "teleop", None)
        person_seed = int(self.np_random.integers(2**31))
        ended = self.robot.clock.now()
        getattr(person, "rest", lambda: None)()
        began = self.robot.clock.now()
        self._latest = self.robot.reset(plan)
        begin = "new_episode" if given.get("watched", True) else "unwatched_episode"
        getattr(person, begin, lambda _: None)(person_seed)
        here = self._latest.arm.T_base_ee
        self._origin = Pose(self.options.origin_m, DOWN) if self.options.frame == "base" else here
        self._target = self._accepted = self._latest.executed.target
        self._gripper = float(self._latest.executed.gripper)
        self._executed = np.zeros(self.task.spec.action_dim, np.float32)
        if self.task.spec.gripper:
            self._executed[6] = self._gripper
        self._state.reset()
        self.steps, self.info, self._human = 0, {}, False
        self._potential, self._deadline = self._progress(), self.robot.clock.now()
        info: dict[str, Any] = {"setup": dict(self.task.setup), "initial_state": self.task.snapshot()}
        info |= {"reset_s": self._deadline - began, "paused_s": began - ended}
        self.seen = self._observation()
        return self.seen, info

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        """Propose ``action``, let one control period pass, report what happened. NaN is the guard's to refuse."""
        proposed = np.asarray(action, dtype=np.float32)
        if proposed.shape != self.action_space.shape:
            raise ValueError(
                f"action has shape {proposed.shape}; {self.task.spec.name} takes {self.action_space.shape}"
            )
        proposed = np.clip(proposed, -1.0, 1.0)
        axes = self._action_axes()
        delta: Vector6 = tuple((proposed[:6] * self.action_scale[:6]).tolist())
        wanted = pose_add(self._slackened(self._target), rotate6(axes, delta))
        self.robot.command(ArmCommand(wanted, self._gripper_command(proposed)))
        clock = self.robot.clock
        self._deadline = max(self._deadline + self.period_s, clock.now())
        clock.sleep_until(self._deadline)
        began = self._slackened(self._accepted)
        self._latest = observation = self.robot.observe()
        self._settle(observation, wanted, proposed, began, axes)
        self.steps += 1
        held = observation.executed.mode >= GuardMode.HOLD
        verdict, self.seen = self._verdict(), self._observation()
        done = self.task.success(observation)
        called = self.classifier is not None and self.classifier.sees_success(self.seen)
        success = verdict == "success" or (verdict is None and (done if self.classifier is None else called))
        failed = held and observation.executed.stop_limit in FAILURES
        terminated = (success and self.options.ends_on_success) or failed
        truncated = not terminated and (held or self._stopped() or self.steps >= self.max_steps or verdict is not None)
        human = observation.executed.source == Source.HUMAN
        before, self._potential = self._potential, self._progress()
        info = {
            "executed_action": self._executed.copy(),
            "proposed_action": proposed,
            "source": observation.executed.source,
            "intervention_start": human and not self._human,
            "success": success,
            "discarded": verdict == "discard",
            "held": held,
            "reward_inputs": {
                "potential": before,
                "next_potential": self._potential,
                "key": float(verdict == "success") - float(verdict == "failure"),
                "classifier": float(called),
            },
        }
        self._human, self.info = human, info
        if terminated or truncated:
            self.robot.end_episode()
        return self.seen, float(done or verdict == "success"), terminated, truncated, info

    def render(self) -> np.ndarray | None:
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

    def _verdict(self) -> str | None:
        """What the operator says of this episode, which then ends; None where they say nothing."""
        verdict = getattr(getattr(self.robot, "teleop", None), "verdict", None)
        return verdict() if verdict is not None else None

    def _progress(self) -> float:
        """How far the task is, about 0 at the start and 1 at success; 0 where the task cannot tell."""
        progress = getattr(self.task, "progress", None)
        return float(progress()) if progress is not None else 0.0

    def _stopped(self) -> bool:
        """Whether the operator ended the episode, where the task has one to ask."""
        stopped = getattr(self.task, "stopped", None)
        return stopped is not None and bool(stopped())

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
        x, y, z, rx, ry, rz = excess
        return pose_add(target, (-x, -y, -z, -rx, -ry, -rz)) if any(excess) else target

    def _settle(
        self, observation: RobotObservation, wanted: Pose, proposed: np.ndarray, began: Pose, axes: Quaternion
    ) -> None:
        """Work out what was executed: the move of the accepted target since ``began``, and the gripper target left."""
        executed = observation.executed
        obeyed = executed.source == Source.POLICY and not executed.refusals and executed.target == wanted
        if obeyed:
            self._executed[:6] = proposed[:6]
        else:
            delta = rotate6(quat_inverse(axes), pose_delta(began, executed.target))
            self._executed[:6] = np.clip(np.asarray(delta) / self.action_scale[:6], -1.0, 1.0)
        if self.task.spec.gripper:
            self._executed[6] = self._gripper = float(executed.gripper)
        # A command still on its way (latency beyond one period) is not refused: keep building on it.
        refused = executed.source != Source.POLICY or bool(executed.refusals)
        self._target = executed.target if refused else wanted
        self._accepted = executed.target

    def _observation(self) -> dict[str, np.ndarray]:
        observation, in_task = self._latest, self.options.frame == "task"
        origin = self.task.task_frame if in_task else self._origin
        features = self.task.features(observation) if self._features else np.zeros(0)
        state = self._state(observation, origin, self._action_axes(), self._executed, features)
        return {"state": state} | {name: observation.frames[name].image for name in self.options.cameras}

    def _action_axes(self) -> Quaternion:
        """The axes of actions, twists and wrenches, as a rotation of base axes."""
        return self._latest.arm.T_base_ee.quat_xyzw if self.options.frame == "end_effector" else IDENTITY


def _classifier(options: EnvOptions) -> SuccessClassifier | None:
    if options.classifier is None:
        return None
    from robot_rl.success_classifier import load_classifier

    return load_classifier(options.classifier, dict.fromkeys(options.cameras, options.image_size))


def _beyond(vector: tuple[float, float, float], limit: float) -> tuple[float, float, float]:
    """The part of ``vector`` that its length exceeds ``limit`` by."""
    x, y, z = vector
    length = hypot(x, y, z)
    share = 1.0 - limit / length if length > limit else 0.0
    return share * x, share * y, share * z
