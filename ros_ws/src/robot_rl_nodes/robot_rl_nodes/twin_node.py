"""The twin at the topics of a real cell: physics in real time, a scene for camera and teleop nodes, ``/clock``."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from rosgraph_msgs.msg import Clock as ClockMessage

from hardware.cell import load_cell
from hardware.clock import RealClock
from hardware.devices import runtime_folder
from hardware.timekeeping import take_priority
from robot_rl_nodes import topics
from robot_rl_nodes.conversions import to_time
from robot_rl_nodes.diagnostics import Health
from robot_rl_nodes.parameters import declare, parameter
from robot_rl_nodes.ros import PRIORITY, qos, run_node
from sim.arm_server import serve_scene
from sim.scene_server import Scene


@dataclass(frozen=True)
class TwinParameters:
    """What the node is started with."""

    task: str = parameter("reach", "task by name, for its scene")
    cell: str = parameter("twin", "cell by name, or the path of its .toml file")
    folder: str = parameter("", "where the processes of the cell meet; the cell's own by default")
    person: str = parameter("none", "who sits at the teleop device: none, novice, intermediate, expert")
    takeover: str = parameter(
        "watchful", "when the person takes over: watchful, no_progress, leaving_funnel, always, never"
    )
    seed: int = parameter(0, "seed of the scene and of the person", 0, 2**31 - 1)
    log: str = parameter("", "file for a log of every physics step")


def run(node: Any, stop: Event) -> None:
    """Serve until ``stop``."""
    given = declare(node, TwinParameters)
    folder = Path(given.folder) if given.folder else runtime_folder(load_cell(given.cell).name)
    person = None if given.person == "none" else given.person
    scene = Scene(given.task, person, given.takeover, given.seed)
    publisher = node.create_publisher(ClockMessage, topics.CLOCK.name, qos(topics.CLOCK))
    clock = RealClock()
    health = Health(node, clock)
    take_priority(PRIORITY)

    def tell(now: float) -> None:
        publisher.publish(ClockMessage(clock=to_time(now)))
        health.count()
        health.report(f"twin of {given.task}")

    clock.every(1.0 / topics.CLOCK.hz, tell)
    steps, lost_s = serve_scene(scene, folder, stop, given.seed, Path(given.log) if given.log else None)
    clock.close()
    node.get_logger().info(f"{steps} physics steps; {lost_s:.1f} s of real time given up")


def main() -> int:
    return run_node("twin", run)


if __name__ == "__main__":
    sys.exit(main())
