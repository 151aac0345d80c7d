"""How a node is, on ``/diagnostics``, once a second."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from hardware.interfaces import Clock
from robot_rl_nodes import topics
from robot_rl_nodes.conversions import to_time
from robot_rl_nodes.ros import qos


def status_message(
    stamp_s: float, name: str, says: str, values: Mapping[str, Any], level: bytes = DiagnosticStatus.OK
) -> DiagnosticArray:
    """One status."""
    pairs = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
    message = DiagnosticArray(status=[DiagnosticStatus(level=level, name=name, message=says, values=pairs)])
    message.header.stamp = to_time(stamp_s)
    return message


class Health:
    """Counts what a node does; :meth:`report` says how often a second, once a second."""

    def __init__(self, node: Any, clock: Clock):
        self._node, self._clock = node, clock
        self._publisher = node.create_publisher(DiagnosticArray, topics.HEALTH.name, qos(topics.HEALTH))
        self._counted, self._since_s = 0, clock.now()

    def count(self) -> None:
        """Once more."""
        self._counted += 1

    def report(self, says: str, values: Mapping[str, Any] | None = None, level: bytes = DiagnosticStatus.OK) -> None:
        """``says``, with the rate of :meth:`count`, if it is time again."""
        now = self._clock.now()
        elapsed_s = now - self._since_s
        if elapsed_s < 1.0 / topics.HEALTH.hz:
            return
        rate = {"rate_hz": f"{self._counted / elapsed_s:.1f}"} if self._counted else {}
        self._counted, self._since_s = 0, now
        self._publisher.publish(
            status_message(now, self._node.get_fully_qualified_name(), says, {**rate, **(values or {})}, level)
        )
