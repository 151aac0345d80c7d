"""The table of nodes as actions of ``ros2 launch``; needs a ROS installation."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from robot_rl_nodes.node_table import ACTOR, GUARD, NodeSpec, ProcessSpec
from robot_rl_nodes.ros import set_environment


def actions(nodes: Sequence[ProcessSpec]) -> list[Any]:
    """Each as a process by its command line, which needs no package to be looked up. Launch ends them all when the
    guard or the actor ends; cameras, teleop and learner are started again."""
    from launch.actions import ExecuteProcess, Shutdown
    from launch_ros.actions import Node

    set_environment()
    made = []
    for node in nodes:
        ends = Shutdown(reason=f"the {node.name} ended") if node.name in (GUARD, ACTOR) else None
        common = {"output": "screen", "respawn": node.restarts, "respawn_delay": 1.0, "on_exit": ends}
        if isinstance(node, NodeSpec):  # Namespaces and remaps of a launch file that includes ours reach it.
            made.append(Node(executable=sys.executable, arguments=node.arguments, **common))
        else:
            made.append(ExecuteProcess(cmd=node.command, **common))
    return made
