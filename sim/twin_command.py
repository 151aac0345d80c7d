"""``robot-rl twin``: the twin's arm as a process, for a guard that is another. Apart from the other commands, since it
needs nothing of the learner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PRIORITY = 10
"""Below the guard's. An arm's controller is a computer of its own: what else runs here must not slow it down."""


@dataclass(kw_only=True)
class Twin:
    """Run a task's arm in real time as a process of its own, for `robot-rl guard` to drive; Ctrl-C ends it."""

    task: str = "reach"
    """Task by name, for its scene."""
    cell: str = "twin"
    """Cell by name, or the path of its .toml file: says in which folder to listen."""
    folder: Path | None = None
    """Where to listen; the cell's own folder by default. Give the guard the same."""
    log: Path | None = None
    """Log every physics step here (float64 rows; sim.arm_server.read_log reads them)."""
    seed: int = 0
    """Seed of the scene."""
    json: bool = False
    """Print one JSON object on stdout and nothing else; progress goes to stderr in any case."""

    @classmethod
    def defaults(cls, arguments: Sequence[str]) -> Twin:
        return cls()

    def run(self) -> Mapping[str, Any]:
        import logging

        from hardware.cell import load_cell
        from hardware.devices import runtime_folder
        from hardware.timekeeping import take_priority
        from sim.arm_server import serve_task

        logging.basicConfig(level=logging.INFO, format="%(message)s")
        folder = self.folder or runtime_folder(load_cell(self.cell).name)
        take_priority(PRIORITY)
        steps, lost_s = serve_task(self.task, folder, self.seed, self.log)
        return {"task": self.task, "steps": steps, "lost_s": lost_s}
