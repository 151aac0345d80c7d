"""A new cell file: written whole or not at all, and only if it loads."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hardware.cell import Cell, CellError, load_cell
from hardware.toml_writer import to_toml

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
