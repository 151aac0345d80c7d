"""What learns: behaviour cloning with corrections, and reinforcement learning from replay."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch

from hardware.interfaces import Source
from robot_rl.bc import make_cloned_policy, train_cloned_policy
from robot_rl.checkpoint import Tensors
from robot_rl.cloned_policy import ClonedPolicy
from robot_rl.collectors import BaseCollector, RandomPolicy
from robot_rl.config import TrainConfig
from robot_rl.dagger import Dagger
from robot_rl.description import Description
from robot_rl.feeling import require_wrench
from robot_rl.learner import Learner
from robot_rl.off_policy import OffPolicyLearner
from robot_rl.perceptrons import PerceptronPolicy
from robot_rl.policy import Policy
from robot_rl.ring_file import ReplayBudget
from robot_rl.rlpd import RLPD
from robot_rl.types import Episode, EpisodeHeader, Step
from robot_rl.wire import Final, Record

R = TypeVar("R", Step, Final)
DAGGER = "dagger."
"""Of the groups of a checkpoint that are HG-DAgger's."""


class CloningLearner(Learner):
    """Behaviour cloning; with a person in the environment, HG-DAgger: the clone drives and is fitted anew."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        require_wrench(self.config.cloning.feel, self.actor.spec, self.actor.foreign)
        cloned = make_cloned_policy(self.config.cloning, *self.actor.interface.sizes, seed=self.seed)
        self.dagger = Dagger(cloned, self.demos, self.config.dagger_every, self.seed)
        if not self._resume():
            self.dagger.losses = train_cloned_policy(cloned, self.dagger.shown, self.seed)

    @property
    def policy(self) -> ClonedPolicy:
        return self.dagger.cloned

    def acting_policy(self) -> tuple[Policy, Source]:
        return self.policy, Source.POLICY

    def learn_step(self, step: Step) -> None: ...

    def learn_episode(self, steps: list[Step], final: Final) -> None:
        self.dagger.take(_episode(self.actor, steps, final))

    @property
    def owed(self) -> int:
        return self.dagger.due(self.tally.env_steps)

    def update(self) -> None:
        if self.owed > 0:
            self.dagger.fit(self.tally.env_steps)
            self.tally.updates += self.config.cloning.steps

    def values(self) -> Mapping[str, float]:
        return self.dagger.losses

    def state(self) -> tuple[Tensors, dict[str, Any]]:
        return self.dagger.state()

    def load_state(self, tensors: Tensors, metadata: Mapping[str, Any]) -> None:
        self.dagger.load_state(tensors, metadata)


class RLLearner(Learner):
    """The off-policy learner: ``utd_ratio`` critic updates an environment step, never more, never fewer. Where the
    warm-up is HG-DAgger's, the base is fitted to corrections until it ends, and frozen then."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        require_wrench(self.config.cloning.feel, self.actor.spec, self.actor.foreign)
        _, action_dim, gripper_index = self.actor.interface.sizes
        replay, layout = self.out / "replay", self.actor.layout
        steps = self.config.env_steps + sum(len(episode.steps) for episode in self.demos)
        budget = ReplayBudget.of(layout, action_dim, self.config.learner.replay_capacity, steps)
        self.say(str(budget))
        budget.require(replay)
        self.dagger = self._dagger() if self.config.warmup == "dagger" else None
        self.off_policy = OffPolicyLearner(self.config, layout, action_dim, gripper_index, self.seed, self.base, replay)
        agent, rng = self.off_policy.agent, self.off_policy.rng
        self.collector: Policy = RandomPolicy(rng, action_dim, agent.base)
        if self.config.warmup != "random" and self.base is not None:
            self.collector = BaseCollector(self.base, rng, self.config.warmup_noise, agent.arm_dim, agent.base)
        self._losses: Mapping[str, torch.Tensor] = {}
        self._busy_since: float | None = None
        self._idle_since: float | None = None
        if not self._resume():
            self.off_policy.show(self.demos, normalize=self.actor.foreign)
        elif missing := self.off_policy.online.missing + self.off_policy.prior.missing:
            self.say(f"{missing} images of '{replay}' are gone: --rebuild EPISODES has them again, as recorded")

    def _dagger(self) -> Dagger:
        if not isinstance(self.base, PerceptronPolicy):
            needed = "a clone of --cloning.arch mlp or ensemble"
            raise ValueError(f"warm-up 'dagger' fits the base to corrections: it must be {needed}")
        return Dagger(self.base, self.demos, self.config.dagger_every, self.seed)

    @property
    def policy(self) -> RLPD:
        return self.off_policy.agent

    def acting_policy(self) -> tuple[Policy, Source]:
        if self.tally.env_steps >= self.config.warmup_steps:
            return self.off_policy.agent, Source.POLICY
        return self.collector, Source.BASE if isinstance(self.collector, BaseCollector) else Source.POLICY

    def learn_step(self, step: Step) -> None:
        if self._busy_since is None:
            self._busy_since = time.monotonic()
            if self._idle_since is not None:
                self.off_policy.governor.learner_wait_s += self._busy_since - self._idle_since
        self.off_policy.remember(self._over_fitted(step))

    def learn_episode(self, steps: list[Step], final: Final) -> None:
        if self.dagger is not None and self.tally.env_steps <= self.config.warmup_steps:
            self.dagger.take(_episode(self.actor, steps, final))
        self.put_back(final)

    def forget_episode(self, final: Final) -> None:
        self.off_policy.forget(final.id)

    def empty_replay(self) -> None:
        self.off_policy.begin_again(self.demos)

    def put_back(self, record: Record) -> None:
        if isinstance(record, Final):
            final = self._over_fitted(record)
            self.off_policy.finish(final.id, final.observation, final.base_action)
        else:
            self.off_policy.store(self._over_fitted(record))

    @property
    def owed(self) -> int:
        return self.off_policy.governor.due + self._fits_due

    @property
    def learned(self) -> int:
        return self.tally.updates + (0 if self.dagger is None else self.dagger.fits)

    @property
    def _fits_due(self) -> int:
        """Fits of the base that are due; the last when the warm-up ends."""
        if self.dagger is None:
            return 0
        steps, warmup = self.tally.env_steps, self.config.warmup_steps
        return self.dagger.due(steps if steps < warmup else warmup + -warmup % self.dagger.every)

    def _over_fitted(self, record: R) -> R:
        """With what the base does there: as its actor says, but for a base that may have been fitted since."""
        if self.dagger is None or self.off_policy.agent.base is None:
            return record
        return replace(record, base_action=self.dagger.cloned.act(record.observation))

    def update(self) -> None:
        if self.dagger is not None and self._fits_due > 0:
            self.dagger.fit(self.tally.env_steps)
            self.off_policy.relabel()
        self._losses = self.off_policy.learn()
        self.tally.updates = self.off_policy.actor_updates
        self._idle_since = time.monotonic()
        if self._busy_since is not None:
            self.off_policy.governor.actor_wait_s += self._idle_since - self._busy_since
            self._busy_since = None

    def values(self) -> Mapping[str, float]:
        if not self._losses:
            return {}
        return {name: float(value) for name, value in self._losses.items()} | self.off_policy.health()

    def state(self) -> tuple[Tensors, dict[str, Any]]:
        tensors, metadata = self.off_policy.state()
        if self.dagger is not None:
            fitted, about = self.dagger.state()
            tensors |= {f"{DAGGER}{name}": group for name, group in fitted.items()}
            metadata["dagger"] = about
        return tensors, metadata

    def load_state(self, tensors: Tensors, metadata: Mapping[str, Any]) -> None:
        if self.dagger is not None:
            fitted = {name[len(DAGGER) :]: group for name, group in tensors.items() if name.startswith(DAGGER)}
            self.dagger.load_state(fitted, metadata["dagger"])
        self.off_policy.load_state(tensors, metadata)


def make_learner(out: Path, actor: Description, config: TrainConfig, **options: Any) -> RLLearner | CloningLearner:
    """The learner that ``config`` asks for; ``options`` as :class:`~robot_rl.learner.Learner`."""
    kind = RLLearner if config.method == "rl" else CloningLearner
    return kind(out, actor, config, **options)


def _episode(actor: Description, steps: list[Step], final: Final) -> Episode:
    interface = actor.interface
    header = EpisodeHeader(*final.id[:3], task=interface.task, seed=0, control_hz=0.0, action_dim=interface.action_dim)
    return Episode(header, steps, final.observation, final.base_action)
