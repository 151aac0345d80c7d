"""Episodes on disk: one MCAP file each, which is the truth, and a manifest that indexes and labels them.

Beside the robot's topics (:mod:`hardware.recording`) a file holds ``/action/executed``, ``/action/proposed`` and
``/action/base`` (``Joy``: float32, bit for bit), ``/observation/<entry>``, and ``/step`` with a step's named numbers.
``/observation`` lists an observation's entries; an image equal to the camera's own frame is stored once, as the frame.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from hardware.interfaces import Source
from hardware.recording import PART, RecordingError, recover_recording
from robot_rl.episode_reader import read_episode, read_with_recording
from robot_rl.episode_writer import EpisodeWriter, Kind
from robot_rl.manifest import MANIFEST, EpisodeRow, Manifest
from robot_rl.types import Episode, EpisodeHeader

__all__ = ["EpisodeRow", "EpisodeStore", "EpisodeWriter", "RecordingError", "load_demos", "read_episode"]

SUFFIX = ".mcap"
SUPERSEDED = "superseded"
"""Folder inside a store for episodes that a resumed run has done again."""
Facts = Sequence[tuple[Source, float, bool]]
"""Of each step: who drove, the reward, success."""


class EpisodeStore:
    """A folder of episodes. Opening it rescues what a killed process left open and indexes files not yet listed.

    ``kind`` is what its episodes count as, unless every step is a demonstration's.
    """

    def __init__(self, folder: Path | str, kind: Kind = "online") -> None:
        self.folder = Path(folder)
        self.kind: Kind = kind
        self.folder.mkdir(parents=True, exist_ok=True)
        self._manifest = Manifest(self.folder)
        for part in sorted(self.folder.glob(f"*{SUFFIX}{PART}")):
            self.recover(part)
        listed = {row.path for row in self._manifest.rows()}
        for path in sorted(self.folder.glob(f"*{SUFFIX}")):
            if path.name not in listed:
                self._adopt(path)

    def writer(self, header: EpisodeHeader, kind: Kind | None = None) -> EpisodeWriter:
        """A writer for the episode of ``header``. Where its number is taken the file gets the next free suffix:
        nothing is overwritten."""
        run = "".join(c if c.isalnum() or c in "-_." else "_" for c in header.run)
        path = _free(self.folder / f"{run}-{header.actor:02d}-{header.episode:06d}{SUFFIX}")
        return EpisodeWriter(self, path, header, kind or self.kind)

    def list(self) -> list[EpisodeRow]:
        """All episodes, by run, actor and number."""
        return self._manifest.rows()

    def read(self, row: EpisodeRow) -> Episode:
        """The episode of ``row`` with its label applied."""
        return _apply_label(read_episode(self.folder / row.path), row.label)

    def label(self, path: Path | str, label: str | None) -> None:
        """Overrule the outcome of an episode: ``success``, ``failure`` or ``discard``; None as recorded."""
        self._manifest.set_label(Path(path).name, label)

    def path_of(self, run: str, episode: int) -> str:
        """Name of the file that episode ``episode`` of ``run`` was written to last; ``KeyError`` without one."""
        found = [row.path for row in self._manifest.rows() if (row.run, row.episode) == (run, episode)]
        if not found:
            raise KeyError(f"no episode {episode} of run '{run}' in {self.folder}")
        return max(found, key=lambda path: (self.folder / path).stat().st_mtime_ns)

    def next_episode(self, run: str, actor: int = 0) -> int:
        """One more than the highest episode number of ``run`` and ``actor``."""
        return max((row.episode + 1 for row in self.list() if (row.run, row.actor) == (run, actor)), default=0)

    def supersede(self, run: str, first: int, actor: int = 0) -> int:
        """Set the episodes of ``run`` and ``actor`` from number ``first`` on aside, in the folder ``superseded``: a run
        that goes on from a checkpoint does them again. How many there were."""
        found = [r for r in self.list() if (r.run, r.actor) == (run, actor) and r.episode >= first]
        aside = self.folder / SUPERSEDED
        for row in found:
            aside.mkdir(exist_ok=True)
            if (self.folder / row.path).exists():
                (self.folder / row.path).rename(_free(aside / row.path))
            self.unlist(row.path)
        return len(found)

    def unlist(self, path: str) -> None:
        """Take a file out of the manifest. It is listed again when the store is next opened, if it is still there."""
        self._manifest.remove(path)

    def close(self) -> None:
        self._manifest.close()

    def index(self, path: Path, header: EpisodeHeader, kind: Kind, facts: Facts, complete: bool) -> None:
        """List a sealed file."""
        if all(source == Source.DEMO for source, _, _ in facts):
            kind = "demo"
        row = EpisodeRow(
            path=path.name,
            run=header.run,
            actor=header.actor,
            episode=header.episode,
            task=header.task,
            seed=header.seed,
            created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            steps=len(facts),
            success=bool(facts) and facts[-1][2],
            intervention_spans=_spans([source == Source.HUMAN for source, _, _ in facts]),
            total_reward=float(sum(reward for _, reward, _ in facts)),
            kind=kind,
            complete=complete,
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        self._manifest.add(row)

    def recover(self, part: Path) -> Path | None:
        """Seal the beginning of a recording that was cut off; its path, or None if it holds no whole step, is no
        recording or is still being written."""
        try:
            path = recover_recording(part)
        except RecordingError as error:
            warnings.warn(f"left as it is: {error}", stacklevel=3)
            return None
        if path is None:
            return None
        try:
            self._index_file(path)
        except RecordingError:
            path.unlink()
            return None
        return path

    def _adopt(self, path: Path) -> None:
        try:
            self._index_file(path)
        except RecordingError as error:
            warnings.warn(f"left out of the manifest: {error}", stacklevel=3)

    def _index_file(self, path: Path) -> None:
        episode, recording = read_with_recording(path)
        facts = [(step.source, step.reward, step.success) for step in episode.steps]
        self.index(path, episode.header, recording.metadata["header"]["kind"], facts, recording.complete)


def _free(path: Path) -> Path:
    """``path``, or where there is such a file the same with the next free suffix."""
    free, again = path, 1
    while free.exists() or free.with_name(free.name + PART).exists():
        free, again = path.with_name(f"{path.stem}-again{again}{path.suffix}"), again + 1
    return free


def _spans(flags: Sequence[bool]) -> tuple[tuple[int, int], ...]:
    """Half-open ranges of the true entries."""
    edges = np.flatnonzero(np.diff(np.array([False, *flags, False], np.int8)))
    return tuple((int(start), int(end)) for start, end in edges.reshape(-1, 2))


def _apply_label(episode: Episode, label: str | None) -> Episode:
    """A success ends the task, so a timeout labelled ``success`` becomes a termination."""
    if label in ("success", "failure") and episode.steps:
        success, last = label == "success", episode.steps[-1]
        ended = {"terminated": True, "truncated": False} if success else {}
        episode.steps[-1] = replace(last, success=success, **ended)  # type: ignore[arg-type]
    return episode


def load_demos(path: Path | str, task: str, action_dim: int) -> list[Episode]:
    """Demonstrations from a file or from all files of a folder, with their labels applied and discarded ones left out.

    Raises ``ValueError`` (one line) for a path without episodes, a damaged file, another task or another action space.
    """
    path = Path(path)
    files = sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path]
    if not path.exists():
        near = get_close_matches(path.name, [p.name for p in path.parent.glob("*")] if path.parent.is_dir() else [], 1)
        hint = f"did you mean '{near[0]}'?" if near else "record some with `robot-rl record`"
        raise ValueError(f"no demonstrations at '{path}': {hint}")
    if not files:
        raise ValueError(
            f"no demonstrations in '{path}': it holds no {SUFFIX} file; record some with `robot-rl record`"
        )
    labels = _labels(files[0].parent)
    episodes = []
    for file in files:
        if labels.get(file.name) == "discard":
            continue
        episode = _apply_label(read_episode(file), labels.get(file.name))
        header = episode.header
        if (header.task, header.action_dim) != (task, action_dim):
            raise ValueError(
                f"demonstration '{file}' is of task '{header.task}' with {header.action_dim}-dimensional actions, but "
                f"this run is of task '{task}' with {action_dim}: give the --task or --env that was recorded, or others"
            )
        episodes.append(episode)
    return episodes


def _labels(folder: Path) -> dict[str, str | None]:
    if not (folder / MANIFEST).exists():
        return {}
    manifest = Manifest(folder)
    try:
        return {row.path: row.label for row in manifest.rows()}
    finally:
        manifest.close()
