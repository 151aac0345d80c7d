"""Cell files: written whole or not at all, and only if they load."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from hardware.cell import Cell, CellError, load_cell
from hardware.toml_dataclass import ConfigError, read_toml
from hardware.toml_writer import to_toml

_HEADER_LINE = re.compile(r"\[([^\[\]]+)\]\s*(#.*)?$")
_HEADER = """\
# Written by `robot-rl setup-cell`. What every key means stands in hardware/cell.py and hardware/device_settings.py;
# `robot-rl doctor --cell` this file looks whether all is there.
"""


def require_free(path: Path) -> None:
    """Raises :class:`CellError` where a cell cannot be written: no .toml, a file there, no such folder."""
    if path.suffix != ".toml":
        raise CellError(f"{path}: a cell file's name ends in .toml")
    if path.exists():
        raise CellError(f"{path} exists already and is never overwritten; give another --out, or move it away")
    if not path.parent.is_dir():
        raise CellError(f"{path}: there is no folder {path.parent}; make it first")


def write_cell(table: Mapping[str, Any], path: Path) -> Cell:
    """Write ``table`` to ``path``, which must be free, and load it. Raises :class:`CellError`, nothing written then."""
    written = path.with_name(f".{path.stem}-{os.getpid()}.toml")
    try:
        with written.open("x", encoding="utf-8") as file:
            file.write(_HEADER + to_toml(table))
            file.flush()
            os.fsync(file.fileno())
        try:
            cell = load_cell(written)
            for profile in cell.limits:
                cell.whole_arm(profile)
        except CellError as error:
            raise CellError(str(error).replace(written.name, path.name)) from None
        try:
            os.link(written, path)  # Unlike a rename it takes nobody's place.
        except FileExistsError:
            require_free(path)
    finally:
        written.unlink(missing_ok=True)
    return cell


def write_camera(path: Path, camera: str, tables: Mapping[str, Mapping[str, Any]]) -> None:
    """Put ``tables`` (``extrinsics``, ``intrinsics``) into the section of ``camera`` in the cell file at ``path``, in
    place of those there; all else, comments too, stays as it is. Raises :class:`CellError`, nothing changed."""
    before = read_toml(path)
    own = {key: value for key, value in before.get("cameras", {}).get(camera, {}).items() if key not in tables}
    wanted = {**before, "cameras": {**before.get("cameras", {}), camera: {**own, **_plain(tables)}}}
    lines = path.read_text(encoding="utf-8").splitlines()
    for name in tables:
        lines = [line for line, section in _sections(lines) if section != f"cameras.{camera}.{name}"]
    last = max((i for i, (_, section) in enumerate(_sections(lines)) if section == f"cameras.{camera}"), default=-1)
    while last >= 0 and (not lines[last].strip() or lines[last].startswith("#")):
        last -= 1  # What stands before the next section belongs to that.
    text = to_toml(_plain(tables), ("cameras", camera)).strip()
    written = path.with_name(f".{path.stem}-{os.getpid()}.toml")
    try:
        with written.open("x", encoding="utf-8") as file:
            file.write("\n".join([*lines[: last + 1], "", text, *lines[last + 1 :], ""]))
            file.flush()
            os.fsync(file.fileno())
        try:
            as_wanted = last >= 0 and read_toml(written) == wanted
        except ConfigError:
            as_wanted = False
        if not as_wanted:
            raise CellError(
                f"{path}: cameras.{camera} has no section [cameras.{camera}] of its own; add by hand: {text!r}"
            )
        load_cell(written)
        written.replace(path)
    finally:
        written.unlink(missing_ok=True)


def _sections(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Each line, and the section it stands in, its header too."""
    section = ""
    for line in lines:
        if header := _HEADER_LINE.match(line):
            section = header[1].strip()
        yield line, section


def _plain(value: Any) -> Any:
    """As ``tomllib`` would yield it."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
