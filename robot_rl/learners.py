"""What learns: behaviour cloning with corrections, and reinforcement learning from replay."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from hardware.interfaces import Source
from robot_rl.bc import make_cloned_policy, train_cloned_policy
from robot_rl.checkpoint import Tensors, by_number, numbered
from robot_rl.cloned_policy import ClonedPolicy
from robot_rl.collectors import BaseCollector, RandomPolicy
from robot_rl.config import TrainConfig
from robot_rl.description import Description
from robot_rl.learner import Learner
from robot_rl.off_policy import OffPolicyLearner
from robot_rl.policy import Policy
from robot_rl.ring_file import ReplayBudget
from robot_rl.rlpd import RLPD
from robot_rl.shown import Shown
from robot_rl.types import Episode, EpisodeHeader, Step
from robot_rl.wire import Final, Record


class CloningLearner(Learner):
    """Behaviour cloning; with a person in the environment, HG-DAgger (arXiv 1810.02890): the novice drives, the person
    corrects, and the policy is fitted again to all that the person has shown."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.cloned = make_cloned_policy(self.config.cloning, *self.actor.interface.sizes, seed=self.seed)
        self.shown: list[Shown] = self.cloned.shown_in(self.demos)
        self.corrections: list[Shown] = []
        """What the person has shown in this run."""
        self.fits = 0
        """How often the policy was fitted again."""
        self.losses: dict[str, float] = {}
        if not self._resume():
            self.losses = train_cloned_policy(self.cloned, self.shown, self.seed)

    @property
    def policy(self) -> ClonedPolicy:
        return self.cloned

    def acting_policy(self) -> tuple[Policy, Source]:
        return self.cloned, Source.POLICY

    def learn_step(self, step: Step) -> None: ...

    def learn_episode(self, steps: list[Step], final: Final) -> None:
        if any(step.source == Source.HUMAN for step in steps):
            self.corrections += self.cloned.shown_in([_episode(self.actor, steps, final)])

    @property
    def owed(self) -> int:
        return self.tally.env_steps // self.config.dagger_every - self.fits

    def update(self) -> None:
        if self.owed > 0:
            shown = [*self.shown, *self.corrections]
            self.losses = train_cloned_policy(self.cloned, shown, self.seed + self.tally.env_steps)
            self.fits += 1
            self.tally.updates += self.config.cloning.steps

    def values(self) -> Mapping[str, float]:
        return self.losses

    def state(self) -> tuple[Tensors, dict[str, Any]]:
        corrections = numbered({i: part.tensors() for i, part in enumerate(self.corrections)})
        metadata = {"losses": self.losses, "fits": self.fits, "rng": self.cloned.rng.bit_generator.state}
        return {"policy": self.cloned.state_dict(), "corrections": corrections}, metadata

    def load_state(self, tensors: Tensors, metadata: Mapping[str, Any]) -> None:
        self.cloned.load_state_dict(tensors["policy"])
        self.corrections = [Shown.of(part) for part in by_number(tensors["corrections"]).values()]
        self.losses, self.fits = metadata["losses"], metadata["fits"]
        self.cloned.rng.bit_generator.state = metadata["rng"]


class RLLearner(Learner):
    """The off-policy learner: ``utd_ratio`` critic updates an environment step, never more, never fewer."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        _, action_dim, gripper_index = self.actor.interface.sizes
        replay, layout = self.out / "replay", self.actor.layout
        steps = self.config.env_steps + sum(len(episode.steps) for episode in self.demos)
        budget = ReplayBudget.of(layout, action_dim, self.config.learner.replay_capacity, steps)
        self.say(str(budget))
        budget.require(replay)
        self.off_policy = OffPolicyLearner(self.config, layout, action_dim, gripper_index, self.seed, self.base, replay)
        agent, rng = self.off_policy.agent, self.off_policy.rng
        self.collector: Policy = RandomPolicy(rng, action_dim, agent.base)
        if self.config.warmup == "base" and self.base is not None:
            self.collector = BaseCollector(self.base, rng, self.config.warmup_noise, agent.arm_dim, agent.base)
        self._losses: Mapping[str, torch.Tensor] = {}
        self._busy_since: float | None = None
        self._idle_since: float | None = None
        if not self._resume():
            self.off_policy.show(self.demos, normalize=self.actor.foreign)
        elif missing := self.off_policy.online.missing + self.off_policy.prior.missing:
            self.say(f"{missing} images of '{replay}' are gone: --rebuild EPISODES has them again, as recorded")

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
        self.off_policy.remember(step)

    def learn_episode(self, steps: list[Step], final: Final) -> None:
        self.off_policy.finish(final.id, final.observation, final.base_action)

    def forget_episode(self, final: Final) -> None:
        self.off_policy.forget(final.id)

    def empty_replay(self) -> None:
        self.off_policy.begin_again(self.demos)

    def put_back(self, record: Record) -> None:
        if isinstance(record, Final):
            self.off_policy.finish(record.id, record.observation, record.base_action)
        else:
            self.off_policy.store(record)

    @property
    def owed(self) -> int:
        return self.off_policy.governor.due

    def update(self) -> None:
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
        return self.off_policy.state()

    def load_state(self, tensors: Tensors, metadata: Mapping[str, Any]) -> None:
        self.off_policy.load_state(tensors, metadata)


def make_learner(out: Path, actor: Description, config: TrainConfig, **options: Any) -> RLLearner | CloningLearner:
    """The learner that ``config`` asks for; ``options`` as :class:`~robot_rl.learner.Learner`."""
    kind = RLLearner if config.method == "rl" else CloningLearner
    return kind(out, actor, config, **options)


def _episode(actor: Description, steps: list[Step], final: Final) -> Episode:
    interface = actor.interface
    header = EpisodeHeader(*final.id[:3], task=interface.task, seed=0, control_hz=0.0, action_dim=interface.action_dim)
    return Episode(header, steps, final.observation, final.base_action)
