"""The actor as a process of its own: it steps the robot, delivers every step, and acts by the newest good weights.

Nothing in its loop waits for the learner, the network or a disk. It stops at the end of an episode, and goes on by
itself, when the learner has been silent for longer than weights may be old (S22), and at once when a step cannot be
kept (S26). A killed actor comes up again with a fresh episode; the open one is marked as aborted (S24).
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from robot_rl.description import Description
from robot_rl.env import RobotEnv
from robot_rl.episodes import EpisodeStore
from robot_rl.foreign import ForeignEnv
from robot_rl.keys import ActorKeys
from robot_rl.link import ActorEnd, deliver
from robot_rl.link_actor import ZmqActorEnd
from robot_rl.metrics import MetricsLog
from robot_rl.policy import Interface
from robot_rl.policy_weights import Acting, WeightsGate, WeightsRefused
from robot_rl.report import report_of
from robot_rl.rollout import EnvSpec, Rollout
from robot_rl.spool import Spool
from robot_rl.stopping import Stopping
from robot_rl.tally import Tally
from robot_rl.types import Episode

MAX_POLICY_AGE_S = 600.0
"""S22: without a word from the learner for so long, no new episode begins."""
MAX_TWIN_ALONE_S = 3.0
"""The same where the actor keeps pace: there time can stand still at once."""
MIN_FREE_BYTES = 5_000_000_000
"""S26: with less room on the disk no episode begins."""
COUNTER = "next_episode.json"
_POLL_S, RETRY_S = 0.005, 1.0
SEED_STRIDE = 1_000_003
"""Between the seeds of actors that feed one learner."""


class WeightsInbox:
    """Makes policies of weights beside the control loop, one at a time, the newest next."""

    def __init__(self, link: ActorEnd, gate: WeightsGate) -> None:
        self._link, self._gate = link, gate
        self._worker = ThreadPoolExecutor(1, "weights")
        self._making: tuple[int, Future[Acting]] | None = None

    def newest(self) -> Acting | None:
        """A policy that may act, if there is a new one. Never waits."""
        acting = None
        if self._making is not None and self._making[1].done():
            (version, made), self._making = self._making, None
            try:
                acting = made.result()
            except WeightsRefused as error:
                self._link.refuse(version, str(error))
        if self._making is None and (weights := self._link.weights()) is not None:
            self._making = (weights.version, self._worker.submit(self._gate.accept, weights))
        return acting

    def close(self) -> None:
        self._worker.shutdown()


class Actor:
    """Steps ``env`` for a learner at the other end of ``link``; episodes go to ``out/episodes``.

    ``run`` names this actor's steps: no other actor of the learner may have the same name and number.
    ``max_behind`` makes it wait while the learner owes more rounds of updates than that (what is on its way counted
    in), and while no learner answers: for a twin, whose time stands still meanwhile. A real robot's never does (None).
    """

    def __init__(
        self,
        out: Path,
        env: RobotEnv | ForeignEnv,
        spec: EnvSpec,
        link: ActorEnd,
        run: str,
        seed: int = 0,
        actor: int = 0,
        max_behind: int | None = None,
        min_free_bytes: int = MIN_FREE_BYTES,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.out, self.env, self.link, self.max_behind, self._say = out, env, link, max_behind, say
        self.store = EpisodeStore(out / "episodes")
        begun, self.tally = _begun(out, env.task.spec.control_hz)
        first = max(self.store.next_episode(run, actor), begun)
        self.rollout = Rollout(
            env, spec, run, seed + SEED_STRIDE * actor, store=self.store, first_episode=first, actor=actor
        )
        self.gate = WeightsGate(Interface.of(env), np.random.default_rng([seed, actor, 11]))
        self.inbox = WeightsInbox(link, self.gate)
        self.acting: Acting | None = None
        self.steps = self.episodes = self.aborted = 0
        self.metrics, self._before = MetricsLog(out), dataclasses.replace(self.tally)
        self._began_s = time.monotonic()
        self._min_free_bytes, self._said = min_free_bytes, ""
        self._alone_s = MAX_POLICY_AGE_S if max_behind is None else MAX_TWIN_ALONE_S

    def run(self, stopping: Stopping, max_steps: int | None = None) -> dict[str, Any]:
        """Step until the learner has enough, an episode ends after ``max_steps``, or asked to stop. What was done, for
        people."""
        try:
            while not (stopping.asked or self._enough(max_steps)):
                self.acting = self.inbox.newest() or self.acting
                if self._must_wait() or self.acting is None or self.acting.finished:
                    time.sleep(_POLL_S)
                    self.tally.waited_s += _POLL_S
                else:
                    self._step(self.acting)
        finally:
            self._abort()
            self.inbox.close()
            self.store.close()
            self.env.close()
            self._count()
            self.metrics.close()
        return {"steps": self.steps, "episodes": self.episodes, "aborted": self.aborted}

    def _enough(self, max_steps: int | None) -> bool:
        if self.acting is not None and self.acting.finished:
            return True
        return max_steps is not None and self.steps >= max_steps and not self.rollout.running

    def _must_wait(self) -> bool:
        """Whether the next step has to wait; why is said once. An episode under way is given up where its steps could
        not be kept."""
        state, reason = self.link.state(), ""
        if state.problem:
            self._abort()
            reason = state.problem
        elif not state.alive and state.silent_s > self._alone_s:
            if self.max_behind is not None or not self.rollout.running:
                reason = f"no word from the learner for {self._alone_s:g} s: waiting for it"
        elif not self.rollout.running and shutil.disk_usage(self.out).free < self._min_free_bytes:
            reason = (
                f"less than {self._min_free_bytes / 1e9:g} GB are free at '{self.out}': make room, no episode begins"
            )
        if reason and reason != self._said:
            self._say(reason)
        self._said = reason
        return bool(reason) or (self.max_behind is not None and state.behind + state.backlog > self.max_behind)

    def _step(self, acting: Acting) -> None:
        try:
            if not self.rollout.running:
                _keep(self.out, self.rollout.episode + 2, self.tally)
            self.rollout.watched = acting.watched
            step, episode = self.rollout.step(acting.policy, label=acting.label)
        except OSError as error:  # the recorder's disk is full, gone or too slow
            self._say(f"no step is taken, it could not be recorded: {error.strerror or error}")
            self._abort()
            time.sleep(RETRY_S)
            return
        self.steps += 1
        self.tally.env_steps += 1
        deliver(self.link, step, episode)
        self.gate.observe(step.observation, step.base_action)
        if episode is not None:
            self._finished(episode)

    def _abort(self) -> None:
        self.aborted += self.rollout.running
        with suppress(OSError):  # what is left of it is put in order when the store is next opened
            self.rollout.abort()

    def _finished(self, episode: Episode) -> None:
        self.episodes += 1
        if not episode.discarded:
            self.tally.add(episode.steps)
        self._count()
        tally = self.tally
        self.metrics.log(tally.env_steps, {"wall_s": tally.wall_s, **tally.recent()})
        with suppress(OSError):  # a full disk: it is kept when the next begins
            _keep(self.out, self.rollout.episode + 1, tally)
        outcome = "discarded" if episode.discarded else "success" if episode.success else "failure"
        backlog = self.link.state().backlog
        waiting = f", {backlog} steps wait for the learner" if backlog > 2 * len(episode.steps) else ""
        self._say(f"episode {episode.header.episode}: {outcome} in {len(episode.steps)} steps{waiting}")

    def _count(self) -> None:
        """Bring the times of the tally up to date, with those of earlier processes in this folder."""
        before, tally, rollout = self._before, self.tally, self.rollout
        tally.reset_s, tally.paused_s = before.reset_s + rollout.reset_s, before.paused_s + rollout.paused_s
        tally.wall_s = before.wall_s + time.monotonic() - self._began_s


def act(
    out: Path,
    env: RobotEnv | ForeignEnv,
    spec: EnvSpec,
    endpoint: str,
    stopping: Stopping,
    keys: ActorKeys | None = None,
    actor: int = 0,
    max_steps: int | None = None,
    say: Callable[[str], None] = lambda text: None,
    **options: Any,
) -> dict[str, Any]:
    """Run an :class:`Actor` (which takes the ``options``) for the learner at ``endpoint``, with its spool in
    ``out/spool``; a report on the robot's time stands in ``out`` at the end. What was done, for people. ValueError for
    an address that needs keys and has none."""
    out.mkdir(parents=True, exist_ok=True)
    spool = Spool(out / "spool")
    link = ZmqActorEnd(endpoint, spool, Description.of(env, spec).to_json(), actor, keys)
    say(f"delivering to {endpoint}")
    run = f"{out.name}-{spool.id[:8]}"
    try:
        made = Actor(out, env, spec, link, run, actor=actor, say=say, **options)
        try:
            done = made.run(stopping, max_steps)
        finally:
            about = {"task": env.task.spec.name, "preset": "actor", "seed": made.rollout.seed}
            with suppress(OSError):  # a full disk ends nothing else
                say(f"report: {report_of(out, about, made.tally.figures(()))}")
    finally:
        link.close()
        spool.close()
    return {**done, "undelivered": link.state().backlog}


def _begun(out: Path, control_hz: float) -> tuple[int, Tally]:
    """The number after the last episode that was ever begun here, since one that left no file may have been delivered,
    and what was counted until then."""
    number, tally = 0, Tally(control_hz=control_hz)
    with suppress(OSError, ValueError, KeyError, TypeError):
        said: Mapping[str, Any] = json.loads((out / COUNTER).read_text())
        number = int(said["next_episode"])  # First: whatever becomes of the tally, no number is given twice.
        tally = Tally(**said["tally"])
    return number, tally


def _keep(out: Path, number: int, tally: Tally) -> None:
    fresh = out / f"{COUNTER}.new"
    fresh.write_text(json.dumps({"next_episode": number, "tally": dataclasses.asdict(tally)}))
    fresh.rename(out / COUNTER)
