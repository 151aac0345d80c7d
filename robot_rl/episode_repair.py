"""Whether episodes are whole, and what can be saved of those that are not."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping

from hardware.recording import PART, RecordingError
from robot_rl.episode_reader import read_episode
from robot_rl.episodes import EpisodeStore
from robot_rl.manifest import EpisodeRow

DAMAGED = "damaged"
"""Folder inside a store for the originals of what was mended."""


def problems(store: EpisodeStore) -> Mapping[str, str]:
    """What is wrong, by file name; every file is read and its SHA-256 compared with the manifest's."""
    found = {row.path: _problem(store, row) for row in store.list()}
    return {path: problem for path, problem in found.items() if problem}


def repair(store: EpisodeStore) -> Mapping[str, str]:
    """Mend what :func:`problems` finds; what was done, by file name. A damaged file is cut at its last good chunk, and
    its original kept in the folder ``damaged``; labels stay."""
    rows = {row.path: row for row in store.list()}
    return {path: _mend(store, rows[path]) for path in problems(store)}


def _problem(store: EpisodeStore, row: EpisodeRow) -> str:
    path = store.folder / row.path
    if not path.exists():
        return "its file is gone"
    try:
        read_episode(path)
    except RecordingError as error:
        return str(error).removeprefix(f"{path}: ")
    same = hashlib.sha256(path.read_bytes()).hexdigest() == row.sha256
    return "" if same else "it was changed after it was recorded: its SHA-256 is another"


def _mend(store: EpisodeStore, row: EpisodeRow) -> str:
    path = store.folder / row.path
    store.unlist(row.path)
    if not path.exists():
        return "its file is gone: no longer listed"
    aside = store.folder / DAMAGED
    aside.mkdir(exist_ok=True)
    part = path.with_name(path.name + PART)
    shutil.copyfile(path, part)
    path.replace(aside / path.name)
    if store.recover(part) is None:
        return f"nothing of it can be read: moved to {DAMAGED}"
    store.label(row.path, row.label)
    steps = next(mended.steps for mended in store.list() if mended.path == row.path)
    return f"{steps} of {row.steps} steps saved; the original is in {DAMAGED}"
