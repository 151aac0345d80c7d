"""The index of an episode folder: one row a file in ``manifest.sqlite``, and the only place where labels change."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields
from pathlib import Path

MANIFEST = "manifest.sqlite"
PATIENCE_S = 10.0
"""How long one process waits for another that writes."""
LABELS = ("success", "failure", "discard")
"""``success`` and ``failure`` overrule what was recorded; ``discard`` leaves the episode out of training."""


@dataclass(frozen=True)
class EpisodeRow:
    """What the manifest says of one episode."""

    path: str
    """File name inside the folder."""
    run: str
    actor: int
    episode: int
    task: str
    seed: int
    created: str
    """Wall clock, ISO 8601 UTC: for people only."""
    steps: int
    success: bool
    """As recorded; see ``label``."""
    intervention_spans: tuple[tuple[int, int], ...]
    """Half-open ranges of steps that the person drove."""
    total_reward: float
    kind: str
    """``demo``, ``online`` or ``eval``."""
    complete: bool
    """False for the recovered beginning of an episode whose recording was cut off."""
    sha256: str
    label: str | None = None

    @property
    def succeeded(self) -> bool:
        """With its label applied."""
        return self.success if self.label in (None, "discard") else self.label == "success"


_COLUMNS = [field.name for field in fields(EpisodeRow)]
_CREATE = f"CREATE TABLE IF NOT EXISTS episodes (path TEXT PRIMARY KEY, {', '.join(_COLUMNS[1:])})"


class Manifest:
    """The SQLite file of ``folder`` (write-ahead log, synchronous FULL). Several processes may hold it open."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / MANIFEST
        self._database = sqlite3.connect(self._path, timeout=PATIENCE_S, isolation_level=None, check_same_thread=False)
        with self._readable():
            self._use_write_ahead_log()
            self._database.execute("PRAGMA synchronous=FULL")
            self._database.execute(_CREATE)

    def _use_write_ahead_log(self) -> None:
        """Where two processes begin at once, SQLite refuses one of them this, and does not wait."""
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            try:
                self._database.execute("PRAGMA journal_mode=WAL")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline_s:
                    raise
                time.sleep(0.02)

    def add(self, row: EpisodeRow) -> None:
        """Insert ``row``; one already there for its path keeps its label."""
        values = (*astuple(row)[:-1], row.label)
        spans = _COLUMNS.index("intervention_spans")
        values = (*values[:spans], json.dumps(values[spans]), *values[spans + 1 :])
        marks = ", ".join("?" * len(values))
        with self._readable():
            self._database.execute(f"INSERT OR IGNORE INTO episodes ({', '.join(_COLUMNS)}) VALUES ({marks})", values)

    def rows(self) -> list[EpisodeRow]:
        """All rows, by run, actor, episode and path."""
        query = f"SELECT {', '.join(_COLUMNS)} FROM episodes ORDER BY run, actor, episode, path"
        with self._readable():
            return [_row(values) for values in self._database.execute(query)]

    def set_label(self, path: str, label: str | None) -> None:
        """Label an episode, or with None take its label away. ``ValueError`` for any other label, ``KeyError`` for a
        path that is not listed."""
        if label is not None and label not in LABELS:
            raise ValueError(f"label '{label}' is not one of {', '.join(LABELS)}")
        with self._readable():
            changed = self._database.execute("UPDATE episodes SET label = ? WHERE path = ?", (label, path)).rowcount
        if not changed:
            raise KeyError(f"no episode '{path}' in {self._path}")

    def remove(self, path: str) -> None:
        """Unlist an episode."""
        with self._readable():
            self._database.execute("DELETE FROM episodes WHERE path = ?", (path,))

    def close(self) -> None:
        self._database.close()

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise OSError(f"{self._path}: {error}") from None
        except sqlite3.DatabaseError as error:
            hint = "move it away: it is rebuilt from the episodes, without its labels"
            raise ValueError(f"{self._path}: {error}; if it is damaged, {hint}") from None


def _row(values: tuple[object, ...]) -> EpisodeRow:
    row = dict(zip(_COLUMNS, values, strict=True))
    spans = tuple((start, end) for start, end in json.loads(str(row["intervention_spans"])))
    converted = {"intervention_spans": spans, "success": bool(row["success"]), "complete": bool(row["complete"])}
    return EpisodeRow(**{**row, **converted})  # type: ignore[arg-type]
