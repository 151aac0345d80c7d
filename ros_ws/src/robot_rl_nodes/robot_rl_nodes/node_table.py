"""Which processes make a cell, and what each is started with: one table for ``robot-rl up`` and the launch files."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from hardware.cell import Cell, load_cell
from robot_rl.keys import default_endpoint
from robot_rl_nodes.cell_devices import require_camera

TWIN_DEVICES = "sim.remote_scene:devices"
GUARD = "arm"
"""Name of the node that holds the arm: first to be stopped, never restarted by itself."""
LEARNER, ACTOR = "learner", "actor"
"""Both end by themselves, with the exit code 0: the actor once the learner has all the steps of its run, the learner
once it has also done all the updates."""


class ProcessSpec(Protocol):
    """One process."""

    @property
    def name(self) -> str: ...

    @property
    def restarts(self) -> bool:
        """Whether it is started again when it ends by itself."""
        ...

    @property
    def command(self) -> list[str]:
        """The whole command line."""
        ...


@dataclass(frozen=True)
class NodeSpec:
    """A :class:`ProcessSpec` that is a node."""

    name: str
    module: str
    parameters: Mapping[str, str | float | bool] = field(default_factory=dict)
    restarts: bool = False

    @property
    def arguments(self) -> list[str]:
        """What follows the interpreter."""
        given = [f"{name}:={_text(value)}" for name, value in self.parameters.items() if value != ""]
        pairs = [word for text in given for word in ("-p", text)]
        # Of this node alone: without its name before it, a remap renames every node of the process.
        name = f"{self.module.removesuffix('_node')}:__node:={self.name}"
        return ["-m", f"robot_rl_nodes.{self.module}", "--ros-args", "-r", name, *pairs]

    @property
    def command(self) -> list[str]:
        """No installed package is looked up."""
        return [sys.executable, *self.arguments]


@dataclass(frozen=True)
class CommandSpec:
    """A :class:`ProcessSpec` that is a command of ``robot-rl``: no node, and it keeps no time."""

    name: str
    words: tuple[str, ...]
    restarts: bool = False

    @property
    def command(self) -> list[str]:
        """It gets what time the others leave, also where they were started with real-time priority."""
        return ["chrt", "--other", "0", "nice", "-n", "5", sys.executable, "-m", "robot_rl", *self.words]


def robot_nodes(
    cell: str,
    task: str = "",
    cameras: Sequence[str] | None = None,
    folder: Path | str = "",
    devices: str = "",
    profile: str = "collaborative",
    control_hz: float = 10.0,
    clock: bool = True,
) -> list[NodeSpec]:
    """Cameras (all of the cell by default), teleop and the guarded arm of ``cell``. Raises ``ValueError`` naming what
    the cell does not have."""
    loaded = load_cell(cell)
    names = _cameras(loaded, cameras)
    common: dict[str, str | float | bool] = {"cell": cell, "devices": devices, "folder": str(folder)}
    limits: dict[str, str | float | bool] = {"profile": profile, "task": task, "control_hz": control_hz, "clock": clock}
    return [
        *(NodeSpec(f"camera_{name}", "camera_node", {**common, "camera": name}, True) for name in names),
        NodeSpec("teleop", "teleop_node", common, True),
        NodeSpec(GUARD, "arm_node", {**common, **limits, "cameras": ",".join(names)}),
    ]


def twin_nodes(
    cell: str,
    task: str = "reach",
    cameras: Sequence[str] | None = None,
    folder: Path | str = "",
    person: str = "none",
    takeover: str = "watchful",
    seed: int = 0,
    log: str = "",
) -> list[NodeSpec]:
    """The same nodes over the twin, and the twin."""
    own: dict[str, str | float | bool] = {"cell": cell, "task": task, "folder": str(folder), "log": log}
    twin = NodeSpec("twin", "twin_node", {**own, "person": person, "takeover": takeover, "seed": seed})
    return [twin, *robot_nodes(cell, task, cameras, folder, TWIN_DEVICES, clock=False)]


def learning(
    cell: str,
    folder: Path | str = "",
    preset: str = "hil_serl",
    env_steps: int = 2_500,
    demos: str = "",
    out: str = "runs/ros",
    seed: int = 0,
    endpoint: str = "",
    wait_for_start: bool = False,
    env: str = "",
) -> list[CommandSpec | NodeSpec]:
    """The learner, and the actor that acts for it in ``env`` (the twin's task by default), at the two ends of a link at
    ``endpoint`` (this user's by default). Both keep what they have in ``out``."""
    link = endpoint or default_endpoint()
    words = ["--preset", preset, "--env-steps", str(env_steps), "--out", out, "--seed", str(seed), "--endpoint", link]
    words += ["--demos", demos] if demos else []
    acting: dict[str, str | float | bool] = {"cell": cell, "folder": str(folder), "out": out, "seed": seed}
    acting |= {"env": env, "endpoint": link, "wait_for_start": wait_for_start}
    return [
        CommandSpec(LEARNER, ("learner", *words), restarts=True),
        NodeSpec(ACTOR, "actor_node", acting),
    ]


def _cameras(cell: Cell, wanted: Sequence[str] | None) -> list[str]:
    if wanted is None:
        return list(cell.cameras)
    for name in wanted:
        require_camera(cell, name)
    return list(wanted)


def _text(value: str | float | bool) -> str:
    """As a ROS parameter on a command line: text in quotes, lest ``1e3`` or ``on`` become something else."""
    return f"'{value}'" if isinstance(value, str) else str(value).lower()
