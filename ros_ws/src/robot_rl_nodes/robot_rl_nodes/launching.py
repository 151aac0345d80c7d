"""The table of nodes as actions of ``ros2 launch``; needs a ROS installation."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from robot_rl_nodes.node_table import ACTOR, GUARD, LEARNER, NodeSpec, ProcessSpec
from robot_rl_nodes.ros import set_environment


def ends_all(name: str, code: int) -> bool:
    """Whether all ends where the node ``name`` has ended with that exit code."""
    return {GUARD: True, ACTOR: code != 0, LEARNER: code == 0}.get(name, False)


def actions(nodes: Sequence[ProcessSpec]) -> list[Any]:
    """Each as a process by its command line, which needs no package to be looked up. Launch ends them all when the
    guard ends, the actor fails, or the learner is done; cameras, teleop and a learner that failed are started again."""
    from launch.actions import ExecuteProcess, Shutdown
    from launch_ros.actions import Node

    set_environment()
    made = []
    for node in nodes:

        def on_exit(event: Any, context: Any, name: str = node.name) -> Any:
            return Shutdown(reason=f"the {name} ended") if ends_all(name, event.returncode) else None

        common = {"output": "screen", "respawn": node.restarts, "respawn_delay": 1.0, "on_exit": on_exit}
        if isinstance(node, NodeSpec):  # Namespaces and remaps of a launch file that includes ours reach it.
            made.append(Node(executable=sys.executable, exec_name=node.name, arguments=node.arguments, **common))
        else:
            made.append(ExecuteProcess(cmd=node.command, name=node.name, **common))
    return made
