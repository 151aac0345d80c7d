"""What a fault made the twin's arm do, by its log of every physics step; for :mod:`benchmarks.ros_faults`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

STILL_M_S, STEP_S = 0.005, 0.002


@dataclass
class Event:
    """One injection, as judged."""

    fault: str
    at_s: float
    held_by: str
    recovered: str
    undone_s: float
    speed_m_s: float = 0.0
    stop_s: float = 0.0
    travel_m: float = 0.0
    travel_after_m: float = 0.0
    """In the second after the fault was undone and before the operator did anything."""


def judge(log: Mapping[str, np.ndarray], event: Event) -> None:
    """Fill in what the arm did; time in physics steps, as a busy machine slows the twin and not the laws of motion."""
    clock = log["monotonic_s"]
    position = np.stack([log[name] for name in "xyz"], axis=1)
    speed = np.linalg.norm(np.stack([log[name] for name in ("vx", "vy", "vz")], axis=1), axis=1)
    rows = np.flatnonzero((clock >= event.at_s) & (clock < event.undone_s))
    after = np.flatnonzero((clock >= event.undone_s) & (clock < event.undone_s + 0.9))
    moving = np.flatnonzero(speed[rows] >= STILL_M_S)
    rest = int(moving[-1]) + 1 if len(moving) else 0
    event.speed_m_s = float(speed[rows[0]])
    event.stop_s = STEP_S * rest if rest < len(rows) else float("inf")
    event.travel_m = float(np.linalg.norm(position[rows] - position[rows[0]], axis=1).max())
    event.travel_after_m = float(np.linalg.norm(position[after] - position[after[0]], axis=1).max())


def table(events: list[Event]) -> list[dict[str, Any]]:
    """A row a fault, of its worst."""
    rows = []
    for name in dict.fromkeys(event.fault for event in events):
        of = [event for event in events if event.fault == name]
        rows.append(
            {
                "fault": name,
                "repeats": len(of),
                "worst_travel_mm": 1000 * max(event.travel_m for event in of),
                "worst_stop_s": max(event.stop_s for event in of),
                "worst_travel_after_mm": 1000 * max(event.travel_after_m for event in of),
                "held_by": " / ".join(sorted({event.held_by.partition(" (over")[0] for event in of})),
                "recovered": " / ".join(sorted({event.recovered for event in of})),
            }
        )
    return rows
