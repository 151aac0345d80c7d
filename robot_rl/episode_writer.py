"""Filing one episode; :mod:`robot_rl.episodes` says what is in its file and keeps the folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from hardware.interfaces import RobotObservation, Source
from hardware.recording import (
    IMAGE,
    JOINT_STATE,
    JOY,
    PART,
    RecordingWriter,
    encode_image,
    encode_joints,
    encode_vector,
    to_json,
    write_robot,
)
from robot_rl.episode_reader import ACTIONS, CAMERA_FRAME, INITIAL_STATE, PICTURE, STEP_NAMES, VECTOR
from robot_rl.types import EpisodeHeader, Observation, Step, StepId

if TYPE_CHECKING:
    from robot_rl.episodes import EpisodeStore

Kind = Literal["demo", "online", "eval"]


class EpisodeWriter:
    """Files one episode, a chunk a step. :meth:`close` seals it, :meth:`abort` keeps its beginning; made by a store."""

    def __init__(self, store: EpisodeStore, path: Path, header: EpisodeHeader, kind: Kind) -> None:
        self._store, self._path, self._header, self._kind = store, path, header, kind
        self._steps = 0
        self._frames: RobotObservation | None = header.initial_robot
        self._facts: list[tuple[Source, float, bool]] = []
        self._sealed = self._closed = False
        state = header.initial_state
        attachments = {} if state is None else {INITIAL_STATE: np.asarray(state, np.float64).tobytes()}
        self._file = RecordingWriter(path, {"episode": _header_json(header), "kind": kind}, attachments)
        if header.initial_robot is not None:
            write_robot(self._file, header.initial_robot, 0)

    def add(self, step: Step) -> None:
        """Append ``step``, the next of the episode; it has left this process when this returns."""
        expected = StepId(self._header.run, self._header.actor, self._header.episode, self._steps)
        if self._closed:
            raise ValueError(f"{self._path.name} is closed: no step can be added")
        if step.id != expected:
            raise ValueError(f"step {tuple(step.id)} does not continue this episode: expected {tuple(expected)}")
        at, k = step.stamp_s, self._steps
        self._write_observation(step.observation, at)
        for name, action in zip(ACTIONS, (step.executed_action, step.proposed_action, step.base_action), strict=True):
            if action.dtype != np.float32 or action.shape != (self._header.action_dim,):
                wanted = f"float32 ({self._header.action_dim},)"
                raise ValueError(f"{name} action of step {k} is {action.dtype} {action.shape}; record {wanted}")
            self._file.write(f"/action/{name}", JOY, at, encode_vector(at, action), k)
        flags = (step.intervention_start, step.terminated, step.truncated, step.success)
        numbers = (at, step.id.step, step.reward, step.source, *flags, *step.reward_inputs.values())
        self._file.write("/step", JOINT_STATE, at, encode_joints(at, (*STEP_NAMES, *step.reward_inputs), numbers), k)
        if step.raw is not None:
            write_robot(self._file, step.raw, k + 1)
        self._frames = step.raw
        self._file.flush()
        self._facts.append((step.source, step.reward, step.success))
        self._last_s = at
        self._steps += 1

    def close(self, final_observation: Observation, final_base_action: np.ndarray | None = None) -> Path:
        """Add the observation after the last step (and the base's action there), seal the file, index it. Its path; a
        second call changes nothing."""
        if self._sealed:
            return self._path
        if self._closed or not self._steps:
            raise ValueError(f"{self._path.name} {'was aborted' if self._closed else 'has no step: abort it instead'}")
        after = self._frames.stamp_s if self._frames is not None else self._last_s + 1.0 / self._header.control_hz
        self._write_observation(final_observation, after)
        if final_base_action is not None:
            self._file.write("/action/base", JOY, after, encode_vector(after, final_base_action), self._steps)
        self._closed = True
        total = float(sum(reward for _, reward, _ in self._facts))
        self._file.seal({"steps": self._steps, "success": self._facts[-1][2], "total_reward": total})
        self._sealed = True
        self._store.index(self._path, self._header, self._kind, self._facts, complete=True)
        return self._path

    def abort(self) -> Path | None:
        """Stop here: what there is becomes an incomplete episode. Its path, or None if there is no whole step."""
        if self._closed:
            return self._path if self._sealed else None
        self._closed = True
        self._file.abandon()
        return self._store.recover(self._path.with_name(self._path.name + PART))

    def _write_observation(self, observation: Observation, at: float) -> None:
        entries: dict[str, float] = {}
        for name, value in observation.items():
            frame = self._frames.frames.get(name) if self._frames is not None else None
            if value.dtype == np.float32 and value.ndim == 1:
                entries[name] = VECTOR
                self._file.write(f"/observation/{name}", JOY, at, encode_vector(at, value), self._steps)
            elif value.dtype != np.uint8 or value.ndim != 3:
                allowed = "float32 (n,) and uint8 (height, width, channels)"
                raise ValueError(f"observation '{name}' is {value.dtype} {value.shape}; episodes hold {allowed}")
            elif frame is not None and (frame.image is value or np.array_equal(frame.image, value)):
                entries[name] = CAMERA_FRAME
            else:
                entries[name] = PICTURE
                self._file.write(f"/observation/{name}", IMAGE, at, encode_image(at, value), self._steps)
        values = tuple(entries.values())
        self._file.write("/observation", JOINT_STATE, at, encode_joints(at, tuple(entries), values), self._steps)


def _header_json(header: EpisodeHeader) -> dict[str, object]:
    names = (field.name for field in fields(header) if field.name not in (INITIAL_STATE, "initial_robot"))
    return {name: getattr(header, name) for name in names} | {"environment": _named(header.environment)}


def _named(options: Mapping[str, object]) -> dict[str, object]:
    """``options`` with what JSON cannot hold (a rule given as a callable) by its name: for people to read."""
    named: dict[str, object] = {}
    for name, value in options.items():
        try:
            to_json(value)
            named[name] = value
        except TypeError:
            named[name] = getattr(value, "__qualname__", repr(value))
    return named
