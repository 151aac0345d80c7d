"""A twin that somebody watches: paced to real time, with snapshots of it on their way to a console."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, cast

import mujoco
import numpy as np

from hardware.interfaces import CameraFrame, Refusal, Source
from hardware.local_robot import LocalRobot
from robot_rl.console.snapshot import HELPED, SUCCESS, Snapshot
from robot_rl.console.timing import LoopTimes, Tick
from robot_rl.env import RobotEnv
from robot_rl.rollout import Rollout
from sim.scene import body_poses
from sim.tasks.base import TwinTask
from sim.world import RendererUnavailable, new_renderer

SNAPSHOT_S = 0.05
"""How often the world is looked at, by its own clock."""
MAX_LAG_S = 0.05
"""A machine that falls this far behind gives the difference up rather than hurry afterwards."""
VIEWS = ("scene", "front")
VIEW_PX = (240, 320)
PROGRESS = 0.02
"""A gain in the task's potential smaller than this is none."""


class Pacer:
    """A periodic call that holds simulated time back to ``speed`` times real time."""

    def __init__(self, speed: float = 1.0) -> None:
        self.speed = speed
        self.late_s = 0.0
        """By how much the newest call ended after it was due."""
        self._began: tuple[float, float] | None = None
        self._average, self._noted = speed, (time.monotonic(), 0.0)

    def __call__(self, now: float) -> None:
        real = time.monotonic()
        if self._began is None or now < self._began[1]:
            self._began = (real, now)
            self._noted = (real, now)
        due = self._began[0] + (now - self._began[1]) / self.speed
        if due > real:
            time.sleep(due - real)
        self.late_s = time.monotonic() - due
        if self.late_s > MAX_LAG_S:
            self._began = (real, now)

    def pace(self, now: float) -> float:
        """Simulated seconds a real one, since it was last asked, smoothed."""
        real = time.monotonic()
        passed, self._noted = (real - self._noted[0], now - self._noted[1]), (real, now)
        if passed[0] > 0.0 and passed[1] >= 0.0:
            self._average += 0.1 * (passed[1] / passed[0] - self._average)
        return self._average


@dataclass
class _Stall:
    """Since when the task has come no nearer."""

    best: float = -inf
    since_s: float = 0.0

    def seconds(self, potential: float, now: float) -> float:
        if potential > self.best + PROGRESS:
            self.best, self.since_s = potential, now
        return now - self.since_s


class LiveTwin:
    """Makes snapshots of the environment's twin, on the control thread, between physics steps."""

    def __init__(self, rollout: Rollout, put: Callable[[Snapshot], None], speed: float = 1.0) -> None:
        """``rollout``: what steps the twin. ``put``: what takes snapshots, at once. ``speed``: simulated seconds a real
        one; ``inf`` runs as fast as it can."""
        self._rollout, self._put = rollout, put
        self.env = env = cast(RobotEnv, rollout.env)
        self.robot, self.world = cast(LocalRobot, env.robot), cast(TwinTask, env.task).world
        self.training: Mapping[str, float] = {}
        """The newest row of metrics of whatever learns here."""
        self.outcomes = np.zeros(0, np.uint8)
        """Of each finished episode, as in a snapshot."""
        self._refusal: tuple[float, Refusal] | None = None
        self._episode, self._human, self._stall = 0, 0, _Stall()
        self._steps = 0
        self._info: Mapping[str, Any] = env.info
        self.pacer, self._times = Pacer(speed), LoopTimes(env.task.spec.control_hz)
        self._late_s = self.robot.cell.guard_period_s / speed
        if speed < inf:
            self.robot.clock.every(self.robot.cell.guard_period_s, self.pacer)
        self.robot.clock.every(self.robot.cell.guard_period_s, self._note_tick)
        self.robot.clock.every(SNAPSHOT_S, self._capture)

    def finished(self, success: bool, helped: bool) -> None:
        """An episode ended."""
        self.outcomes = np.append(self.outcomes, np.uint8(SUCCESS * success + HELPED * helped))

    def _capture(self, now: float) -> None:
        executed, info, data = self.robot.executed, self.env.info, self.world.data
        if executed.refusals:
            self._refusal = (now, executed.refusals[-1])
        self._note_step(now, info)
        if self._refusal is not None:
            at_s, refusal = self._refusal
        snapshot = Snapshot(
            stamp_s=now,
            hand=self.robot.arm_state.T_base_ee,
            mode=executed.mode,
            reason=executed.reason,
            source=executed.source,
            gripper=executed.gripper,
            accepted=executed.target,
            proposed=executed.proposed,
            refusal=None if self._refusal is None else (refusal.limit, refusal.amount, now - at_s),
            trouble=getattr(self.robot.teleop, "trouble", ""),
            proposed_action=tuple(info["proposed_action"].tolist()) if info else (),
            executed_action=tuple(info["executed_action"].tolist()) if info else (),
            episode=self._episode,
            step=self.env.steps,
            human_steps=self._human,
            stalled_s=self._stall.seconds(info["reward_inputs"]["next_potential"], now) if info else 0.0,
            pace=self.pacer.pace(now),
            timing=self._times.newest,
            training=self.training,
            frames=self.env.latest.frames if info else {},
            body_poses=body_poses(data),
            positions=np.concatenate([data.qpos, data.mocap_pos.ravel(), data.mocap_quat.ravel()]),
            outcomes=self.outcomes,
        )
        self._put(snapshot)

    def _note_tick(self, now: float) -> None:
        commanded_s, rollout = self.robot.guard.state.mux.commanded_s, self._rollout
        if not rollout.running or commanded_s is None:  # Between episodes nothing is commanded.
            return
        seen = self.env.latest
        oldest_s = min((frame.stamp_s for frame in seen.frames.values()), default=seen.arm.stamp_s)
        late = self.pacer.late_s > self._late_s
        tick = Tick(now - commanded_s, now - oldest_s, rollout.inference_s, rollout.actions, late)
        self._times.note(tick)

    def _note_step(self, now: float, info: Mapping[str, Any]) -> None:
        if self.env.steps < self._steps or (self.env.steps and not self._episode):
            self._episode, self._human, self._stall = self._episode + 1, 0, _Stall(since_s=now)
        if info and info is not self._info:
            self._human += info["source"] == Source.HUMAN
        self._steps, self._info = self.env.steps, info


class Eyes:
    """Draws views of a twin from its snapshots, over a model of its own; without a renderer, none."""

    def __init__(self, model: mujoco.MjModel, views: tuple[str, ...] = VIEWS) -> None:
        self._model, self._views = model, views
        self._data = mujoco.MjData(model)
        self._fixed = np.flatnonzero((model.body_jntnum == 0) & (model.body_parentid == 0) & (model.body_mocapid < 0))
        self._renderer: mujoco.Renderer | None = None
        self._blind = False

    def __call__(self, snapshot: Snapshot) -> Mapping[str, CameraFrame]:
        """The policy's own frames, or where it has no camera these views."""
        if snapshot.frames or not snapshot.positions.size or self._blind:
            return snapshot.frames
        data, model, fixed = self._data, self._model, self._fixed
        qpos, positions, quats = np.split(snapshot.positions, [model.nq, model.nq + 3 * model.nmocap])
        data.qpos[:], data.mocap_pos[:], data.mocap_quat[:] = qpos, positions.reshape(-1, 3), quats.reshape(-1, 4)
        # Where a task put its fixtures stands in its model, which this is not.
        model.body_pos[fixed], model.body_quat[fixed] = snapshot.body_poses[fixed, :3], snapshot.body_poses[fixed, 3:]
        mujoco.mj_kinematics(model, data)
        mujoco.mj_camlight(model, data)
        try:
            self._renderer = self._renderer or new_renderer(model, *VIEW_PX)
        except RendererUnavailable:
            self._blind = True
            return {}
        return {name: self._draw(self._renderer, name, snapshot.stamp_s) for name in self._views}

    def _draw(self, renderer: mujoco.Renderer, name: str, stamp_s: float) -> CameraFrame:
        renderer.update_scene(self._data, name)
        return CameraFrame(stamp_s, round(stamp_s / SNAPSHOT_S), renderer.render())
