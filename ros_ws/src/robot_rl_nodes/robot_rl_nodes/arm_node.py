"""The guarded arm: the only node that reaches it. The guard ticks on absolute deadlines in a thread of its own
(:mod:`hardware.guard_process`); what other nodes say is laid down for it, and what it did is told by another thread.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from hardware.cell import load_cell
from hardware.clock import RealClock
from hardware.guard_process import guarding
from robot_rl_nodes.cell_devices import PatientDevices, devices_for, require_camera
from robot_rl_nodes.guard_inbox import GuardInbox
from robot_rl_nodes.guard_voice import GuardVoice
from robot_rl_nodes.parameters import declare, parameter
from robot_rl_nodes.ros import Spinning, run_node
from robot_rl_nodes.topic_devices import TopicCamera, TopicTeleop


@dataclass(frozen=True)
class ArmParameters:
    """What the node is started with."""

    cell: str = parameter("twin", "cell by name, or the path of its .toml file")
    devices: str = parameter("", "module:function instead of the cell's own")
    folder: str = parameter("", "lock, socket and black box; the cell's own by default")
    profile: str = parameter("collaborative", "limits of the cell to enforce")
    task: str = parameter("", "what the arm is to do, by its name in the cell file")
    control_hz: float = parameter(10.0, "rate of an actor's commands; without them the guard holds", 1.0, 100.0)
    teleop_m_s: float = parameter(0.08, "speed of the person's target at full deflection, per axis", 0.001, 1.0)
    teleop_rad_s: float = parameter(0.6, "the same for rotation", 0.01, 6.0)
    teleop: bool = parameter(True, "whether a teleop node belongs to the cell")
    cameras: str = parameter("", "cameras that must stream, separated by commas")
    realtime: bool = parameter(True, "ask the system for real-time scheduling")
    clock: bool = parameter(False, "publish /clock (in a twin its own node does)")


def run(node: Any, stop: Event) -> None:
    """Guard until ``stop``; then the arm is brought to rest."""
    given = declare(node, ArmParameters)
    cell, clock = load_cell(given.cell), RealClock()
    cell.whole_arm(given.profile, given.task)  # Raises for what there is not, before anything moves.
    own = devices_for(cell, given.devices, Path(given.folder))
    inbox = GuardInbox(node, clock)
    names = [name.strip() for name in given.cameras.split(",") if name.strip()]
    for name in names:
        require_camera(cell, name)
    cameras = {name: TopicCamera(node, name, clock, inbox.corrupt, images=False) for name in names}
    teleop = TopicTeleop(node, clock, inbox.corrupt) if given.teleop else own.teleop
    spinning = Spinning(node, inbox.corrupt)
    devices = PatientDevices(own.arm, teleop, cameras, clock, stop)
    speed = (given.teleop_m_s, given.teleop_rad_s)
    limits = (given.profile, given.realtime, given.control_hz, given.task, speed)
    try:
        with guarding(cell, devices, own.folder, *limits) as process:
            voice = GuardVoice(node, process, publish_clock=given.clock)
            inbox.open(process, voice)
            process.run(stop)
            inbox.shut()
            node.get_logger().info(f"ticks, ms: {json.dumps(process.times.percentiles(skip=100))}")
            voice.close()
    finally:
        spinning.close()


def main() -> int:
    return run_node("arm", run)


if __name__ == "__main__":
    sys.exit(main())
