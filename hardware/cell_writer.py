"""Cell files: written whole or not at all, and only if they load."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from hardware.cell import Cell, CellError, load_cell
from hardware.toml_dataclass import ConfigError, read_toml
from hardware.toml_writer import to_toml

_SECTION = re.compile(r"\[([^\[\]]+)\]\s*(#.*)?$")
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
    before, plain = read_toml(path), _plain(tables)
    own = before.get("cameras", {}).get(camera, {})
    wanted = {**before, "cameras": {**before.get("cameras", {}), camera: {**own, **plain}}}
    sections = _sections(path.read_text(encoding="utf-8").splitlines())
    for name, table in plain.items():
        of_table = ("cameras", camera, name)
        text = to_toml(table, of_table).splitlines()
        names = [section.name for section in sections]
        if ".".join(of_table) in names:
            sections[names.index(".".join(of_table))].body[:] = text
        elif f"cameras.{camera}" in names:
            sections.insert(names.index(f"cameras.{camera}") + 1, _Section(".".join(of_table), [""], text))
    written = path.with_name(f".{path.stem}-{os.getpid()}.toml")
    try:
        with written.open("x", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for section in sections for line in (*section.above, *section.body))
            file.flush()
            os.fsync(file.fileno())
        if not _holds(written, wanted):
            by_hand = to_toml(plain, ("cameras", camera))
            raise CellError(f"{path} has no section [cameras.{camera}] of its own; add by hand: {by_hand!r}")
        written.replace(path)
    finally:
        written.unlink(missing_ok=True)


class _Section(NamedTuple):
    """Lines of a TOML file from a header on; those before the first have the name ""."""

    name: str
    above: list[str]
    """Comments and empty lines before the header."""
    body: list[str]


def _sections(lines: Iterable[str]) -> list[_Section]:
    sections = [_Section("", [], [])]
    for line in lines:
        body = sections[-1].body
        if header := _SECTION.match(line):
            told = len(body)
            while told and (not body[told - 1].strip() or body[told - 1].startswith("#")):
                told -= 1
            sections.append(_Section(header[1].strip(), body[told:], [line]))
            del body[told:]
        else:
            body.append(line)
    return sections


def _holds(path: Path, wanted: Mapping[str, Any]) -> bool:
    """The file at ``path`` is a cell, and just this table."""
    try:
        return read_toml(path) == wanted and load_cell(path) is not None
    except ConfigError:
        return False


def _plain(value: Any) -> Any:
    """As ``tomllib`` would yield it."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
