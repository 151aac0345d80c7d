"""Episodes from their MCAP files; :mod:`robot_rl.episodes` says what is in one and writes them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from hardware.interfaces import RobotObservation, Source
from hardware.recording import (
    Message,
    Recording,
    RecordingError,
    decode_image,
    decode_joints,
    decode_vector,
    group_by_topic,
    read_recording,
    read_robot,
)
from robot_rl.types import Episode, EpisodeHeader, Step, StepId

INITIAL_STATE = "initial_state"
ACTIONS = ("executed", "proposed", "base")
STEP_NAMES = ("stamp_s", "step", "reward", "source", "intervention_start", "terminated", "truncated", "success")
CAMERA_FRAME, VECTOR, PICTURE = 0.0, 1.0, 2.0
"""Where an entry of an observation stands: in the camera's own frame, or in a message of its own, Joy or Image."""

Topics = dict[str, list[bytes]]


def _read_header(recording: Recording, start: Topics) -> EpisodeHeader:
    fields = dict(recording.metadata["header"]["episode"])
    fields["action_scale"] = tuple(fields["action_scale"])
    state = recording.attachments.get(INITIAL_STATE)
    initial_state = None if state is None else np.frombuffer(state, np.float64).copy()
    return EpisodeHeader(**fields, initial_state=initial_state, initial_robot=read_robot(start))


def _read_observation(topics: Topics, robot: RobotObservation | None) -> dict[str, np.ndarray]:
    names, origins, _ = decode_joints(topics["/observation"][0])
    observation: dict[str, np.ndarray] = {}
    for name, origin in zip(names, origins, strict=True):
        if origin == CAMERA_FRAME and robot is not None:
            observation[name] = robot.frames[name].image
        else:
            decode = decode_vector if origin == VECTOR else decode_image
            observation[name] = decode(topics[f"/observation/{name}"][0])
    return observation


def _read_step(topics: Topics, header: EpisodeHeader, before: RobotObservation | None, after: Topics) -> Step:
    names, numbers, _ = decode_joints(topics["/step"][0])
    facts = dict(zip(names, numbers, strict=True))
    executed, proposed, base = (decode_vector(topics[f"/action/{name}"][0]) for name in ACTIONS)
    return Step(
        id=StepId(header.run, header.actor, header.episode, int(facts["step"])),
        observation=_read_observation(topics, before),
        executed_action=executed,
        proposed_action=proposed,
        base_action=base,
        source=Source(int(facts["source"])),
        intervention_start=bool(facts["intervention_start"]),
        reward=facts["reward"],
        terminated=bool(facts["terminated"]),
        truncated=bool(facts["truncated"]),
        success=bool(facts["success"]),
        stamp_s=facts["stamp_s"],
        raw=read_robot(after),
        reward_inputs={name: value for name, value in facts.items() if name not in STEP_NAMES},
    )


def _assemble(path: Path, recording: Recording) -> Episode:
    """The episode of a recording. Without its last observation the last step has no successor: it becomes the final
    observation, and the step before it counts as truncated."""
    by_sequence: defaultdict[int, list[Message]] = defaultdict(list)
    for message in recording.messages:
        by_sequence[message.sequence].append(message)
    count = sum(message.topic == "/step" for message in recording.messages)
    boundaries = [group_by_topic(by_sequence[k]) for k in range(count + 1)]
    header = _read_header(recording, boundaries[0])
    steps: list[Step] = []
    robot = header.initial_robot
    for before, after in pairwise(boundaries):
        steps.append(_read_step(before, header, robot, after))
        robot = steps[-1].raw
    if "/observation" in boundaries[count]:
        base = boundaries[count].get("/action/base")
        final_base = decode_vector(base[0]) if base else None
        return Episode(header, steps, _read_observation(boundaries[count], robot), final_base)
    if count < 2:
        raise RecordingError(f"{path}: holds no whole step (it was cut off at its start); leave it out")
    final = steps.pop()
    steps[-1] = steps[-1] if steps[-1].is_last else replace(steps[-1], truncated=True)
    return Episode(header, steps, final.observation, final.base_action)


def read_with_recording(path: Path) -> tuple[Episode, Recording]:
    """:func:`read_episode` with the recording that it came from."""
    try:
        recording = read_recording(path)
    except FileNotFoundError:
        raise FileNotFoundError(
            f"no episode at {path}; `robot-rl episodes list FOLDER` names those of a folder"
        ) from None
    if "episode" not in recording.metadata.get("header", {}):
        raise RecordingError(f"{path}: an MCAP file, but not an episode (no episode header)")
    return _assemble(path, recording), recording


def read_episode(path: Path | str) -> Episode:
    """The episode of a file exactly as it was added; of a truncated file, its longest valid beginning.

    Raises :class:`RecordingError` (a ``ValueError``, one line) if the file is damaged or no episode.
    """
    return read_with_recording(Path(path))[0]
