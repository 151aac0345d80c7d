"""Recorded episodes for the browser: which of them to list, and what can be seen of one. Nothing here is drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Protocol

import numpy as np

from hardware.interfaces import Source
from robot_rl.console.snapshot import Scene
from robot_rl.console.words import AXES, DRIVERS
from robot_rl.episodes import EpisodeRow
from robot_rl.types import Episode, Step

ANY = "any"
OUTCOMES = (ANY, "success", "failure", "discard")
HELPED, ALONE = "with help", "alone"
HELP = (ANY, HELPED, ALONE)
ROWS = 12
"""Rows of the table about the chosen episode."""
WIDTH, LANE = 300, 18
WHO = {
    **DRIVERS,
    Source.HUMAN: ("a person drives", DRIVERS[Source.HUMAN][1]),
    Source.DEMO: ("demonstration", DRIVERS[Source.HUMAN][1]),
    Source.BASE: ("base policy drives", "#8a55b5"),
}


@dataclass(frozen=True)
class Filter:
    """Which episodes to list: each of them one of its column's values, or :data:`ANY`."""

    outcome: str = ANY
    help: str = ANY
    task: str = ANY
    date: str = ANY
    """``2026-11-27``, UTC."""

    def keeps(self, row: EpisodeRow) -> bool:
        """Whether ``row`` is to be listed."""
        help = HELPED if row.intervention_spans else ALONE
        values = ((self.outcome, outcome_of(row)), (self.help, help), (self.task, row.task), (self.date, date_of(row)))
        return all(wanted in (ANY, value) for wanted, value in values)


def outcome_of(row: EpisodeRow) -> str:
    """success, failure or discard."""
    return row.label or ("success" if row.success else "failure")


def date_of(row: EpisodeRow) -> str:
    """Day of its recording, UTC."""
    return row.created[:10]


class Stage(Protocol):
    """What can be seen of an episode, at the end of each of its steps."""

    note: str
    """What is not as it was; empty where all is."""
    scene: Scene | None
    """To be drawn in three dimensions; None where there is none."""

    def pictures(self, step: int) -> Mapping[str, np.ndarray]:
        """uint8 (height, width, 3) by camera."""
        ...

    def body_poses(self, step: int) -> np.ndarray:
        """Of the scene's bodies, float64 (bodies, 7) as in a snapshot."""
        ...

    def close(self) -> None: ...


Staging = Callable[[Path, Episode], Stage]
"""Sets an episode's stage; ValueError (one line) where it cannot."""


class RecordedFrames:
    """The stage of an episode that nothing but its cameras saw."""

    scene: Scene | None = None

    def __init__(self, episode: Episode, note: str = "") -> None:
        self._steps, self.note = episode.steps, note

    def pictures(self, step: int) -> Mapping[str, np.ndarray]:
        raw = self._steps[step].raw
        if raw is not None and raw.frames:
            return {name: frame.image for name, frame in raw.frames.items()}
        observation = self._steps[step].observation
        return {name: image for name, image in observation.items() if image.dtype == np.uint8 and image.ndim == 3}

    def body_poses(self, step: int) -> np.ndarray:
        return np.zeros((0, 7))

    def close(self) -> None: ...


def table(rows: Sequence[EpisodeRow], chosen: str) -> str:
    """The episodes about the ``chosen`` file: HTML."""
    at = next((index for index, row in enumerate(rows) if row.path == chosen), 0)
    first = max(0, min(at - ROWS // 2, len(rows) - ROWS))
    lines = []
    for row in rows[first : first + ROWS]:
        helped = sum(end - start for start, end in row.intervention_spans)
        outcome = outcome_of(row) + (" *" if row.label else "") + ("" if row.complete else ", cut off")
        when = row.created[5:16].replace("T", " ")
        cells = (Path(row.path).stem, row.kind, outcome, f"{row.steps}", f"{helped or ''}", when)
        marked = " style='background:#93b4e055'" if row.path == chosen else ""
        lines.append(f"<tr{marked}>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>")
    names = ("episode", "kind", "outcome", "steps", "helped", "UTC")
    head = "".join(f"<th style='text-align:left'>{name}</th>" for name in names)
    note = f"{len(rows)} episodes · * labelled afterwards"
    body = f"<table id='episodes' style='width:100%;font-size:.8em'><tr>{head}</tr>{''.join(lines)}</table>"
    return f"<div style='padding:.3em .8em'>{body}<small>{note}</small></div>"


def timeline(steps: Sequence[Step], at: int) -> str:
    """Who drove, and the executed action of each axis against time, ``at`` marked: SVG."""
    axes = len(steps[0].executed_action)
    height, scale = LANE * (axes + 1), WIDTH / len(steps)
    parts = [
        f"<svg id='timeline' viewBox='-34 0 {WIDTH + 36} {height}' width='100%' font-size='9' fill='currentColor'>"
    ]
    end = 0
    for source, group in groupby(step.source for step in steps):
        begin, end = end, end + len(list(group))
        who, colour = WHO[source]
        name = f"<title>{who}, steps {begin} to {end - 1}</title>"
        width = (end - begin) * scale
        parts.append(
            f"<rect x='{begin * scale:.1f}' y='2' width='{width:.1f}' height='8' fill='{colour}'>{name}</rect>"
        )
    for axis in range(axes):
        middle = LANE * (axis + 1) + LANE / 2
        points = " ".join(
            f"{(k + 0.5) * scale:.1f},{middle - 0.45 * LANE * float(np.clip(step.executed_action[axis], -1, 1)):.1f}"
            for k, step in enumerate(steps)
        )
        label = AXES[axis] if axis < len(AXES) else str(axis)
        parts.append(f"<text x='-32' y='{middle + 3:.0f}'>{label}</text>")
        parts.append(f"<line x1='0' x2='{WIDTH}' y1='{middle}' y2='{middle}' stroke='#9ca3af55'/>")
        parts.append(f"<polyline points='{points}' fill='none' stroke='#2563b8'/>")
    x = (at + 0.5) * scale
    return "".join([*parts, f"<line x1='{x:.1f}' x2='{x:.1f}' y1='0' y2='{height}' stroke='#b43c3c'/></svg>"])


def about(row: EpisodeRow, episode: Episode, at: int, note: str) -> str:
    """The step ``at`` in words, and what its episode was called: HTML."""
    step, header = episode.steps[at], episode.header
    seconds = step.stamp_s - episode.steps[0].stamp_s
    recorded = "success" if row.success else "failure"
    outcome = f"{row.label} (recorded: {recorded})" if row.label else recorded
    words = [
        f"{row.path}: {outcome}",
        f"step {at} of {len(episode.steps)}, {seconds:.1f} s · {WHO[step.source][0]} · reward {step.reward:g}",
        f"{header.task}, seed {header.seed}, {header.control_hz:g} Hz",
        note,
    ]
    return "".join(f"<div>{escape(line)}</div>" for line in words if line)
