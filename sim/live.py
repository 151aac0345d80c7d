"""A twin that somebody watches: paced to real time, with snapshots of it on their way to a console."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from math import inf
from typing import Any, cast

import mujoco
import numpy as np

from hardware.interfaces import CameraFrame
from hardware.local_robot import LocalRobot
from robot_rl.console.live import SNAPSHOT_S, Live
from robot_rl.console.snapshot import Snapshot
from robot_rl.env import RobotEnv
from robot_rl.rollout import Rollout
from sim.scene import body_poses
from sim.tasks.base import TwinTask
from sim.world import RendererUnavailable, new_renderer

MAX_LAG_S = 0.05
"""A machine that falls this far behind gives the difference up rather than hurry afterwards."""
VIEWS = ("scene", "front")
VIEW_PX = (240, 320)


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


class LiveTwin(Live):
    """Makes snapshots of the environment's twin, on the control thread, between physics steps."""

    def __init__(self, rollout: Rollout, put: Callable[[Snapshot], None], speed: float = 1.0) -> None:
        """``rollout``: what steps the twin. ``put``: what takes snapshots, at once. ``speed``: simulated seconds a real
        one; ``inf`` runs as fast as it can."""
        env = cast(RobotEnv, rollout.env)
        super().__init__(env, rollout, put)
        robot, self.world = cast(LocalRobot, env.robot), cast(TwinTask, env.task).world
        period_s = robot.cell.guard_period_s
        self.pacer, self._late_s = Pacer(speed), period_s / speed
        if speed < inf:
            robot.clock.every(period_s, self.pacer)
        self.start(period_s)

    def pace(self, now: float) -> float:
        return self.pacer.pace(now)

    def late(self, now: float) -> bool:
        return self.pacer.late_s > self._late_s

    def look(self) -> Mapping[str, Any]:
        data = self.world.data
        return {
            "frames": self.env.latest.frames if self.env.info else {},
            "body_poses": body_poses(data),
            "positions": np.concatenate([data.qpos, data.mocap_pos.ravel(), data.mocap_quat.ravel()]),
        }


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
