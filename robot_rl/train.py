"""Training in one process: a rollout feeds the learner, which keeps pace with it; everything can be resumed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from robot_rl.base_policy import BasePolicy
from robot_rl.config import TrainConfig
from robot_rl.description import Description
from robot_rl.episodes import EpisodeStore
from robot_rl.judged import FalsePositiveAlarm
from robot_rl.learner import Progress
from robot_rl.learners import make_learner
from robot_rl.link import InProcessLink, deliver
from robot_rl.rollout import EnvSpec, Rollout
from robot_rl.tally import Tally
from robot_rl.types import Episode


class Trainer:
    """One run in the folder ``out``: what a :class:`~robot_rl.learner.Learner` keeps there, and the episodes.

    The environment waits while the learner updates, and the learner while the environment steps. Checkpoints are taken
    where an episode ends, so that a run that goes on from one does, bit for bit, what it would have done without the
    interruption. Ctrl-C in an episode leaves a checkpoint too; that episode is lost.
    """

    def __init__(
        self,
        out: Path,
        spec: EnvSpec,
        config: TrainConfig,
        demos: Sequence[Episode] = (),
        base: BasePolicy | None = None,
        seed: int = 0,
        progress: Progress = lambda _: None,
        record: bool = True,
        say: Callable[[str], None] = lambda _: None,
    ):
        self.env = spec.make()
        described, who = Description.of(self.env, spec), {"demos": demos, "base": base, "seed": seed}
        self.learner = make_learner(out, described, config, **who, progress=progress, say=say)
        person: Any = getattr(getattr(self.env, "robot", None), "teleop", None)
        self.attention: Any = getattr(person, "stats", None)
        """The person's own count of their time; None where nobody counts."""
        if self.attention is not None:
            self.attention.driving_s = self.tally.person_s
        first = self.learner.resumed.get("episode", -1) + 1
        store = EpisodeStore(out / "episodes") if record else None
        if store is not None:
            store.supersede(out.name, first)
        self.rollout = Rollout(self.env, spec, out.name, seed, store=store, first_episode=first)
        self.tally.control_hz = self.env.task.spec.control_hz
        self.rollout.reset_s, self.rollout.paused_s = self.tally.reset_s, self.tally.paused_s
        self.link = InProcessLink()
        self.alarm = None if self.env.classifier is None else FalsePositiveAlarm()
        self._say = say

    @property
    def tally(self) -> Tally:
        return self.learner.tally

    def run(self) -> Tally:
        """Train to the end, or until Ctrl-C: either way the last state is on disk, and the policy in ``policy/``."""
        self.learner.start()
        try:
            while not self.learner.enough:
                self._step()
        finally:
            self.rollout.abort()
            self.learner.abandon()
            self._save()
            self.learner.close()
            self.env.close()
        return self.tally

    def _step(self) -> None:
        policy, label = self.learner.acting_policy()
        self.rollout.watched = self.learner.watched
        step, episode = self.rollout.step(policy, label=label)
        deliver(self.link, step, episode)
        if self.alarm is not None and episode is not None and self.alarm.rings(episode):
            burst = self.alarm.burst
            self._say(f"{burst} successes that nobody confirmed: look whether the classifier is being fooled")
        for record in self.link.take():
            self.learner.take(record)
        self.tally.reset_s, self.tally.paused_s = self.rollout.reset_s, self.rollout.paused_s
        self.tally.person_s = 0.0 if self.attention is None else self.attention.driving_s
        began_s = time.monotonic()
        self.learner.update()
        self.tally.waited_s += time.monotonic() - began_s
        if self.learner.report() and self.learner.checkpoint_due:
            self._save()

    def _save(self) -> None:
        self.rollout.flush()
        self.learner.save(episode=self.rollout.episode)


def train(out: Path, spec: EnvSpec, config: TrainConfig, **options: Any) -> Tally:
    """Run ``config`` in ``out`` (options as :class:`Trainer`); continues what is there."""
    return Trainer(out, spec, config, **options).run()
