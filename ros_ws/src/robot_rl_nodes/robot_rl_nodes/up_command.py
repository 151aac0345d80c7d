"""``robot-rl up``: the nodes of a cell, or of its twin, without a ROS installation."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

if TYPE_CHECKING:
    from robot_rl_nodes.node_table import ProcessSpec

SHOWN_EVERY = 500


@dataclass(kw_only=True)
class Up:
    """Start the nodes of a cell or its twin, watch them, and end them with the arm held first; Ctrl-C ends it."""

    what: Annotated[Literal["twin", "robot"], tyro.conf.Positional]
    """The cell's own devices, or the same nodes over the twin."""
    cell: str = "twin"
    """Cell by name, or the path of its .toml file."""
    task: str = "reach"
    """Twin: task by name. Robot: the task's .toml file (docs/new-task.md), or a name in the cell file."""
    cameras: str = "all"
    """Cameras to start, separated by commas: all, none, or names in the cell file."""
    person: str = "none"
    """Twin: who sits at the teleop device: none, novice, intermediate, expert."""
    takeover: str = "watchful"
    """Twin: when the person takes over: watchful, no_progress, leaving_funnel, always, never."""
    profile: str = ""
    """Robot: limits of the cell to enforce; those that the task's file names, or else collaborative."""
    with_learner: bool = False
    """Also start a learner, and the actor that acts for it; all ends when the learner has all steps."""
    preset: str = "hil_serl"
    """With the learner: what learns and how."""
    env_steps: int = 2_500
    """With the learner: steps to train for."""
    demos: Path | None = None
    """With the learner: recorded demonstrations."""
    out: Path | None = None
    """Folder for the run and the nodes' logs; a fresh one under runs/ by default. A run that was begun goes on."""
    endpoint: str | None = None
    """With the learner: where it listens; by default a socket that only you can reach."""
    env: str = ""
    """With the learner: gymnasium id of another environment over the topics, as module:Name-v0."""
    env_kwargs: str = "{}"
    """With the learner: further keyword arguments of the environment, as a JSON object: '{"cameras": ["wrist"]}'."""
    folder: Path | None = None
    """Where the processes meet (sockets, the guard's lock and black box); the cell's own by default."""
    record: Path | None = None
    """Also record all that the nodes say, into a new MCAP file in this folder."""
    log: Path | None = None
    """Twin: log every physics step here."""
    seed: int = 0
    """Seed of scene, person and learner."""
    json: bool = False
    """Print one JSON object on stdout and nothing else; progress goes to stderr in any case."""

    @classmethod
    def defaults(cls, arguments: Sequence[str]) -> Up:
        return cls(what=tyro.MISSING)

    def run(self) -> Mapping[str, Any]:
        import signal
        from threading import Event

        from robot_rl.command import Command, say
        from robot_rl_nodes.node_table import ACTOR, LEARNER
        from robot_rl_nodes.ros import require
        from robot_rl_nodes.supervisor import Supervisor, pids

        require()
        out = Command(out=self.out).folder(f"ros-{Path(self.task).stem}")
        supervisor, stop = Supervisor(self.nodes(out), out / "logs", say, heard=(ACTOR,)), Event()
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, lambda *_: stop.set())
        try:
            supervisor.start()
            started = ", ".join(f"{name} {pid}" for name, pid in pids(supervisor).items())
            say(f"up: {started}; logs in {supervisor.logs}")
            supervisor.run(stop, until=LEARNER, done=(ACTOR,))
        finally:
            supervisor.stop()
            say("down: the arm held first")
        restarts = {name: len(times) for name, times in supervisor.restarts.items() if times}
        again = ", ".join(f"{name} × {count}" for name, count in restarts.items())
        return {**_training(out), "out": out, "restarted": again or "none"}

    def nodes(self, out: Path) -> list[ProcessSpec]:
        """What to start. Raises ``ValueError`` for what cell or task do not have, and for demonstrations that lack."""
        from robot_rl.command import Command
        from robot_rl.link_commands import LearnerCommand
        from robot_rl.presets import preset
        from robot_rl_nodes.node_table import is_file, learning, recording, robot_nodes, twin_nodes

        cameras = {"all": None, "none": []}.get(self.cameras, [name.strip() for name in self.cameras.split(",")])
        folder = str(self.folder or "")
        nodes: list[ProcessSpec] = []
        task = ""
        if self.what == "robot":
            nodes += robot_nodes(self.cell, self.task, cameras, folder, profile=self.profile)
            task = self.task if is_file(self.task) else ""
        else:
            log = str(self.log or "")
            nodes += twin_nodes(self.cell, self.task, cameras, folder, self.person, self.takeover, self.seed, log)
        if self.record is not None:
            nodes += recording(self.cell, self.cameras, str(self.record))
        if self.with_learner:
            if self.what == "robot" and not (self.env or task):
                raise ValueError(
                    "what is to be learned in a real cell? Give its --task as a .toml file (docs/new-task.md), or "
                    "an environment of yours by --env module:Name-v0"
                )
            LearnerCommand(preset=self.preset, config=preset(self.preset), demos=self.demos).require_folders()
            further = Command(env_kwargs=self.env_kwargs).further
            run = (self.preset, self.env_steps, str(self.demos or ""), str(out), self.seed, self.endpoint or "")
            nodes += learning(self.cell, folder, *run, env=self.env, task=task, env_kwargs=json.dumps(further))
        return nodes


def _training(out: Path) -> dict[str, Any]:
    """How success went, about every 500 steps, of a run in ``out``; nothing where none was made."""
    path = out / "metrics.jsonl"
    if not path.exists():
        return {}
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    shown = [row for before, row in pairwise([{"env_steps": 0}, *rows]) if _passes(before, row) or row is rows[-1]]
    return {
        "training": [
            {
                "env_steps": f"{row['env_steps']:>6} steps",
                "success": f"success {100 * row['success']:.0f} % of the last 20",
                "person": f"person drove {100 * row['intervention_rate']:.0f} %",
                "wall": f"{row['wall_s'] / 60:.1f} min",
            }
            for row in shown
        ]
    }


def _passes(before: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    return bool(row["env_steps"] // SHOWN_EVERY > before["env_steps"] // SHOWN_EVERY)
