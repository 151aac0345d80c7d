"""The console over a real cell: ``robot-rl console --cell FILE`` finds whichever command runs in the cell.

It shows, and asks: to hold, and how the episode under way went. Nothing that it asks lets the arm move (S11): only the
buttons of the cell's own device, beside the arm, do.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hardware.cell import Cell
from hardware.devices import runtime_folder
from robot_rl.cell_scene import CellScene
from robot_rl.command import say
from robot_rl.console.broadcast import SOCKET, wait_for
from robot_rl.console.door import Address
from robot_rl.console.page import Page, start_server
from robot_rl.console.recorded import RecordedFrames
from robot_rl.console.snapshot import Snapshot
from robot_rl.console.viewer import show
from robot_rl.metrics import METRICS_FILE
from robot_rl.types import Episode

_POLL_S = 0.2


class CellStage(RecordedFrames):
    """The stage of an episode that a cell's arm made: its pictures, and the arm as its joints were."""

    def __init__(self, drawn: CellScene, episode: Episode) -> None:
        super().__init__(episode)
        arms = [step.raw.arm for step in episode.steps if step.raw is not None]
        self._drawn, self._arms = drawn, arms
        self.scene = drawn.scene if len(arms) == len(episode.steps) else None

    def body_poses(self, step: int) -> np.ndarray:
        arm = self._arms[step]
        return self._drawn.body_poses(arm.joint_positions_rad, arm.T_base_ee)


def watch(cell: Cell, task: str, runs: Sequence[Path], address: Address, sounds: bool) -> None:
    """Serve the page of what runs in ``cell``, one command after the other, until Ctrl-C.

    ``runs``: folders of its runs: episodes to browse, and metrics of what learns. Raises ``ValueError`` (one line) for
    an address that needs a token and where viser is missing.
    """
    server, path = start_server(address), runtime_folder(cell.name) / SOCKET
    drawn, link = CellScene(cell, task), socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def ask(*wish: Any) -> None:
        with suppress(OSError):  # Between runs nobody hears it.
            link.send(json.dumps(wish).encode(), socket.MSG_DONTWAIT)

    def completed(snapshot: Snapshot) -> Snapshot:
        poses = drawn.body_poses(tuple(snapshot.positions.tolist()), snapshot.hand)
        return replace(snapshot, body_poses=poses, training=newest_metrics(runs))

    episodes = next((run / "episodes" for run in runs if (run / "episodes").is_dir()), None)
    staging = None if episodes is None else lambda _, episode: CellStage(drawn, episode)
    page = Page(server, drawn.scene, ask, sounds, episodes, staging, drives=False)
    say(f"console: {replace(address, port=server.get_port()).url} (Ctrl-C ends it, and nothing else)")
    try:
        while True:
            link.close()
            say(f"waiting for a command that runs in cell {cell.name!r}")
            link = wait_for(path, lambda: time.sleep(_POLL_S))
            say("connected")
            show(link, page, lambda snapshot: snapshot.frames, completed)
    except KeyboardInterrupt:
        say("console closed")
    finally:
        link.close()
        server.stop()


def newest_metrics(runs: Sequence[Path]) -> Mapping[str, float]:
    """The last row of metrics in the first of ``runs`` that has one."""
    for run in runs:
        with suppress(OSError, ValueError, IndexError), (run / METRICS_FILE).open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - _TAIL_BYTES))
            row: dict[str, float | None] = json.loads(file.read().splitlines()[-1])
            return {name: value for name, value in row.items() if value is not None}
    return {}


_TAIL_BYTES = 8192
"""More than a row has."""
