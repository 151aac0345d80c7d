"""Copies of episodes for other programs, or as they are."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from robot_rl.episodes import EpisodeRow, EpisodeStore

Target = Literal["mcap", "lerobot", "rerun"]


def export(store: EpisodeStore, rows: Sequence[EpisodeRow], to: Target, out: Path) -> tuple[int, int]:
    """Copy those of ``rows`` that are not discarded into the new folder ``out``; how many episodes and steps.

    Raises ValueError (one line) where there is nothing to copy, the folder is not empty or an extra is missing.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"'{out}' is not empty: give another folder")
    kept = [row for row in rows if row.label != "discard" and row.steps]
    if not kept:
        raise ValueError(f"nothing to export: '{store.folder}' holds no episode that is not discarded")
    if to == "mcap":
        return len(kept), _copied(store, kept, out)
    if to == "lerobot":
        from robot_rl.export_lerobot import export_lerobot as exported
    else:
        from robot_rl.export_rerun import export_rerun as exported
    return len(kept), exported((store.read(row) for row in kept), out)


def _copied(store: EpisodeStore, rows: Sequence[EpisodeRow], out: Path) -> int:
    """Files and labels, as a store of their own."""
    out.mkdir(parents=True, exist_ok=True)
    for row in rows:
        shutil.copy2(store.folder / row.path, out / row.path)
    copies = EpisodeStore(out)
    try:
        for row in rows:
            copies.label(row.path, row.label)
    finally:
        copies.close()
    return sum(row.steps for row in rows)
