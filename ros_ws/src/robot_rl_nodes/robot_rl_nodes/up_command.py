"""``robot-rl up``: the nodes of a cell, or of its twin, without a ROS installation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro


@dataclass(kw_only=True)
class Up:
    """Start the nodes of a cell or its twin, watch them, and end them with the arm held first; Ctrl-C ends it."""

    what: Annotated[Literal["twin", "robot"], tyro.conf.Positional]
    """The cell's own devices, or the same nodes over the twin."""
    cell: str = "twin"
    """Cell by name, or the path of its .toml file."""
    task: str = "reach"
    """What the arm is to do, by its name."""
    cameras: str = "all"
    """Cameras to start, separated by commas: all, none, or names in the cell file."""
    person: str = "none"
    """Twin: who sits at the teleop device: none, novice, intermediate, expert."""
    takeover: str = "watchful"
    """Twin: when the person takes over: watchful, no_progress, leaving_funnel, always, never."""
    profile: str = "collaborative"
    """Robot: limits of the cell to enforce."""
    with_learner: bool = False
    """Also start the actor, which trains in its own process; all ends when it has finished."""
    preset: str = "hil_serl"
    """With the learner: what learns and how."""
    env_steps: int = 2_500
    """With the learner: steps to train for."""
    demos: Path | None = None
    """With the learner: recorded demonstrations."""
    out: Path = Path("runs/ros")
    """Folder for the run and the nodes' logs."""
    folder: Path | None = None
    """Where the processes meet (sockets, the guard's lock and black box); the cell's own by default."""
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

        from robot_rl.command import say
        from robot_rl_nodes.ros import require
        from robot_rl_nodes.supervisor import Supervisor, pids

        require()
        supervisor, stop = Supervisor(self.nodes(), self.out / "logs", say), Event()
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, lambda *_: stop.set())
        try:
            supervisor.start()
            say(
                f"up: {', '.join(f'{name} {pid}' for name, pid in pids(supervisor).items())}; logs in {supervisor.logs}"
            )
            code = supervisor.run(stop, until="actor")
            if code:
                raise RuntimeError(f"the actor ended with {code}: {supervisor.last_words('actor')}")
        finally:
            supervisor.stop()
            say("down: the arm held first")
        restarts = {name: len(times) for name, times in supervisor.restarts.items()}
        return {"logs": supervisor.logs, "restarts": sum(restarts.values()), "restarts_by_node": restarts}

    def nodes(self) -> list[Any]:
        """What to start. Raises ``ValueError`` for what cell or task do not have."""
        from robot_rl_nodes.node_table import NodeSpec, robot_nodes, twin_nodes

        cameras = {"all": None, "none": []}.get(self.cameras, [name.strip() for name in self.cameras.split(",")])
        folder = str(self.folder or "")
        if self.what == "robot":
            nodes = robot_nodes(self.cell, self.task, cameras, folder, profile=self.profile)
        else:
            log = str(self.log or "")
            nodes = twin_nodes(self.cell, self.task, cameras, folder, self.person, self.takeover, self.seed, log)
        if self.with_learner:
            parameters: dict[str, Any] = {"cell": self.cell, "folder": folder, "preset": self.preset}
            run = {"env_steps": self.env_steps, "demos": str(self.demos or ""), "out": str(self.out)}
            parameters |= {**run, "seed": self.seed}
            nodes.append(NodeSpec("actor", "actor_node", parameters))
        return nodes
