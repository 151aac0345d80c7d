"""The task of an environment whose twin is another process (:mod:`sim.scene_server`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from hardware.interfaces import Pose, ResetPlan, RobotObservation
from sim.remote_scene import SceneMirror


class MirrorTask:
    """Implements :class:`robot_rl.task.Task` for an environment whose twin is another process."""

    def __init__(self, path: Path):
        self.mirror = SceneMirror(path)
        self.spec = self.mirror.task.spec
        self._begun = False

    def reset(self, rng: np.random.Generator, teleport: bool) -> ResetPlan:
        """Draw a scene and have the twin arrange it; with ``teleport`` the twin also places the arm."""
        self.mirror.refresh()
        task = self.mirror.task
        if teleport:
            plan = task.apply_setup(task.draw(rng))
            setup = dict(task.setup)
            return replace(plan, teleport=lambda: self.mirror.ask("teleport", setup=setup))
        drawn = task.draw(rng)
        setup = task.untouched(drawn) if self._begun else drawn
        self.mirror.ask("arrange", setup=setup, anew=not self._begun)
        self._begun = True
        plan = task.apply_setup(setup)
        x, y, z = task.world.site_pose("ee").position_m
        above = Pose((x, y, z + task.lift_m), task.world.site_pose("ee").quat_xyzw)
        return replace(plan, teleport=None, waypoints=(above,))

    @property
    def setup(self) -> Mapping[str, float | list[float]]:
        return self.mirror.task.setup

    @property
    def task_frame(self) -> Pose:
        return self.mirror.task.task_frame

    def features(self, observation: RobotObservation) -> np.ndarray:
        return self.mirror.task.features(observation)

    def success(self, observation: RobotObservation) -> bool:
        self.mirror.refresh()
        return self.mirror.task.success(observation)

    def progress(self) -> float:
        self.mirror.refresh()
        return self.mirror.task.progress()

    def snapshot(self) -> np.ndarray:
        """The physics state as far as it is mirrored: where everything is and moves."""
        self.mirror.refresh()
        return self.mirror.task.snapshot()

    def rest(self) -> None:
        """Tell the person that no episode runs."""
        self.mirror.ask("rest")

    def new_episode(self, seed: int) -> None:
        """Tell the person that one begins."""
        self.mirror.ask("new_episode", seed=seed)
