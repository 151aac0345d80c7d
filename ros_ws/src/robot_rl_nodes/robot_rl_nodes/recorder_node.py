"""What all nodes say, kept in MCAP files: ticks, commands and images included. Episodes are the actor's, not this.

Images come by best effort. What the middleware lost on the way here is counted, and said.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from hardware.cell import load_cell
from hardware.clock import RealClock
from hardware.interfaces import Clock
from robot_rl_nodes.bag import Bag, message_class
from robot_rl_nodes.cell_devices import require_camera
from robot_rl_nodes.diagnostics import Health
from robot_rl_nodes.parameters import declare, parameter
from robot_rl_nodes.ros import Spinning, on_loss, qos, run_node
from robot_rl_nodes.topics import Topic, recorded

FLUSH_S, DEPTH = 0.25, 100


@dataclass(frozen=True)
class RecorderParameters:
    """What the node is started with."""

    cell: str = parameter("twin", "cell by name, or the path of its .toml file")
    cameras: str = parameter("all", "cameras to record, separated by commas: all, none, or names in the cell file")
    out: str = parameter("bag", "folder; each start begins a new file there")


def run(node: Any, stop: Event) -> None:
    """Record until ``stop``."""
    given = declare(node, RecorderParameters)
    cell, clock, say = load_cell(given.cell), RealClock(), node.get_logger().info
    names = {"all": list(cell.cameras), "none": []}.get(given.cameras, given.cameras.split(","))
    for name in names:
        require_camera(cell, name)
    bag, health, lost = Bag(Path(given.out)), Health(node, clock), dict[str, int]()
    least = cell.profile("collaborative").min_disk_bytes
    for topic in recorded(names):
        try:
            subscribe(node, topic, bag, clock, lost)
        except ImportError:
            say(f"not recorded: {topic.name}, {topic.type.split('/')[0]} is not installed")
    spinning = Spinning(node)
    try:
        while not stop.wait(FLUSH_S):
            bag.flush()
            if shutil.disk_usage(given.out).free < least:  # What is left is for episodes.
                raise OSError(f"less than {least / 1e9:g} GB are free at '{given.out}': the bag ends here (S26)")
            health.report(f"{bag.count.total()} messages", {f"lost {name}": n for name, n in lost.items()})
    finally:
        spinning.close()
        say(f"{bag.close(lost)}: {bag.count.total()} messages; lost on the way here: {lost or 'none'}")


def subscribe(node: Any, topic: Topic, bag: Bag, clock: Clock, lost: dict[str, int]) -> None:
    """Each message of ``topic`` into ``bag``; in ``lost``, by name, how many never came."""
    name, wanted = node.resolve_topic_name(topic.name), qos(topic)
    wanted.depth = max(wanted.depth, DEPTH)  # It keeps no time: what comes while it compresses must wait.
    told = on_loss(lambda count: lost.update({name: count}))

    def keep(data: bytes) -> None:
        bag.add(name, topic.type, clock.now(), data)

    node.create_subscription(message_class(topic.type), name, keep, wanted, raw=True, event_callbacks=told)


def main() -> int:
    return run_node("recorder", run)


if __name__ == "__main__":
    sys.exit(main())
