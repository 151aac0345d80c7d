"""The commands of ``robot-rl`` that need no more than this package: record, train-bc, train, eval, bench.

This module loads no torch, so that ``robot-rl --help`` answers at once; commands import what they run.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from robot_rl.cli import nearest
from robot_rl.config import CloningConfig, TrainConfig, preset

if TYPE_CHECKING:
    from robot_rl.evaluate import Evaluation
    from robot_rl.rollout import EnvSpec
    from robot_rl.types import Episode

RUNS = Path("runs")
TWIN = "sim"
"""The module whose import registers the twin's tasks. Reached by name: this package does not know the twin."""


@dataclass(kw_only=True)
class Command:
    """What every command takes."""

    task: str = "peg_insertion"
    """Task by name; `robot-rl tasks` lists them."""
    env: str | None = None
    """Any gymnasium id instead of a task, as module:Name-v0."""
    preset: str = "hil_serl"
    """What learns and how: bc, hg_dagger, rlpd, hil_serl, or a *_paper column."""
    seed: int = 0
    """Seed of everything random."""
    out: Path | None = None
    """Folder for results; a fresh one under runs/ by default. An interrupted run goes on in the folder it is given."""
    json: bool = False
    """Print one JSON object on stdout and nothing else; progress goes to stderr in any case."""
    started_in: Annotated[Path | None, tyro.conf.Suppress] = None
    """Folder in which an interrupted run can go on."""

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
        """The environment of ``env`` or ``task``; ``kwargs`` are for tasks of ours."""
        from robot_rl.rollout import EnvSpec

        return EnvSpec(self.env) if self.env is not None else EnvSpec(task_id(self.task), kwargs)

    def name(self) -> str:
        """Task or environment, as a part of a folder's name."""
        return "".join(c if c.isalnum() or c in "_-" else "_" for c in self.env or self.task)


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
    """Of the twin's scripted person: novice, intermediate, expert."""

    def demonstrations(self, folder: Path) -> list[Episode]:
        """Those of ``demos``, or ``episodes`` new ones recorded in ``folder`` (what is there already counts)."""
        from robot_rl.demonstrations import collect_demos
        from robot_rl.episodes import load_demos

        if self.demos is not None:
            env = self.env_spec().make()
            task, action_dim = env.task.spec.name, int(env.action_space.shape[0])  # type: ignore[index]
            env.close()
            return load_demos(self.demos, task, action_dim)
        if self.env is not None and self.demo_policy is None:
            raise ValueError(
                f"'{self.env}' has no person to demonstrate: give --demos PATH or --demo-policy module:function"
            )
        spec = self.env_spec(person=self.skill, takeover="always") if self.demo_policy is None else self.env_spec()
        return collect_demos(folder, spec, self.episodes, self.seed, self.demo_policy, _count_demos)


def _count_demos(done: int, wanted: int) -> None:
    if done == wanted or done % 5 == 0:
        say(f"demonstrations: {done}/{wanted}")


@dataclass(kw_only=True)
class Record(FromDemonstrations):
    """Record demonstrations: a person, or a scripted policy, drives from start to success."""

    def run(self) -> Mapping[str, Any]:
        out = self.folder(f"demos-{self.name()}")
        shown = self.demonstrations(out)
        lengths = [len(episode.steps) for episode in shown]
        return {
            "out": out,
            "demos": len(shown),
            "steps": sum(lengths),
            "mean_steps": sum(lengths) / max(len(lengths), 1),
        }


@dataclass(kw_only=True)
class TrainBC(FromDemonstrations):
    """Clone demonstrations into a policy: the base of reinforcement learning, and its baseline."""

    cloning: CloningConfig = field(default_factory=CloningConfig)
    """Behaviour cloning's settings."""

    def run(self) -> Mapping[str, Any]:
        from robot_rl.demonstrations import clone_base

        out = self.folder(f"bc-{self.name()}")
        shown = self.demonstrations(out / "demos")
        if (out / "policy" / "policy.json").exists():
            raise ValueError(f"'{out}' holds a policy already: give another --out")
        clone_base(out / "policy", self.env_spec(), self.cloning, shown, self.seed)
        write_config(out, self.env_spec(), self.seed)
        return {"out": out, "policy": out / "policy", "demos": len(shown)}


@dataclass(kw_only=True)
class Train(FromDemonstrations):
    """Train a policy with a preset: demonstrations, behaviour-cloned base, then reinforcement with a person."""

    takeover: str = "watchful"
    """When the twin's person takes over: watchful, no_progress, leaving_funnel, never."""
    config: Annotated[TrainConfig, tyro.conf.arg(name="")] = field(default_factory=TrainConfig)
    """Every setting of the preset can be overridden."""

    @classmethod
    def defaults(cls, arguments: Sequence[str]) -> Train:
        name = preset_named_in(arguments) or cls.preset
        return cls(preset=name, config=preset(name))

    def run(self) -> Mapping[str, Any]:
        from robot_rl.demonstrations import clone_base
        from robot_rl.metrics import TrainingProgress
        from robot_rl.train import train

        out = self.folder(f"{self.name()}-{self.preset}")
        shown = self.demonstrations(out / "demos") if self.demos or self.demo_policy or self.env is None else []
        base = None
        if self.config.method == "rl" and self.config.warmup == "base" and shown:
            base = clone_base(out / "base", self.env_spec(), self.config.cloning, shown, self.seed)
        spec = self.env_spec(person=self.skill, takeover=self.takeover) if self.config.person else self.env_spec()
        with TrainingProgress(self.config.env_steps) as progress:
            tally = train(out, spec, self.config, demos=shown, base=base, seed=self.seed, progress=progress)
        rates = tally.recent()
        return {
            "out": out,
            "policy": out / "policy",
            "env_steps": tally.env_steps,
            "updates": tally.updates,
            "episodes": len(tally.successes),
            "wall_s": tally.wall_s,
            "recent_success": rates["success"],
            "intervention_rate": rates["intervention_rate"],
        }


@dataclass(kw_only=True)
class Evaluate(Command):
    """Evaluate a saved policy: the person locked out, timeouts are failures, with a Wilson interval."""

    policy: Annotated[Path, tyro.conf.Positional]
    """A run's folder, or its policy's. The task is the run's own."""
    episodes: int = 50
    """Episodes, on seeds that no training sees."""
    stochastic: bool = False
    """Sample actions as in training instead of taking the mean."""
    workers: int = 2
    """Processes to share the episodes among."""

    @classmethod
    def defaults(cls, arguments: Sequence[str]) -> Evaluate:
        return cls(policy=tyro.MISSING)

    def run(self) -> Mapping[str, Any]:
        from robot_rl.evaluate import evaluate_in_processes
        from robot_rl.policy import load_policy

        _, interface = load_policy(self.policy)
        spec = spec_of_run(self.policy) or self.env_spec()
        result = evaluate_in_processes(
            self.policy, spec, self.episodes, self.seed, deterministic=not self.stochastic, workers=self.workers
        )
        return {"policy": self.policy, "task": interface.task, **evaluation_summary(result)}


@dataclass(kw_only=True)
class Bench(Command):
    """Quick speed figures of this machine: environment steps or learner updates a second."""

    what: Annotated[Literal["env", "learner"], tyro.conf.Positional] = "env"
    """Environment steps/s of --task, or updates/s at batch 256."""
    seconds: float = 5.0
    """Length of the measurement."""

    def run(self) -> Mapping[str, Any]:
        if self.what == "learner":
            from robot_rl.benchmark import bench_learner

            return bench_learner(self.seconds)
        from robot_rl.benchmark import bench_env

        return {"task": self.env or self.task, **bench_env(self.env_spec().make(), self.seconds, self.seed)}


def preset_named_in(arguments: Sequence[str]) -> str | None:
    """The value of ``--preset``, read before all else is parsed since it sets the other options' defaults."""
    for i, argument in enumerate(arguments):
        if argument == "--preset" and i + 1 < len(arguments):
            return arguments[i + 1]
        if argument.startswith("--preset="):
            return argument.partition("=")[2]
    return None


def evaluation_summary(result: Evaluation) -> dict[str, Any]:
    """An evaluation without its episode-by-episode lists."""
    return {k: v for k, v in dataclasses.asdict(result).items() if k not in ("outcomes", "lengths")}


def write_config(out: Path, spec: EnvSpec, seed: int) -> None:
    """``config.json`` of a run that has no trainer to write it."""
    (out / "config.json").write_text(json.dumps({"env": dataclasses.asdict(spec), "seed": seed}, indent=1))


def spec_of_run(folder: Path) -> EnvSpec | None:
    """The environment that the run around a policy was trained in; None where no run is around it."""
    from robot_rl.rollout import EnvSpec

    for place in (folder, folder.parent):
        if (place / "config.json").exists():
            return EnvSpec(**json.loads((place / "config.json").read_text())["env"])
    return None
