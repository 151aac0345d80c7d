"""The commands of ``robot-rl`` that need no more than this package: record, train-bc, train, eval, bench.

This module loads no torch, so that ``robot-rl --help`` answers at once; commands import what they run.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from robot_rl.command import Command, Configured, FromDemonstrations, say
from robot_rl.config import CloningConfig, ComputeConfig, TrainConfig, seeing
from robot_rl.run_folder import DECLARED, spec_of_run, write_config

if TYPE_CHECKING:
    from robot_rl.base_policy import BasePolicy
    from robot_rl.evaluate import Evaluation
    from robot_rl.types import Episode


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
        cloning = dataclasses.replace(self.cloning, cameras=self.views or self.cloning.cameras)
        shown = self.demonstrations(out / "demos")
        if (out / "policy" / "policy.json").exists():
            raise ValueError(f"'{out}' holds a policy already: give another --out")
        clone_base(out / "policy", self.env_spec(), cloning, shown, self.seed)
        write_config(out, self.env_spec(), self.seed)
        return {"out": out, "policy": out / "policy", "demos": len(shown)}


@dataclass(kw_only=True)
class Train(FromDemonstrations, Configured):
    """Train a policy with a preset: demonstrations, behaviour-cloned base, then reinforcement with a person."""

    takeover: str = "watchful"
    """When the twin's person takes over: watchful, no_progress, leaving_funnel, never, or value:RUN, where the critic
    of a finished run of rlpd or hil_serl sees its value fall."""
    base: str = "clone"
    """Who collects first, and what a residual corrects: clone (of the demonstrations), zero, module:function,
    lerobot:FOLDER (a policy that LeRobot trained), or the folder of a policy that `train-bc` made."""
    classifier: Path | None = None
    """Folder of a success classifier (`robot-rl train-classifier`): it ends episodes and pays what the environment's
    reward would."""

    def run(self) -> Mapping[str, Any]:
        from robot_rl.metrics import TrainingProgress
        from robot_rl.train import train

        scripted = self.config.person and self.scripted
        person: dict[str, Any] = {"person": self.skill, "takeover": self.takeover} if scripted else {}
        if self.scripted:
            self.env_spec(**person).make().close()  # What cannot be made is refused before anybody demonstrates.
        out = self.folder(f"{self.name()}-{self.preset}")
        shown = self.demonstrations(out / "demos") if self.demos or self.demo_policy or self.env is None else []
        base, config = None, seeing(self.config, self.views) if self.cameras else self.config
        if self.classifier is not None:
            person["classifier"] = str(self.classifier)
            config, shown = self._judged(config, shown)
        over_base = config.warmup != "random" or config.learner.actor != "gaussian"
        if config.method == "rl" and over_base and (shown or self.base != "clone"):
            base = self._base(out, config, shown)
        spec = self.env_spec(**person)
        with TrainingProgress(config.env_steps) as progress:
            tally = train(out, spec, config, demos=shown, base=base, seed=self.seed, progress=progress, say=say)
        report(out, {"task": self.subject, "preset": self.preset, "seed": self.seed}, tally.figures(shown))
        return {"out": out, "policy": out / "policy", **tally.summary()}

    def _base(self, out: Path, config: TrainConfig, shown: list[Episode]) -> BasePolicy:
        from robot_rl.cloned_policy import ClonedPolicy
        from robot_rl.demonstrations import clone_base, require_fit
        from robot_rl.named_base import find_base
        from robot_rl.policy import Interface, load_policy

        if self.base == "clone":
            return clone_base(out / "base", self.env_spec(), config.cloning, shown, self.seed)
        env = self.env_spec().make()
        interface = Interface.of(env)
        env.close()
        if not Path(self.base).is_dir():
            return find_base(self.base, interface.action_dim)
        policy, made_for = load_policy(Path(self.base))
        require_fit(Path(self.base), made_for, interface)
        if not isinstance(policy, ClonedPolicy):
            raise ValueError(
                f"'{self.base}' learned by reinforcement: a base is a policy that `robot-rl train-bc` made"
            )
        return policy

    def _judged(self, config: TrainConfig, shown: list[Episode]) -> tuple[TrainConfig, list[Episode]]:
        """``config`` paying the classifier's verdict instead of the environment's reward, ``shown`` judged by it."""
        from robot_rl.judged import relabelled
        from robot_rl.success_classifier import load_classifier

        assert self.classifier is not None
        classifier, reward = load_classifier(self.classifier, self.views), config.learner.reward
        paid = dataclasses.replace(reward, environment=0.0, classifier=reward.environment or reward.classifier)
        learner = dataclasses.replace(config.learner, reward=paid)
        return dataclasses.replace(config, learner=learner), [relabelled(e, classifier) for e in shown]


@dataclass(kw_only=True)
class Evaluate(Command):
    """Evaluate a saved policy: the person locked out, timeouts are failures, with a Wilson interval."""

    policy: Annotated[Path, tyro.conf.Positional]
    """A run's folder, or its policy's."""
    task: str = ""
    """Task by name; the run's own environment by default."""
    episodes: int = 50
    """Episodes, on seeds that no training sees."""
    stochastic: bool = False
    """Sample actions as in training instead of taking the mean."""
    workers: int = 2
    """Processes to share the episodes among."""
    base: str = ""
    """The script or LeRobot policy that it works over, as `train --base` had it: its code is run."""
    out: Path | None = None
    """Folder for report.html and the last pictures of the first failures; nothing is kept without one. A trained run's
    own folder is one: its report then has the test."""

    @classmethod
    def defaults(cls, arguments: Sequence[str]) -> Evaluate:
        return cls(policy=tyro.MISSING)

    def run(self) -> Mapping[str, Any]:
        from robot_rl.demonstrations import require_fit
        from robot_rl.evaluate import EvaluationProcesses, evaluate
        from robot_rl.failures import drop_pictures
        from robot_rl.policy import Interface, load_policy
        from robot_rl.report import FAILURES

        if self.out is not None and (self.out / DECLARED).exists():
            raise ValueError(f"'{self.out}' holds a final test declared before training: give another --out")
        policy, interface = load_policy(self.policy, self.base)
        own = None if self.task or self.alone else spec_of_run(self.policy, self.env)
        self.task = self.task or interface.task
        spec = dataclasses.replace(own, kwargs={**own.kwargs, **self.further}) if own else self.env_spec()
        env = spec.make()
        require_fit(self.policy, interface, Interface.of(env))
        how = (self.episodes, self.seed, not self.stochastic)
        pictures = None if self.out is None else self.out / FAILURES
        try:
            if self.alone:  # And a person who is to read what it says.
                if pictures is not None:
                    drop_pictures(pictures)
                result = evaluate(env, spec, policy, *how, pictures=pictures)
        finally:
            env.close()
        if not self.alone:
            result = EvaluationProcesses(self.policy, spec, *how, self.workers, self.base, pictures=pictures).result()
        found = evaluation_summary(result)
        if self.out is not None:
            name = "policy_stochastic" if self.stochastic else "policy"
            about = {"task": interface.task, "preset": f"test of {self.policy}", "seed": self.seed}
            report(self.out, about, {"evaluations": {name: found}})
        return {"policy": self.policy, "task": interface.task, **found}


@dataclass(kw_only=True)
class Bench(Command):
    """Quick speed figures of this machine: environment steps or learner updates a second (not methods: `bench hil`)."""

    what: Annotated[Literal["env", "learner", "vision"], tyro.conf.Positional] = "env"
    """Environment steps/s of --task, or updates/s at batch 256, from state or from two 128² cameras."""
    seconds: float = 5.0
    """Length of the measurement."""
    compute: ComputeConfig = field(default_factory=ComputeConfig)
    """Where and how the learner computes."""

    def run(self) -> Mapping[str, Any]:
        if self.what == "learner":
            from robot_rl.benchmark import bench_learner

            return bench_learner(self.seconds, compute=self.compute)
        if self.what == "vision":
            from robot_rl.vision_benchmark import bench_vision

            return bench_vision(self.seconds, compute=self.compute)
        from robot_rl.benchmark import bench_env

        return {"task": self.subject, **bench_env(self.env_spec().make(), self.seconds, self.seed)}


def report(out: Path, about: Mapping[str, Any], figures: Mapping[str, Any]) -> None:
    """Say where the :func:`~robot_rl.report.report_of` what was done in ``out`` is."""
    from robot_rl.cli import jsonable
    from robot_rl.report import report_of

    say(f"report: {report_of(out, jsonable(about), jsonable(figures))}")


def evaluation_summary(result: Evaluation) -> dict[str, Any]:
    """An evaluation without its episode-by-episode lists: how many failures ended how, and the first few of them."""
    from robot_rl.failures import SHOWN, endings

    plain = {k: v for k, v in dataclasses.asdict(result).items() if k not in ("outcomes", "lengths")}
    return plain | {"endings": endings(result.failures), "failures": plain["failures"][:SHOWN]}
