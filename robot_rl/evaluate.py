"""Evaluation: the person locked out, timeouts counted as failures, seeds declared in advance."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import torch

from robot_rl.env import RobotEnv
from robot_rl.failures import SHOWN, Failure, drop_pictures, keep_picture, last_picture
from robot_rl.foreign import ForeignEnv
from robot_rl.metrics import wilson_interval
from robot_rl.policy import Policy, load_policy
from robot_rl.rollout import EVALUATION_SEEDS, EnvSpec, Rollout

_PROCESSES: ForkServerContext | SpawnContext = multiprocessing.get_context("spawn")
if sys.platform == "linux":
    # All are forked from one process that has loaded torch. Not the twin: OpenGL does not survive a fork.
    _PROCESSES = multiprocessing.get_context("forkserver")
    _PROCESSES.set_forkserver_preload(["robot_rl.evaluate"])


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


@dataclass(frozen=True)
class Shard:
    """A part of an evaluation, run by a process of its own."""

    policy: Path | str
    """Folder of the policy, or ``blind``."""
    spec: EnvSpec
    episodes: int
    first_episode: int
    seed: int
    deterministic: bool
    base: str
    """A base by name that the policy may work over."""
    pictures: Path | None
    """Folder for the last pictures of its first failures."""


def run_shard(shard: Shard) -> tuple[Evaluation, float]:
    """What came of it, and the task's control rate, Hz."""
    torch.set_num_threads(1)
    env, first = shard.spec.make(), shard.first_episode
    policy: Policy = BlindPolicy(env) if shard.policy == "blind" else load_policy(Path(shard.policy), shard.base)[0]
    torch.manual_seed(first)
    how = (shard.episodes, shard.seed, shard.deterministic, first, shard.pictures)
    return evaluate(env, shard.spec, policy, *how), env.task.spec.control_hz


def _answer(pipe: Connection, shard: Shard) -> None:
    """The body of a process: sends what :func:`run_shard` returns, or why it did not, in a line. Quiet but for that: a
    command's own words are all that a person should read."""
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    try:
        answer: tuple[Evaluation, float] | str = run_shard(shard)
    except BaseException as error:
        answer = " ".join(f"{type(error).__name__}: {error}".split())
    pipe.send(answer)


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
        workers = max(1, min(workers, episodes))
        bounds = np.linspace(0, episodes, workers + 1).astype(int).tolist()
        if pictures is not None:
            drop_pictures(pictures)
        self._deterministic, self._pictures = deterministic, pictures
        self.processes: list[BaseProcess] = []
        self._pipes: list[Connection] = []
        unwatched = replace(spec, kwargs=kwargs)
        try:
            for first, last in pairwise(bounds):
                shard = Shard(policy, unwatched, last - first, first, seed, deterministic, base, pictures)
                self._begin(shard, niceness)
        except BaseException:  # An interruption too: leaving would wait for those that run.
            self.stop()
            raise

    def _begin(self, shard: Shard, niceness: int) -> None:
        pipe, end = _PROCESSES.Pipe(duplex=False)
        process = _PROCESSES.Process(target=_answer, args=(end, shard))  # No daemon: an environment may have children.
        resource_tracker.ensure_running()  # Whoever starts it has the mask below undone.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # Inherited: ours alone to hear.
        try:
            process.start()
            self.processes.append(process)
            self._pipes.append(pipe)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        end.close()
        if niceness and process.pid is not None:
            os.setpriority(os.PRIO_PROCESS, process.pid, niceness)

    def result(self) -> Evaluation:
        """Wait for it. RuntimeError where one of the processes failed; the others are ended then."""
        outcomes: list[bool] = []
        lengths: list[int] = []
        failures: list[Failure] = []
        hz = 0.0
        try:
            for process, pipe in zip(self.processes, self._pipes, strict=True):
                try:
                    answer = pipe.recv()
                except EOFError:
                    process.join()
                    answer = f"it ended with code {process.exitcode}"
                if isinstance(answer, str):
                    raise RuntimeError(f"an evaluation process failed: {answer}")
                part, hz = answer
                outcomes += part.outcomes
                lengths += part.lengths
                failures += part.failures
        finally:
            self.stop()
        if self._pictures is not None:
            drop_pictures(self._pictures, failures[:SHOWN])
        return replace(Evaluation.of(outcomes, lengths, hz, self._deterministic), failures=tuple(failures))

    def stop(self) -> None:
        """End what still runs. Safe to call at any time, and twice."""
        for process, pipe in zip(self.processes, self._pipes, strict=False):  # One may be on its way.
            process.kill()
            process.join()
            pipe.close()
