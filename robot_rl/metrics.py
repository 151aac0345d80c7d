"""Metrics of a run: JSON lines that survive a kill, TensorBoard events, success intervals, progress for people."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

METRICS_FILE = "metrics.jsonl"
PLAIN_PERIOD_S = 10.0
"""Seconds between lines of progress where the terminal cannot redraw one."""


def wilson_interval(successes: int, episodes: int, z: float = 1.959964) -> tuple[float, float]:
    """Wilson's score interval of a success rate (Wilson 1927, JASA 22:209); ``z`` = 1.96 makes it a 95 % interval.

    Returns (low, high) in [0, 1]; (0, 1) without episodes. Raises ValueError unless 0 <= successes <= episodes.
    """
    if not 0 <= successes <= episodes:
        raise ValueError(f"{successes} successes of {episodes} episodes: need 0 <= successes <= episodes")
    if episodes == 0:
        return 0.0, 1.0
    rate, weight = successes / episodes, z * z / episodes
    centre = (rate + weight / 2) / (1 + weight)
    margin = z / (1 + weight) * math.sqrt(rate * (1 - rate) / episodes + weight / (4 * episodes))
    low = 0.0 if successes == 0 else centre - margin
    return low, 1.0 if successes == episodes else centre + margin


class MetricsLog:
    """Writes every row of a run to ``metrics.jsonl`` and, where TensorBoard is installed, to its event files.

    One row is one write of one line, so that a kill costs at most the row under way; what a kill left of such a row is
    cut off when the log is opened again.
    """

    def __init__(self, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / METRICS_FILE
        _cut_incomplete_row(self.path)
        self._file = self.path.open("a", buffering=1, encoding="utf-8")
        self._events = _EventFile(folder)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Append one row. Values that are not finite become null: JSON has no NaN."""
        row = {name: float(value) for name, value in values.items() if name != "env_steps"}
        kept = {name: value if math.isfinite(value) else None for name, value in row.items()}
        with suppress(OSError):  # a full disk: the row stays in the buffer, and goes out with the next
            self._file.write(json.dumps({"env_steps": step, **kept}) + "\n")
        self._events.add(step, {name: value for name, value in row.items() if math.isfinite(value)})

    def rewind(self, step: int, episodes: float) -> None:
        """Drop the rows after ``step`` or after so many ``episodes``: a run that goes on from a checkpoint there logs
        them again. Several episodes may have ended by one step: its end comes after the step, and alone."""
        rows = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
        read = [json.loads(row) for row in rows]
        kept = [
            r
            for r, row in zip(rows, read, strict=True)
            if row["env_steps"] <= step and row.get("episodes", 0.0) <= episodes
        ]
        if len(kept) < len(rows):
            self._file.close()
            shorter = self.path.with_suffix(".new")
            shorter.write_text("".join(kept), encoding="utf-8")
            shorter.replace(self.path)
            self._file = self.path.open("a", buffering=1, encoding="utf-8")

    def close(self) -> None:
        """Safe to call twice."""
        with suppress(OSError):
            self._file.close()
        self._events.close()

    def __enter__(self) -> MetricsLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_metrics(path: Path) -> list[dict[str, float]]:
    """The rows of a run (its folder or its ``metrics.jsonl``), in order of ``env_steps``, nulls left out.

    A resumed run goes back to its checkpoint and logs some steps again: the later row counts. An incomplete last row is
    ignored. Raises FileNotFoundError or ValueError with the line's number.
    """
    path = path / METRICS_FILE if path.is_dir() else path
    rows: list[dict[str, float]] = []
    lines = path.read_text(encoding="utf-8").split("\n")
    for number, line in enumerate(lines[:-1], start=1):
        try:
            row = json.loads(line)
            step = row["env_steps"]
        except (json.JSONDecodeError, KeyError, TypeError):
            raise ValueError(f"{path}, line {number}: not a row of metrics: {line[:60]!r}") from None
        while rows and rows[-1]["env_steps"] >= step:
            rows.pop()
        rows.append({name: value for name, value in row.items() if value is not None})
    return rows


def series(rows: Iterable[Mapping[str, float]], name: str) -> list[tuple[float, float]]:
    """(env_steps, value) of every row that has ``name``."""
    return [(row["env_steps"], row[name]) for row in rows if name in row]


class TrainingProgress:
    """Shows how a training goes, on ``stream`` (stderr): a bar on a terminal, else a line every few seconds.

    Call it with each row of metrics; it is a context manager that leaves the terminal as it was.
    """

    def __init__(self, total_steps: int, title: str = "training", stream: TextIO | None = None):
        self.total_steps, self.title = total_steps, title
        self.stream = stream if stream is not None else sys.stderr
        self._began: tuple[float, float] | None = None
        self._printed_s = -math.inf
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> TrainingProgress:
        if self.stream.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn

            columns: tuple[Any, ...] = ("{task.description}", BarColumn(24), TextColumn("{task.fields[text]}"))
            self._bar = Progress(*columns, console=Console(file=self.stream), transient=False)
            self._bar.start()
            self._task = self._bar.add_task(self.title, total=self.total_steps, text="")
        return self

    def __call__(self, row: Mapping[str, float]) -> None:
        text = self.describe(row)
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=row["env_steps"], text=text)
            return
        now = time.monotonic()
        if now - self._printed_s >= PLAIN_PERIOD_S or row["env_steps"] >= self.total_steps:
            self._printed_s = now
            print(f"{self.title}: {text}", file=self.stream, flush=True)

    def describe(self, row: Mapping[str, float]) -> str:
        """One row in words; speed and time left are reckoned from the first row of this process on."""
        steps, updates, wall_s = row["env_steps"], row.get("updates", 0.0), row.get("wall_s", 0.0)
        if self._began is None:
            self._began = (steps, wall_s)
            self._first_updates = updates
        elapsed = wall_s - self._began[1]
        parts = [f"{steps:,.0f}/{self.total_steps:,} steps"]
        parts.append(f"success {row['success']:.0%}" if row.get("autonomous_episodes", 1.0) else "success –")
        parts += [f"{row['in_a_row']:.0f} in a row"] if row.get("in_a_row") else []
        parts.append(f"intervention {row['intervention_rate']:.0%}")
        if elapsed > 0 and steps > self._began[0]:
            parts.append(f"{(updates - self._first_updates) / elapsed:.0f} updates/s")
            left = (self.total_steps - steps) * elapsed / (steps - self._began[0])
            parts.append(f"ETA {int(left) // 60}:{int(left) % 60:02d}")
        return " · ".join(parts)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()


class _EventFile:
    """TensorBoard's event file, written without torch; does nothing where TensorBoard is not installed."""

    def __init__(self, folder: Path):
        self._writer: Any = None
        try:
            from tensorboard.compat.proto.event_pb2 import Event
            from tensorboard.compat.proto.summary_pb2 import Summary
            from tensorboard.summary.writer.event_file_writer import EventFileWriter
        except ImportError:
            self._begin: Callable[[], Any] | None = None
            return
        self._event, self._summary = Event, Summary
        self._begin = partial(EventFileWriter, str(folder / "tensorboard"))

    def add(self, step: int, values: Mapping[str, float]) -> None:
        if self._begin is None:
            return
        summary = self._summary(value=[self._summary.Value(tag=k, simple_value=v) for k, v in values.items()])
        try:
            self._writer = self._writer or self._begin()
            self._writer.add_event(self._event(wall_time=time.time(), step=step, summary=summary))
        except OSError:  # a full disk ended its thread: the next row begins another file
            self._writer = None

    def close(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            with suppress(OSError):
                writer.close()


def _cut_incomplete_row(path: Path) -> None:
    if not path.exists():
        return
    content = path.read_bytes()
    complete = content.rfind(b"\n") + 1
    if complete < len(content):
        with path.open("r+b") as file:
            file.truncate(complete)
