"""Which processes make a cell, and what each is started with: one table for ``robot-rl up`` and the launch files."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from hardware.cell import Cell, load_cell
from robot_rl.cell_task import load_task
from robot_rl.keys import default_endpoint
from robot_rl.task import TaskSpec
from robot_rl_nodes.cell_devices import require_camera
from sim.tasks import task_class

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
    def stop_s(self) -> float:
        """How long it may take to end when told to."""
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
    stop_s: float = 5.0

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
    stop_s: float = 60.0
    """It keeps what it has learned."""

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
    profile: str = "",
    control_hz: float = 0.0,
) -> list[NodeSpec]:
    """Cameras (all of the cell by default), teleop and the guarded arm of ``cell``. ``task``: its name in the cell
    file, or its own .toml file, which says ``profile`` (``collaborative`` by default) and ``control_hz`` (10) too.
    Raises ``ValueError`` naming what the cell does not have."""
    if not is_file(task):
        spec = TaskSpec(task, "", 1, control_hz or 10.0, limits_profile=profile or "collaborative")
    elif profile or control_hz:
        raise ValueError(f"profile and control_hz stand in '{task}', or are its defaults: leave them out")
    else:
        spec = load_task(task).spec
    return _cell_nodes(cell, spec, cameras, folder, devices)


def is_file(task: str) -> bool:
    """Whether a task is a file, rather than a name."""
    return task.endswith(".toml")


def _cell_nodes(
    cell: str, task: TaskSpec, cameras: Sequence[str] | None, folder: Path | str, devices: str, clock: bool = True
) -> list[NodeSpec]:
    loaded = load_cell(cell)
    names = _cameras(loaded, cameras)
    loaded.profile(task.limits_profile)
    common: dict[str, str | float | bool] = {"cell": cell, "devices": devices, "folder": str(folder)}
    limits: dict[str, str | float | bool] = {"profile": task.limits_profile, "task": task.name}
    limits |= {"control_hz": task.control_hz, "clock": clock}
    limits |= dict(zip(("teleop_m_s", "teleop_rad_s"), task.teleop_speed, strict=True))
    return [
        *(NodeSpec(f"camera_{name}", "camera_node", {**common, "camera": name}, True) for name in names),
        NodeSpec("teleop", "teleop_node", common, True),
        NodeSpec(GUARD, "arm_node", {**common, **limits, "cameras": ",".join(names)}, stop_s=6.0),  # At rest first.
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
    return [twin, *_cell_nodes(cell, task_class(task).spec, cameras, folder, TWIN_DEVICES, clock=False)]


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
    task: str = "",
    env_kwargs: str = "{}",
) -> list[CommandSpec | NodeSpec]:
    """The learner, and the actor that acts for it in ``env``, at the two ends of a link at ``endpoint`` (this user's by
    default). Both keep what they have in ``out``. ``task``: the .toml file of a real cell's; the twin's by default.
    ``env_kwargs``: further keyword arguments of the environment, as a JSON object."""
    link = endpoint or default_endpoint()
    words = ["--preset", preset, "--env-steps", str(env_steps), "--out", out, "--seed", str(seed), "--endpoint", link]
    words += ["--demos", demos] if demos else []
    acting: dict[str, str | float | bool] = {"cell": cell, "folder": str(folder), "out": out, "seed": seed}
    acting |= {"env_kwargs": env_kwargs, "env": env, "task": task, "endpoint": link, "wait_for_start": wait_for_start}
    return [
        CommandSpec(LEARNER, ("learner", *words), restarts=True),
        NodeSpec(ACTOR, "actor_node", acting),
    ]


def recording(cell: str, cameras: str = "all", out: str = "bag") -> list[NodeSpec]:
    """The recorder of all that the nodes say, into files in the folder ``out``."""
    return [NodeSpec("recorder", "recorder_node", {"cell": cell, "cameras": cameras, "out": out}, True, stop_s=30.0)]


def _cameras(cell: Cell, wanted: Sequence[str] | None) -> list[str]:
    if wanted is None:
        return list(cell.cameras)
    for name in wanted:
        require_camera(cell, name)
    return list(wanted)


def _text(value: str | float | bool) -> str:
    """As a ROS parameter on a command line: text in quotes, lest ``1e3`` or ``on`` become something else."""
    return f"'{value}'" if isinstance(value, str) else str(value).lower()
