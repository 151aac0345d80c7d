"""Where frames are, for people's tools."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from geometry_msgs.msg import TransformStamped

from robot_rl_nodes.ros import qos
from robot_rl_nodes.topics import Topic


def transforms(node: Any, topic: Topic) -> Callable[[TransformStamped], None]:
    """What says a transform on ``topic``; where ``tf2_msgs`` is not installed, as in the wheels, it says nothing."""
    try:
        from tf2_msgs.msg import TFMessage
    except ImportError:
        return lambda transform: None
    publisher = node.create_publisher(TFMessage, topic.name, qos(topic))
    return lambda transform: publisher.publish(TFMessage(transforms=[transform]))
