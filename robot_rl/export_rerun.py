"""Episodes as recordings for rerun's viewer (https://rerun.io): images, states, actions and who drove, over time."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from robot_rl.types import Episode


def export_rerun(episodes: Iterable[Episode], out: Path) -> int:
    """One ``.rrd`` file an episode in the folder ``out``; the number of steps. ValueError where rerun is missing."""
    try:
        import rerun as rr
    except ImportError:
        raise ValueError("this export needs rerun: pip install 'robot-rl[rerun]'") from None

    out.mkdir(parents=True, exist_ok=True)
    count = 0
    for episode in episodes:
        header = episode.header
        name = f"{header.run}-{header.actor:02d}-{header.episode:06d}"
        with rr.RecordingStream("robot_rl", recording_id=name) as stream:
            stream.save(out / f"{name}.rrd")
            for number, step in enumerate(episode.steps):
                stream.set_time("step", sequence=number)
                stream.set_time("time", duration=number / header.control_hz)
                for entry, value in step.observation.items():
                    shown = rr.Image(value) if value.dtype == np.uint8 else rr.Scalars(value)
                    stream.log(f"observation/{entry}", shown)
                stream.log("action/executed", rr.Scalars(step.executed_action))
                stream.log("action/proposed", rr.Scalars(step.proposed_action))
                stream.log("source", rr.Scalars(int(step.source)))
                stream.log("reward", rr.Scalars(step.reward))
            stream.flush()
        count += len(episode.steps)
    return count
