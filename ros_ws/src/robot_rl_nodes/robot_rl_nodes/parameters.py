"""Parameters of a node as a frozen dataclass: declared with type, range and description, read once at start."""

from __future__ import annotations

import dataclasses
from math import inf
from typing import Any, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node

from hardware.toml_dataclass import nearest

T = TypeVar("T")


def parameter(default: Any, says: str, low: float = -inf, high: float = inf) -> Any:
    """A field of a node's parameters."""
    return dataclasses.field(default=default, metadata={"says": says, "low": low, "high": high})


def declare(node: Node, kind: type[T]) -> T:
    """``kind`` with the values that the node was started with. Raises ``ValueError``, in one line, for a name that is
    none, a value of another type, or one out of its range."""
    fields = {f.name: f for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for name in node._parameter_overrides:
        if name not in fields and name != "use_sim_time":
            raise ValueError(f"node {node.get_name()!r} has no parameter {name!r}; {nearest(name, fields)}")
    values: dict[str, Any] = {}
    for name, f in fields.items():
        given = node._parameter_overrides.get(name)
        try:
            values[name] = node.declare_parameter(name, f.default, _descriptor(f)).value
        except InvalidParameterTypeException:
            raise ValueError(
                f"parameter {name!r} is {given.value!r}; it must be a {type(f.default).__name__} such as {f.default!r}"
            ) from None
        except InvalidParameterValueException:
            low, high = f.metadata["low"], f.metadata["high"]
            raise ValueError(f"parameter {name!r} is {given.value!r}; it must lie within {low:g} to {high:g}") from None
    return kind(**values)


def _descriptor(f: dataclasses.Field[Any]) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(description=f.metadata["says"], read_only=True)
    low, high = f.metadata["low"], f.metadata["high"]
    if (low, high) != (-inf, inf):
        if isinstance(f.default, int):
            descriptor.integer_range = [IntegerRange(from_value=int(low), to_value=int(high), step=0)]
        else:
            descriptor.floating_point_range = [
                FloatingPointRange(from_value=float(low), to_value=float(high), step=0.0)
            ]
    return descriptor
