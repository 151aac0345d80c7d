"""A robot whose guard lives in the process that commands it: kept in time, and brought to rest before it is let go of.

A guard that must outlive whoever commands it is a process of its own: :mod:`hardware.guard_process`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from hardware.arrival import is_still
from hardware.cell import Cell
from hardware.interfaces import Arm, Camera, Clock, GuardMode, TeleopDevice
from hardware.local_robot import LocalRobot
from hardware.timekeeping import TickTimes, keeping_time

_STOP_TIMEOUT_S, _POLL_S = 2.0, 0.02


@contextmanager
def guarding_here(
    arm: Arm, cameras: Mapping[str, Camera], teleop: TeleopDevice, cell: Cell, clock: Clock, **options: Any
) -> Iterator[tuple[LocalRobot, TickTimes]]:
    """A :class:`LocalRobot` of these, connected, and when its guard ticked. However this ends, Ctrl-C and SIGTERM
    included, the arm is brought to rest first; then everything is closed."""
    with keeping_time(clock, cell.guard_period_s) as times:
        robot = LocalRobot(arm, cameras, teleop, cell, clock, **options)
        try:
            yield robot, times
        finally:
            try:
                come_to_rest(robot, "the program that commands it ends")
            finally:
                getattr(clock, "close", lambda: None)()  # No tick reads an arm that is closed.
                robot.close()


def come_to_rest(robot: LocalRobot, reason: str) -> None:
    """Hold an arm that moves, and return when it stands, or after 2 s."""
    if stands(robot):
        return
    robot.hold(reason)
    deadline_s = robot.clock.now() + _STOP_TIMEOUT_S
    while not stands(robot) and robot.clock.now() < deadline_s:
        robot.clock.sleep_until(robot.clock.now() + _POLL_S)


def stands(robot: LocalRobot) -> bool:
    """Nothing is commanded, or the reference rests and the arm with it."""
    return robot.guard.mode is GuardMode.DISARMED or (robot.guard.at_rest and is_still(robot.arm_state))
