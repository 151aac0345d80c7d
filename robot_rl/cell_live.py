"""What a real cell's run tells a console that finds it (:mod:`robot_rl.cell_console`), while one watches."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from hardware.local_robot import LocalRobot
from robot_rl.console.broadcast import Broadcast
from robot_rl.console.live import Live, Loop
from robot_rl.env import RobotEnv

_LOG = logging.getLogger(__name__)


class CellLive(Live):
    """Makes snapshots of a real cell, while a console watches."""

    robot: LocalRobot

    def __init__(self, env: RobotEnv, loop: Loop, broadcast: Broadcast) -> None:
        super().__init__(env, loop, broadcast.put)
        self._broadcast, self._given_up = broadcast, False
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
            self._harmlessly(super()._capture, now)

    def _note_tick(self, now: float) -> None:
        self._harmlessly(super()._note_tick, now)

    def _harmlessly(self, call: Callable[[float], None], now: float) -> None:
        """A clock ends the run where what it calls fails; to be shown is not worth that."""
        if self._given_up:
            return
        try:
            call(now)
        except Exception as error:
            self._given_up = True
            _LOG.warning("nothing more is shown on a console (%s: %s); the robot goes on", type(error).__name__, error)
