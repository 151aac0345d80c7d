"""A policy in a process of its own for the fault rig: sweeps the arm to and fro while the guard lets it, and asks for
nothing else. What it was stopped for is said all at once afterwards: a stale burst.

``python -m benchmarks.ros_driver``; the twin's nodes must run.
"""

from __future__ import annotations

import signal
from math import copysign
from threading import Event

from hardware.cell import load_cell
from hardware.interfaces import ArmCommand, GuardMode, Pose
from hardware.timekeeping import take_priority
from robot_rl_nodes.ros import PRIORITY
from robot_rl_nodes.ros_robot import RosRobot

SPEED_M_S, HALF_SWEEP_M, HZ = 0.12, 0.10, 10.0


def main() -> None:
    stop = Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    robot = RosRobot(load_cell("twin"), name="driver")
    take_priority(PRIORITY)  # As an actor node does.
    clock, direction, due_s, target = robot.clock, 1.0, robot.clock.now(), None
    while not stop.is_set():
        executed = robot.observe().executed
        if executed.mode not in (GuardMode.ARMED, GuardMode.RUNNING):
            target = None
        else:
            x, y, z = executed.target.position_m if target is None else target.position_m
            if abs(y) > HALF_SWEEP_M:
                direction = -copysign(1.0, y)
            target = Pose((x, y + direction * SPEED_M_S / HZ, z), executed.target.quat_xyzw)
            robot.command(ArmCommand(target))
        due_s += 1.0 / HZ  # No deadline is skipped.
        clock.sleep_until(due_s)
    robot.close()


if __name__ == "__main__":
    main()
