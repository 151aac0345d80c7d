"""What all nodes say, kept in MCAP files: ticks, commands and images included. Episodes are the actor's, not this.

It has no priority. What was lost on the way here is counted by the publishers' own numbers (none on Humble), and said.
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
from robot_rl_nodes.ros import Spinning, qos, run_node
from robot_rl_nodes.topics import HEALTH, Topic, recorded

FLUSH_S, IMAGES, OTHERS = 0.25, 60, 2_000


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
    bag, health, least = Bag(Path(given.out)), Health(node, clock), cell.profile("collaborative").min_disk_bytes
    for topic in recorded(names):
        try:
            subscribe(node, topic, bag, clock)
        except ImportError:
            say(f"not recorded: {topic.name}, {topic.type.split('/')[0]} is not installed")
    spinning = Spinning(node, events=False)  # The other loses what is known about a message that stays serialized.
    try:
        while not stop.wait(FLUSH_S):
            bag.flush()
            if shutil.disk_usage(given.out).free < least:  # What is left is for episodes (S26).
                raise OSError(f"less than {least / 1e9:g} GB are free at '{given.out}': the bag ends here")
            health.report(f"{bag.count.total()} messages", {f"lost {name}": n for name, n in dict(bag.lost).items()})
    finally:
        spinning.close()
        say(f"{bag.close()}: {bag.count.total()} messages; lost on the way here: {dict(bag.lost) or 'none'}")


def subscribe(node: Any, topic: Topic, bag: Bag, clock: Clock) -> None:
    """Each message of ``topic`` into ``bag``."""
    name, wanted = node.resolve_topic_name(topic.name), qos(topic)
    wanted.depth = IMAGES if "Image" in topic.type else OTHERS  # It keeps no time: what comes meanwhile must wait.

    def keep(data: bytes, about: dict[str, Any]) -> None:
        publisher = about.get("publisher_gid", {}).get("data", b"")
        number = about.get("publication_sequence_number") if publisher or topic is not HEALTH else None
        bag.add(name, topic.type, clock.now(), data, publisher, number)

    node.create_subscription(message_class(topic.type), name, keep, wanted, raw=True)


def main() -> int:
    return run_node("recorder", run)


if __name__ == "__main__":
    sys.exit(main())
