"""The teleop device of a cell, read and passed on at 100 Hz: a dead node is silent, and repeats no last twist."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from sensor_msgs.msg import Joy

from hardware.cell import load_cell
from hardware.clock import RealClock
from hardware.timekeeping import take_priority
from robot_rl_nodes import topics
from robot_rl_nodes.cell_devices import devices_for, patiently
from robot_rl_nodes.diagnostics import Health
from robot_rl_nodes.parameters import declare, parameter
from robot_rl_nodes.ros import PRIORITY, qos, run_node
from robot_rl_nodes.standard_messages import to_joy


@dataclass(frozen=True)
class TeleopParameters:
    """What the node is started with."""

    cell: str = parameter("twin", "cell by name, or the path of its .toml file")
    devices: str = parameter("", "module:function instead of the cell's own")
    folder: str = parameter("", "where the processes of the cell meet; the cell's own by default")
    rate_hz: float = parameter(topics.TELEOP.hz, "how often the device is read", 20.0, 1000.0)


def run(node: Any, stop: Event) -> None:
    """Read the device on absolute deadlines; what is not read is not said (S13)."""
    given = declare(node, TeleopParameters)
    teleop = devices_for(load_cell(given.cell), given.devices, Path(given.folder)).teleop
    clock = RealClock()
    patiently(teleop.connect, clock, stop)
    publisher = node.create_publisher(Joy, topics.TELEOP.name, qos(topics.TELEOP))
    health = Health(node, clock)
    take_priority(PRIORITY)

    def pass_on(now: float) -> None:
        publisher.publish(to_joy(teleop.read(now)))
        health.count()

    period_s = 1.0 / given.rate_hz
    clock.every(period_s, pass_on, 0.5 * period_s)  # Between the ticks of the guard, not just after them.
    while not stop.wait(0.2):
        clock.sleep_until(clock.now())  # Raises what ended the reading.
        health.report(f"{given.rate_hz:g} samples/s wanted")
    clock.close()
    teleop.close()


def main() -> int:
    return run_node("teleop", run)


if __name__ == "__main__":
    sys.exit(main())
