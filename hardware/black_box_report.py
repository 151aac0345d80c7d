"""What a black box says, in plain words: which limit stopped the arm, by how much, on whose command, how it ended."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hardware.interfaces import ExecutedCommand, GuardMode, Refusal, Source
from hardware.limits import numbers
from hardware.recording import (
    RecordingError,
    decode_geometry,
    decode_joints,
    group_by_topic,
    read_command,
    read_recording,
)

STILL_M_S = 0.005
"""Slower than this the arm stands."""
_APART_S = 0.2
"""Refusals of one limit that follow one another within this are one event."""
_NO_QUANTITY = "S1"
"""Soundness: a command is a pose or it is not."""
_WHO = {Source.POLICY: "the policy", Source.HUMAN: "the person", Source.HOLD: "the measured state"}


@dataclass(frozen=True)
class BlackBoxRecord:
    """A black box as columns, a row a tick; times in s relative to the last stop in it."""

    path: Path
    header: dict[str, Any]
    moments: list[dict[str, Any]]
    malformed: list[dict[str, Any]]
    time_s: np.ndarray
    """(n,)"""
    position_m: np.ndarray
    """(n, 3) measured end effector, base frame."""
    velocity_m_s: np.ndarray
    """(n, 3) measured."""
    force_n: np.ndarray
    """(n, 3) measured."""
    executed: list[ExecutedCommand]
    commands: list[int]
    """How many commands arrived in each tick."""
    stop_index: int
    """Row of the stop."""

    @property
    def reference_m(self) -> np.ndarray:
        """(n, 3) positions commanded."""
        return np.array([e.reference.T_base_ee.position_m for e in self.executed])

    @property
    def speed_m_s(self) -> np.ndarray:
        """(n,) measured."""
        return np.linalg.norm(self.velocity_m_s, axis=1)

    @property
    def lead_m(self) -> np.ndarray:
        """(n,) how far the reference leads the measured position."""
        return np.linalg.norm(self.reference_m - self.position_m, axis=1)

    @property
    def reason(self) -> str:
        """What the guard gave as the reason of the stop."""
        mode, at = self.executed[self.stop_index].mode.name, self.executed[self.stop_index].stamp_s
        return next((m["reason"] for m in self.moments if m["mode"] == mode and m["stamp_s"] >= at - 1e-9), "")

    def limit(self, name: str) -> float:
        """A limit in force when this was recorded."""
        return float(self.header["limits"][name])


class Event(NamedTuple):
    """Something that happened, at a time relative to the stop."""

    at_s: float
    what: str


def read_black_box(path: Path) -> BlackBoxRecord:
    """Raises :class:`hardware.recording.RecordingError` for a file that is no black box or is damaged."""
    recording = read_recording(path)
    header, outcome = recording.metadata.get("header", {}), recording.metadata.get("outcome", {})
    if header.get("kind") != "black_box" or "moments" not in outcome:
        raise RecordingError(f"{path}: not a whole black box; give a .mcap file of a run's black_box folder")
    topics = group_by_topic(recording.messages)
    states = zip(topics["/command"], topics["/command/state"], strict=True)
    executed = [read_command(pose, state) for pose, state in states]
    commands = [0] * len(executed)
    for message in recording.messages:
        commands[message.sequence] += message.topic == "/proposed"
    stop = _last_stop(executed)
    return BlackBoxRecord(
        path=path,
        header=header,
        moments=outcome["moments"],
        malformed=outcome["malformed"],
        time_s=np.array([e.stamp_s for e in executed]) - executed[stop].stamp_s,
        position_m=np.array([decode_geometry(data)[:3] for data in topics["/ee_pose"]]),
        velocity_m_s=np.array([decode_geometry(data)[:3] for data in topics["/ee_twist"]]),
        force_n=np.array([decode_geometry(data)[:3] for data in topics["/wrench"]]),
        executed=executed,
        commands=commands,
        stop_index=stop,
    )


def read_inputs(path: Path) -> list[dict[str, float]]:
    """The other inputs of each tick (teleop, ages, health), by name."""
    topics = group_by_topic(read_recording(path).messages)
    rows = []
    for data in topics["/guard/inputs"]:
        names, values, _ = decode_joints(data)
        rows.append(dict(zip(names, values, strict=True)))
    return rows


def headline(record: BlackBoxRecord) -> str:
    """One sentence: what stopped the arm."""
    mode = record.executed[record.stop_index].mode.name
    text = f"the guard went to {mode}: {record.reason}"
    stopping = record.executed[record.stop_index].refusals
    if stopping:
        text += "; in that tick " + " and ".join(_refused(refusal) for refusal in stopping)
    return text


def timeline(record: BlackBoxRecord) -> list[Event]:
    """What happened, in order."""
    events = [*_modes(record), *_drivers(record), *_episodes_of_refusal(record), *_ending(record)]
    start = record.executed[0].stamp_s - record.time_s[0]
    events += [Event(m["stamp_s"] - start, f"a command that is no pose arrived: {m['text']}") for m in record.malformed]
    return sorted(events, key=lambda event: round(event.at_s, 6))


def limits_touched(record: BlackBoxRecord) -> list[dict[str, Any]]:
    """Each limit that refused something: how many ticks, the worst excess, on whose command."""
    ticks: dict[tuple[str, Source], list[float]] = defaultdict(list)
    for executed in record.executed:
        for refusal in executed.refusals:
            ticks[refusal.limit, refusal.source].append(refusal.amount)
    return [
        {"limit": limit, "ticks": len(amounts), "worst": amount_text(limit, max(amounts)), "whose": _WHO[source]}
        for (limit, source), amounts in sorted(ticks.items())
    ]


def amount_text(limit: str, amount: float) -> str:
    """How far over a limit, with its unit: all of them where a limit has several (m, rad), "-" where it is no
    quantity."""
    units = dict.fromkeys(
        field.metadata["unit"] for field in numbers() if field.metadata["id"] == limit and field.metadata["unit"] != "-"
    )
    if len(units) > 1:  # A time beside a quantity is how long the quantity may be exceeded.
        units.pop("s", None)
    if limit == _NO_QUANTITY:
        return "-"
    return f"{1000 * amount:.1f} mm" if list(units) == ["m"] else f"{amount:.3g} {' or '.join(units)}".strip()


def _last_stop(executed: list[ExecutedCommand]) -> int:
    rises = [i for i, (a, b) in enumerate(pairwise(executed), 1) if b.mode >= GuardMode.HOLD and b.mode > a.mode]
    return rises[-1] if rises else 0


def _refused(refusal: Refusal) -> str:
    over = "" if refusal.limit == _NO_QUANTITY else f", over by {amount_text(refusal.limit, refusal.amount)}"
    return f"{refusal.limit} refused {_WHO[refusal.source]}{over}"


def _modes(record: BlackBoxRecord) -> list[Event]:
    start = record.executed[0].stamp_s - record.time_s[0]
    return [
        Event(moment["stamp_s"] - start, moment["mode"] + (f": {moment['reason']}" if moment["reason"] else ""))
        for moment in record.moments
    ]


def _drivers(record: BlackBoxRecord) -> list[Event]:
    says = {Source.POLICY: "the policy drives", Source.HUMAN: "the person drives"}
    sources = [(t, e.source) for t, e in zip(record.time_s, record.executed, strict=True)]
    changes = [sources[0], *(b for a, b in pairwise(sources) if a[1] is not b[1])]
    return [Event(float(at), says[source]) for at, source in changes if source in says]


def _episodes_of_refusal(record: BlackBoxRecord) -> list[Event]:
    """Refusals of one limit to one source, those close together as one event."""
    runs: dict[tuple[str, Source], list[list[tuple[float, float]]]] = defaultdict(list)
    for at, executed in zip(record.time_s.tolist(), record.executed, strict=True):
        for refusal in executed.refusals:
            found = runs[refusal.limit, refusal.source]
            if not found or at - found[-1][-1][0] > _APART_S:
                found.append([])
            found[-1].append((at, refusal.amount))
    events = []
    for (limit, source), groups in runs.items():
        for group in groups:
            worst = Refusal(limit, max(amount for _, amount in group), source)
            lasting = f", {len(group)} ticks until {group[-1][0]:+.2f} s" if len(group) > 1 else ""
            events.append(Event(group[0][0], _refused(worst) + lasting))
    return events


def _ending(record: BlackBoxRecord) -> list[Event]:
    """How the arm came to rest after the stop."""
    stop, speed = record.stop_index, record.speed_m_s
    before = float(speed[stop])
    after = np.flatnonzero(speed[stop:] < STILL_M_S)
    if before < STILL_M_S:
        return [Event(0.0, "the arm stood")]
    path = np.linalg.norm(np.diff(record.position_m[stop:], axis=0), axis=1)
    if not len(after):
        return [Event(float(record.time_s[-1]), f"the arm still moves, {1000 * speed[-1]:.0f} mm/s")]
    rest = int(after[0])
    travelled = 1000 * float(path[:rest].sum())
    text = f"the arm stands, after {1000 * record.time_s[stop + rest]:.0f} ms and {travelled:.1f} mm"
    return [Event(0.0, f"the arm moves at {1000 * before:.0f} mm/s"), Event(float(record.time_s[stop + rest]), text)]
