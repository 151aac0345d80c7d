"""What the commands of ``robot-rl`` share: options, the folder for results, the environment, demonstrations."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from robot_rl.cli import nearest
from robot_rl.config import PATCHES, TrainConfig
from robot_rl.presets import preset

if TYPE_CHECKING:
    from robot_rl.rollout import EnvSpec
    from robot_rl.types import Episode

RUNS = Path("runs")
TWIN = "sim"
"""The module whose import registers the twin's tasks. Reached by name: this package does not know the twin."""
REAL_CELL = "robot_rl.cell_env:RealCell-v0"
"""Made of a cell's file and a task's."""
ROS_CELL = "robot_rl_nodes.envs:Cell-v0"
"""The same over nodes that run, or the twin's task where these are its nodes. By name too."""


@dataclass(kw_only=True)
class Command:
    """What every command takes."""

    task: str = "peg_insertion"
    """Task by name; `robot-rl tasks` lists them."""
    env: str | None = None
    """Any gymnasium id instead of a task, as module:Name-v0."""
    cell: Path | None = None
    """A real cell's .toml file: --task is then a .toml file too (docs/new-task.md), and the person at the teleop device
    demonstrates, corrects, and says what succeeded."""
    ros: bool = False
    """Over the ROS 2 nodes that run (`robot-rl up`): those of --cell, or the twin's."""
    env_kwargs: str = "{}"
    """Further keyword arguments of the environment, as a JSON object."""
    cameras: tuple[str, ...] = ()
    """Cameras to learn from, as front wrist. The observation then tells neither where the task is estimated to be nor
    what a tracker sees: --env-kwargs '{"frame": "task", "tracked": true}' brings both back."""
    image_size: int = 64
    """Side of the cameras' square images, px; a multiple of 16."""
    preset: str = "hil_serl"
    """What learns and how: bc, hg_dagger, rlpd, hil_serl, rlif, residual, res_hil, latent_noise, or a *_paper."""
    seed: int = 0
    """Seed of everything random."""
    out: Path | None = None
    """Folder for results; a fresh one under runs/ by default. An interrupted run goes on in the folder it is given."""
    json: bool = False
    """Print one JSON object on stdout and nothing else; progress goes to stderr in any case."""
    started_in: Annotated[Path | None, tyro.conf.Suppress] = None
    """Folder in which an interrupted run can go on."""

    def check(self) -> None:
        """Raise ValueError for a number that makes no sense."""
        for name, least in (("seed", 0), ("episodes", 1), ("test_episodes", 1), ("workers", 1)):
            number = getattr(self, name, least)
            if isinstance(number, int) and number < least:
                raise ValueError(f"--{name.replace('_', '-')} is {number}: give {least} or more")
        if self.cameras and (self.image_size <= 0 or self.image_size % PATCHES):
            raise ValueError(f"--image-size is {self.image_size}: give a multiple of {PATCHES}, as 64 or 128")

    @classmethod
    def defaults(cls, arguments: Sequence[str]) -> Command:
        """An instance holding the defaults that ``arguments`` (a preset, say) imply."""
        return cls()

    def run(self) -> Mapping[str, Any]:
        """Do it. Raises ValueError or OSError, one line, for what the person at the keyboard can put right."""
        raise NotImplementedError

    def folder(self, name: str) -> Path:
        """``out``, or a fresh numbered folder ``runs/<name>-<n>``."""
        if self.out is None:
            taken = [
                int(p.name.rpartition("-")[2]) for p in RUNS.glob(f"{name}-*") if p.name.rpartition("-")[2].isdigit()
            ]
            self.started_in = RUNS / f"{name}-{max(taken, default=0) + 1}"
        else:
            self.started_in = self.out
        return self.started_in

    def env_spec(self, **kwargs: Any) -> EnvSpec:
        """The environment of ``env`` or ``task``; ``kwargs`` and cameras are for ours, ``env_kwargs`` for any."""
        from robot_rl.rollout import EnvSpec

        if self.env is not None:
            return EnvSpec(self.env, self.further)
        if self.cameras:
            kwargs |= {"cameras": self.cameras, "image_size": self.image_size}
        if self.cell is not None:
            files = {"cell": str(self.cell.resolve()), "task": str(Path(self.task).resolve())}
            return EnvSpec(ROS_CELL if self.ros else REAL_CELL, {**files, **kwargs, **self.further})
        if self.cameras:
            kwargs |= {"frame": "base", "tracked": False}
        return EnvSpec(ROS_CELL if self.ros else task_id(self.task), {**kwargs, **self.further})

    @property
    def further(self) -> dict[str, Any]:
        """What ``env_kwargs`` says."""
        try:
            further = json.loads(self.env_kwargs)
        except json.JSONDecodeError:
            further = None
        if not isinstance(further, dict):
            raise ValueError(f"--env-kwargs is '{self.env_kwargs}': give a JSON object, as '{{\"jitter_s\": 0.05}}'")
        return further

    @property
    def views(self) -> dict[str, int]:
        """Cameras to learn from and the side of their images, px."""
        return dict.fromkeys(self.cameras, self.image_size)

    @property
    def subject(self) -> str:
        """Task or environment, for people."""
        return self.env or (self.task if self.cell is None else Path(self.task).stem)

    def name(self) -> str:
        """The same, as a part of a folder's name."""
        return "".join(c if c.isalnum() or c in "_-" else "_" for c in self.subject)

    @property
    def scripted(self) -> bool:
        """Whether the person is the twin's, in this process."""
        return self.env is None and not self.alone

    @property
    def alone(self) -> bool:
        """Whether there is one robot, in real time: no other process may have it too."""
        return self.ros or self.cell is not None


def task_ids() -> dict[str, str]:
    """The twin's tasks: name → gymnasium id."""
    import gymnasium

    importlib.import_module(TWIN)
    own = [s for s in gymnasium.registry.values() if str(s.entry_point).startswith(f"{TWIN}.")]
    return {spec.kwargs["task"]: f"{TWIN}:{spec.id}" for spec in own}


def task_id(task: str) -> str:
    """Gymnasium id of a task; ValueError naming the nearest one."""
    ids = task_ids()
    if task not in ids:
        raise ValueError(f"no task '{task}'; {nearest(task, ids)} (`robot-rl tasks` lists them)")
    return ids[task]


def say(text: str) -> None:
    """Progress, for people: on stderr."""
    print(text, file=sys.stderr, flush=True)


@dataclass(kw_only=True)
class Configured(Command):
    """A command that learns by a preset."""

    config: Annotated[TrainConfig, tyro.conf.arg(name="")] = field(default_factory=TrainConfig)
    """Every setting of the preset can be overridden."""

    def check(self) -> None:
        super().check()
        if self.config.watched_steps is not None and not self.config.person:
            raise ValueError(f"--watched-steps: '{self.preset}' has no person who could go; leave it out")

    @classmethod
    def defaults(cls, arguments: Sequence[str]) -> Configured:
        name = preset_named_in(arguments) or cls.preset
        return cls(preset=name, config=preset(name))


@dataclass(kw_only=True)
class FromDemonstrations(Command):
    """A command that begins with demonstrations."""

    demos: Path | None = None
    """Recorded demonstrations: a folder or one file. Recorded now if left out."""
    demo_policy: str | None = None
    """Who demonstrates where there is no person: module:function; function(env) is called each episode and returns a
    callable observation -> action in [-1, 1]."""
    episodes: int = 20
    """Demonstrations to record."""
    skill: str = "expert"
    """Of the twin's scripted person: novice, intermediate, expert, or a file of `robot-rl fit-person`."""

    def demonstrations(self, folder: Path) -> list[Episode]:
        """Those of ``demos``, or ``episodes`` new ones recorded in ``folder`` (what is there already counts)."""
        from robot_rl.demonstrations import collect_demos, require_entries
        from robot_rl.episodes import load_demos

        if self.demos is not None:
            env = self.env_spec().make()
            task, action_dim = env.task.spec.name, int(env.action_space.shape[0])
            shapes = {name: space.shape or () for name, space in env.observation_space.items()}
            env.close()
            return require_entries(load_demos(self.demos, task, action_dim), shapes, self.demos)
        if self.env is not None and self.demo_policy is None:
            raise ValueError(
                f"'{self.env}' has no person to demonstrate: give --demos PATH or --demo-policy module:function"
            )
        asked = self.demo_policy is None and self.scripted
        spec = self.env_spec(person=self.skill, takeover="always") if asked else self.env_spec()
        return collect_demos(folder, spec, self.episodes, self.seed, self.demo_policy, _count_demos)


def _count_demos(done: int, wanted: int) -> None:
    if done == wanted or done % 5 == 0:
        say(f"demonstrations: {done}/{wanted}")


def preset_named_in(arguments: Sequence[str]) -> str | None:
    """The value of ``--preset``, read before all else is parsed since it sets the other options' defaults."""
    for i, argument in enumerate(arguments):
        if argument == "--preset" and i + 1 < len(arguments):
            return arguments[i + 1]
        if argument.startswith("--preset="):
            return argument.partition("=")[2]
    return None
