"""Evaluation: the person locked out, timeouts counted as failures, seeds declared in advance."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import tyro

from robot_rl.env import RobotEnv
from robot_rl.failures import SHOWN, Failure, drop_pictures, keep_picture, last_picture
from robot_rl.foreign import ForeignEnv
from robot_rl.metrics import wilson_interval
from robot_rl.policy import Policy, load_policy
from robot_rl.rollout import EVALUATION_SEEDS, EnvSpec, Rollout


@dataclass(frozen=True)
class Evaluation:
    """The outcome of a series of autonomous episodes."""

    episodes: int
    successes: int
    success: float
    success_low: float
    """Lower end of the 95 % Wilson interval."""
    success_high: float
    cycle_s: float
    """Median duration of the successful episodes; NaN without one."""
    mean_steps: float
    deterministic: bool
    outcomes: tuple[bool, ...] = ()
    lengths: tuple[int, ...] = ()
    failures: tuple[Failure, ...] = ()
    """Every episode that did not succeed, in order."""

    @staticmethod
    def of(outcomes: Sequence[bool], lengths: Sequence[int], control_hz: float, deterministic: bool) -> Evaluation:
        won = [n for n, success in zip(lengths, outcomes, strict=True) if success]
        low, high = wilson_interval(len(won), len(outcomes))
        return Evaluation(
            episodes=len(outcomes),
            successes=len(won),
            success=len(won) / max(len(outcomes), 1),
            success_low=low,
            success_high=high,
            cycle_s=float(np.median(won)) / control_hz if won else float("nan"),
            mean_steps=float(np.mean(lengths)) if lengths else float("nan"),
            deterministic=deterministic,
            outcomes=tuple(bool(o) for o in outcomes),
            lengths=tuple(int(n) for n in lengths),
        )


class BlindPolicy:
    """The floor of every table: the task's blind script, which goes where it was told and pushes."""

    def __init__(self, env: RobotEnv | ForeignEnv):
        if not hasattr(env.task, "blind_action"):
            raise ValueError(f"task '{env.task.spec.name}' has no blind script")
        self.env = env

    def act(self, observation: object, deterministic: bool = True) -> np.ndarray:
        return np.asarray(self.env.task.blind_action(self.env.latest), np.float32)  # type: ignore[union-attr]


def evaluate(
    env: RobotEnv | ForeignEnv,
    spec: EnvSpec,
    policy: Policy,
    episodes: int,
    seed: int = 0,
    deterministic: bool = True,
    first_episode: int = 0,
    pictures: Path | None = None,
) -> Evaluation:
    """Run ``episodes`` autonomous episodes on the evaluation stream of ``seed``. ``env`` must have no person. The last
    pictures of the first :data:`~robot_rl.failures.SHOWN` failures go to the folder ``pictures``; taking them changes
    no outcome."""
    rollout = Rollout(env, spec, "evaluation", seed, EVALUATION_SEEDS, first_episode=first_episode)
    outcomes, lengths, failures = [], [], []
    for episode in rollout.episodes(policy, episodes, deterministic):
        outcomes.append(episode.success)
        lengths.append(len(episode.steps))
        if episode.intervened_steps:
            raise RuntimeError("a person drove during an evaluation: make the environment with person=None")
        if episode.success:
            continue
        failures.append(Failure.of(episode, env))
        if pictures is not None and len(failures) <= SHOWN:
            picture = last_picture(env, rollout.observation)
            if picture is not None:
                keep_picture(pictures, episode.header.episode, picture)
    result = Evaluation.of(outcomes, lengths, env.task.spec.control_hz, deterministic)
    return replace(result, failures=tuple(failures))


@dataclass
class Shard:
    """A part of an evaluation, run by a process of its own; prints one JSON object."""

    policy: str
    """Folder of the policy, or ``blind``."""
    spec: str
    """The EnvSpec as JSON."""
    episodes: int
    first_episode: int
    seed: int
    deterministic: bool = True
    base: str = ""
    """A base by name that the policy may work over."""
    pictures: Path | None = None
    """Folder for the last pictures of its first failures."""


def run_shard(shard: Shard) -> Evaluation:
    torch.set_num_threads(1)
    spec = EnvSpec(**json.loads(shard.spec))
    env = spec.make()
    policy: Policy = BlindPolicy(env) if shard.policy == "blind" else load_policy(Path(shard.policy), shard.base)[0]
    torch.manual_seed(shard.first_episode)
    first, pictures = shard.first_episode, shard.pictures
    return evaluate(env, spec, policy, shard.episodes, shard.seed, shard.deterministic, first, pictures)


class EvaluationProcesses:
    """:func:`evaluate` of a saved policy (or ``"blind"``), begun at once and split over processes. The person and the
    success classifier are taken out of ``spec``: the task itself says what succeeded. ``base`` as
    :func:`~robot_rl.policy.load_policy`, ``pictures`` as :func:`evaluate`; what an earlier test left there is removed.
    ``niceness`` 19 lets all else that the machine has to do go first.

    Stochastic results depend on how the episodes are split, deterministic ones do not.
    """

    def __init__(
        self,
        policy: Path | str,
        spec: EnvSpec,
        episodes: int,
        seed: int,
        deterministic: bool = True,
        workers: int = 2,
        base: str = "",
        pictures: Path | None = None,
        niceness: int = 0,
    ):
        kwargs = {k: v for k, v in spec.kwargs.items() if k not in ("person", "takeover", "classifier")}
        text = json.dumps({"id": spec.id, "kwargs": kwargs})
        workers = max(1, min(workers, episodes))
        bounds = np.linspace(0, episodes, workers + 1).astype(int)
        if pictures is not None:
            drop_pictures(pictures)
        self._deterministic, self._pictures = deterministic, pictures
        self.processes: list[subprocess.Popen[str]] = []
        for first, last in pairwise(bounds):
            command = [sys.executable, "-m", "robot_rl.evaluate", "--policy", str(policy), "--spec", text]
            command += ["--episodes", str(last - first), "--first-episode", str(first), "--seed", str(seed)]
            command += ["--deterministic" if deterministic else "--no-deterministic", "--base", base]
            command += [] if pictures is None else ["--pictures", str(pictures)]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            self.processes.append(process)
            if niceness:
                os.setpriority(os.PRIO_PROCESS, process.pid, niceness)

    def result(self) -> Evaluation:
        """Wait for it. RuntimeError where one of the processes failed; the others are ended then."""
        outcomes: list[bool] = []
        lengths: list[int] = []
        failures: list[Failure] = []
        hz = 0.0
        try:
            for process in self.processes:
                out, err = process.communicate()
                if process.returncode != 0:
                    cause = err.strip().splitlines()[-1] if err.strip() else "no output"
                    raise RuntimeError(f"an evaluation process failed: {cause}")
                part = json.loads(out.strip().splitlines()[-1])
                outcomes += part["outcomes"]
                lengths += part["lengths"]
                failures += [Failure(**failure) for failure in part["failures"]]
                hz = part["control_hz"]
        finally:
            self.stop()
        if self._pictures is not None:
            drop_pictures(self._pictures, failures[:SHOWN])
        return replace(Evaluation.of(outcomes, lengths, hz, self._deterministic), failures=tuple(failures))

    def stop(self) -> None:
        """End what still runs. Safe to call at any time, and twice."""
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.communicate()


if __name__ == "__main__":
    arguments = tyro.cli(Shard)
    result = run_shard(arguments)
    environment = EnvSpec(**json.loads(arguments.spec)).make()
    print(json.dumps(asdict(result) | {"control_hz": environment.task.spec.control_hz}))
