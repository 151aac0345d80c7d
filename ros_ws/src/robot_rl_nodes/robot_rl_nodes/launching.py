"""The table of nodes as actions of ``ros2 launch``; needs a ROS installation."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from robot_rl_nodes.node_table import GUARD, NodeSpec
from robot_rl_nodes.ros import set_environment


def actions(nodes: Sequence[NodeSpec]) -> list[Any]:
    """Each node as a process by its module, which needs no package to be looked up. Launch ends them all when the guard
    ends; cameras and teleop are started again."""
    from launch.actions import Shutdown
    from launch_ros.actions import Node

    set_environment()
    return [
        Node(
            executable=sys.executable,
            arguments=node.arguments,
            output="screen",
            respawn=node.restarts,
            respawn_delay=1.0,
            on_exit=Shutdown(reason="the guard ended") if node.name == GUARD else None,
        )
        for node in nodes
    ]
