"""TOML tables into frozen dataclasses, refusing whatever does not fit in one line that says what would.

Field metadata may carry ``minimum``, ``maximum`` and ``exclusive`` (the minimum itself is refused).
"""

from __future__ import annotations

import dataclasses
import sys
import typing
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from math import isfinite
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found, unused-ignore]

T = TypeVar("T")


class ConfigError(ValueError):
    """A configuration that does not make sense; the message is one line."""


def number(default: float, minimum: float, maximum: float = float("inf")) -> float:
    """A dataclass field that is a number within bounds."""
    return dataclasses.field(default=default, metadata={"minimum": minimum, "maximum": maximum})


def nearest(name: str, valid: Iterable[str]) -> str:
    """``did you mean 'x'?`` when something is close, else the list of what is allowed."""
    names = sorted(valid)
    close = get_close_matches(name, names, n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else f"allowed: {', '.join(names)}"


def read_toml(path: Path, text: str | None = None) -> dict[str, Any]:
    """A TOML file as a table, or the ``text`` that it had at another time; raises :class:`ConfigError` naming it."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8") if text is None else text)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from None


def from_table(kind: type[T], table: Mapping[str, Any], where: str) -> T:
    """An instance of dataclass ``kind`` from ``table``; ``where`` begins every message (file and table)."""
    fields = {f.name: f for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for key in table:
        if key not in fields:
            raise ConfigError(f"{where}: unknown key {key!r}; {nearest(key, fields)}")
    hints = typing.get_type_hints(kind)
    values = {key: _convert(hints[key], value, f"{where}: {key}", fields[key].metadata) for key, value in table.items()}
    for name, f in fields.items():
        if name not in values and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING:
            raise ConfigError(f"{where}: {name!r} is missing; every {kind.__name__} needs it")
    try:
        return kind(**values)
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from None


def _convert(hint: Any, value: Any, where: str, metadata: Mapping[str, Any]) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if type(None) in args:  # `X | None`: TOML has no null, so what stands in a file is an X.
        return _convert(args[0], value, where, metadata)
    if dataclasses.is_dataclass(hint):
        return from_table(typing.cast(type[Any], hint), _table(value, where), where)
    if origin is tuple:
        return _sequence(args, value, where)
    if origin is not None and issubclass(origin, Mapping):
        table = _table(value, where)
        return MappingProxyType({key: _convert(args[1], item, f"{where}.{key}", {}) for key, item in table.items()})
    if hint in (int, float):
        return _number(hint, value, where, metadata)
    if not isinstance(value, hint):
        raise ConfigError(f"{where} is {value!r}; it must be a {hint.__name__}")
    return value


def _table(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where} is {value!r}; it must be a table")
    return value


def _sequence(args: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise ConfigError(f"{where} is {value!r}; it must be a list")
    any_length = args[-1] is Ellipsis
    if not any_length and len(value) != len(args):
        raise ConfigError(f"{where} has {len(value)} entries; it must have {len(args)}")
    return tuple(_convert(args[0], item, f"{where}[{index}]", {}) for index, item in enumerate(value))


def _number(kind: type, value: Any, where: str, metadata: Mapping[str, Any]) -> Any:
    allowed = (int,) if kind is int else (int, float)
    if isinstance(value, bool) or not isinstance(value, allowed) or not isfinite(value):
        raise ConfigError(f"{where} is {value!r}; it must be a finite {'integer' if kind is int else 'number'}")
    minimum, maximum = metadata.get("minimum", -float("inf")), metadata.get("maximum", float("inf"))
    below = value <= minimum if metadata.get("exclusive") else value < minimum
    if below or value > maximum:
        bound = "above" if metadata.get("exclusive") else "at least"
        limits = [f"{bound} {minimum:g}"] * isfinite(minimum) + [f"at most {maximum:g}"] * isfinite(maximum)
        raise ConfigError(f"{where} is {value:g}; it must be {' and '.join(limits)}")
    return kind(value)
