"""The black box: the last seconds of what the guard saw, knew and did, saved as an MCAP file when it stops the arm.

The control thread only appends references to immutable values to a ring; encoding and writing happen on another thread.
A file holds, a tick a ``sequence`` number, the topics of :mod:`hardware.recording` and

=================  ===============================================================================================
/proposed          each command that arrived in the tick, as it came: NaN stands for what is no number
/proposed/state    beside each: session, sequence, gripper
/guard/inputs      all other inputs of the tick, by name (teleop, ages, health)
/guard/state       the guard's state after the tick, by name (reference, driver, session, since when a check fails)
=================  ===============================================================================================

Its header names the cell and the limits in force; its outcome, in ``moments``, each change of mode with its reason.
"""

from __future__ import annotations

import dataclasses
import logging
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from math import nan
from pathlib import Path
from typing import Any, NamedTuple

from hardware.guard_state import GuardSettings, GuardState
from hardware.interfaces import ExecutedCommand, GuardMode
from hardware.recording import JOINT_STATE, RecordingWriter, encode_joints, write_arm, write_command, write_pose
from hardware.safety import GuardInputs

BEFORE_S, AFTER_S = 5.0, 0.5
KEEP = 50
"""Files kept in a folder; the oldest go first."""
_STOPPED = GuardMode.HOLD
_LOG = logging.getLogger(__name__)


class Tick(NamedTuple):
    """One tick of the guard."""

    inputs: GuardInputs
    state: GuardState
    executed: ExecutedCommand


class BlackBox:
    """A :attr:`hardware.guard.Guard.recorder` that saves ``before_s`` up to each stop and ``after_s`` of it."""

    def __init__(
        self,
        folder: Path,
        settings: GuardSettings,
        labels: Mapping[str, object],
        before_s: float = BEFORE_S,
        after_s: float = AFTER_S,
    ) -> None:
        """``labels`` (cell, limits profile, ...) go into the header of each file. ``folder`` is made when needed."""
        self.folder = folder
        self._header = {
            "kind": "black_box",
            **labels,
            "period_s": settings.period_s,
            "limits": dataclasses.asdict(settings.limits),
            "workspace": dataclasses.asdict(settings.workspace),
        }
        self._after = max(1, round(after_s / settings.period_s))
        self._ring: deque[Tick] = deque(maxlen=round(before_s / settings.period_s) + self._after)
        self._append = self._ring.append
        self._mode = self._stop = GuardMode.DISARMED
        self._engaged_s = 0.0
        self._countdown = 0
        self._writer: ThreadPoolExecutor | None = None

    def __call__(self, inputs: GuardInputs, state: GuardState, executed: ExecutedCommand) -> None:
        """Take in one tick; on the control thread."""
        self._append(Tick(inputs, state, executed))
        mode, engaged_s = executed.mode, state.engaged_s
        if mode is not self._mode or engaged_s != self._engaged_s:
            # A guard that was engaged again may have stopped again within the tick.
            risen = mode > self._mode or engaged_s != self._engaged_s
            if mode >= _STOPPED and risen and not self._countdown:
                self._countdown, self._stop = self._after + 1, mode
            self._mode, self._engaged_s = mode, engaged_s
        if self._countdown:
            self._countdown -= 1
            if not self._countdown:
                self._save()

    def close(self) -> None:
        """Save a stop whose aftermath is still being recorded; returns when all files are on disk."""
        if self._countdown:
            self._countdown = 0
            self._save()
        if self._writer is not None:
            self._writer.shutdown()
            self._writer = None

    def _save(self) -> None:
        self._writer = self._writer or ThreadPoolExecutor(1, "black-box")
        self._writer.submit(self._write, self._stop, tuple(self._ring))

    def _write(self, stop: GuardMode, ticks: Sequence[Tick]) -> None:
        try:
            write_black_box(_next_name(self.folder, stop), self._header, ticks)
        except Exception as error:  # A full disk, say: the guard goes on, and the person learns why there is no file.
            _LOG.error("black box not saved in %s: %s", self.folder, error)


def write_black_box(path: Path, header: Mapping[str, object], ticks: Sequence[Tick]) -> Path:
    """Write ``ticks`` to ``path``. Raises ``OSError``, and ``FileExistsError`` where there is such a file."""
    writer = RecordingWriter(path, header)
    for sequence, (inputs, state, executed) in enumerate(ticks):
        at = executed.stamp_s
        write_arm(writer, inputs.arm, sequence)
        for command in inputs.commands:
            pose = (*_floats(getattr(command, "T_base_ee", ())), *(nan,) * 7)[:7]
            write_pose(writer, "/proposed", at, pose, sequence)
            numbers = {name: _number(getattr(command, name, nan)) for name in ("session", "sequence", "gripper")}
            _write_numbers(writer, "/proposed/state", at, numbers, sequence)
        others = {name: value for name, value in inputs._asdict().items() if name not in ("arm", "commands")}
        _write_numbers(writer, "/guard/inputs", at, dict(_named(others)), sequence)
        _write_numbers(writer, "/guard/state", at, dict(_named(state._asdict())), sequence)
        write_command(writer, executed, False, sequence)
    return writer.seal({"moments": _moments(ticks), "malformed": _malformed(ticks)})


def _moments(ticks: Iterable[Tick]) -> list[dict[str, object]]:
    """Each change of the guard's mode or of its reason."""
    moments: list[dict[str, object]] = []
    before: tuple[GuardMode, str] | None = None
    for _, state, executed in ticks:
        if (executed.mode, state.reason) != before:
            before = (executed.mode, state.reason)
            moments.append({"stamp_s": executed.stamp_s, "mode": executed.mode.name, "reason": state.reason})
    return moments


def _malformed(ticks: Iterable[Tick]) -> list[dict[str, object]]:
    """Commands that are not even seven numbers, as text: numbers alone cannot say what they were."""
    return [
        {"stamp_s": executed.stamp_s, "text": repr(command)[:200]}
        for inputs, _, executed in ticks
        for command in inputs.commands
        if len(_floats(getattr(command, "T_base_ee", ()))) != 7
    ]


def _write_numbers(writer: RecordingWriter, topic: str, at: float, numbers: Mapping[str, float], sequence: int) -> None:
    writer.write(topic, JOINT_STATE, at, encode_joints(at, tuple(numbers), tuple(numbers.values())), sequence)


def _named(value: Any, prefix: str = "") -> Iterator[tuple[str, float]]:
    """Every number within ``value``, under its path: fields of tuples and dataclasses, entries of mappings."""
    if value is None or isinstance(value, (int, float)):
        yield prefix, _number(value)
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _named(item, f"{prefix}.{name}" if prefix else str(name))
    elif hasattr(value, "_asdict"):
        yield from _named(value._asdict(), prefix)
    elif dataclasses.is_dataclass(value):
        yield from _named({f.name: getattr(value, f.name) for f in dataclasses.fields(value)}, prefix)
    elif isinstance(value, (tuple, list)):
        yield from _named(dict(enumerate(value)), prefix)


def _number(value: Any) -> float:
    """``value`` as a float; NaN for None and for what is no number."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return nan


def _floats(value: Any) -> tuple[float, ...]:
    """What a pose of any make holds, flattened; strangers may send anything at all."""
    if isinstance(value, (tuple, list)):
        return tuple(number for item in value[:7] for number in _floats(item))
    return (_number(value),)


def _next_name(folder: Path, stop: GuardMode) -> Path:
    """A fresh numbered file, named after the stop; the oldest files make room."""
    folder.mkdir(parents=True, exist_ok=True)
    taken = sorted(folder.glob("*-[0-9][0-9][0-9][0-9][0-9].mcap"), key=_number_of)
    for old in taken[: max(0, len(taken) - KEEP + 1)]:
        old.unlink(missing_ok=True)
    number = _number_of(taken[-1]) + 1 if taken else 1
    return folder / f"{stop.name.lower()}-{number:05d}.mcap"


def _number_of(path: Path) -> int:
    return int(path.stem[-5:])
