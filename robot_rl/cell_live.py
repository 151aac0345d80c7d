"""What a real cell's run tells a console that finds it (:mod:`robot_rl.cell_console`), while one watches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hardware.local_robot import LocalRobot
from robot_rl.console.broadcast import Broadcast
from robot_rl.console.live import Live, Loop
from robot_rl.env import RobotEnv


class CellLive(Live):
    """Makes snapshots of a real cell, while a console watches."""

    robot: LocalRobot

    def __init__(self, env: RobotEnv, loop: Loop, broadcast: Broadcast) -> None:
        super().__init__(env, loop, broadcast.put)
        self._broadcast = broadcast
        self._period_s = self.robot.cell.guard_period_s
        self.start(self._period_s, 0.5 * self._period_s)

    def late(self, now: float) -> bool:
        """Half a period ago a tick was due: it has not begun."""
        return now - self.robot.guard.state.tick_s > 1.25 * self._period_s

    def look(self) -> Mapping[str, Any]:
        # Of the newest step: another thread asks no camera, drivers need not bear that. Between episodes they age.
        frames = self.env.latest.frames if self._loop.actions else {}
        return {"frames": frames, "positions": np.array(self.robot.arm_state.joint_positions_rad)}

    def _capture(self, now: float) -> None:
        if self._broadcast.watched:
            super()._capture(now)
