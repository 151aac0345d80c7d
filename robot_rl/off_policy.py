"""The off-policy learner without its environment: steps go in, updates happen, everything can be saved.

The same object serves training in one process and a learner on another machine. What it needs of a robot are shapes
(:class:`Layout`), what it needs of an actor are steps and episode ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hardware.interfaces import Source
from robot_rl.base_policy import BasePolicy, relabelled
from robot_rl.batch import Batch, Stored
from robot_rl.bc import shown_by_person
from robot_rl.checkpoint import Tensors, by_number, numbered
from robot_rl.config import TrainConfig
from robot_rl.governor import UpdateGovernor
from robot_rl.mixture import Mixture
from robot_rl.own_successes import OwnSuccesses
from robot_rl.replay_buffer import ReplayBuffer
from robot_rl.reward import Returns
from robot_rl.rlpd import RLPD
from robot_rl.types import Episode, Observation, Step, StepId
from robot_rl.vision import Layout


class OffPolicyLearner:
    """Agent, buffers, governor and generator of one run.

    Phases: collection (no updates), critic only, joint. Where the actor works over ``base``, demonstrations are
    relabelled with its actions.
    """

    def __init__(
        self,
        config: TrainConfig,
        layout: Layout,
        action_dim: int,
        gripper_index: int | None = None,
        seed: int = 0,
        base: BasePolicy | None = None,
        folder: Path | None = None,
    ):
        """Images of the replay go to files in ``folder``, where one is given."""
        learner = config.learner
        self.config, self.action_dim = config, action_dim
        self.agent = RLPD(learner, layout["state"][0][0], action_dim, gripper_index, seed, base, config.compute)
        vision = self.agent.vision
        self.online, self.prior = (
            ReplayBuffer(
                learner.replay_capacity, vision.layout(layout), action_dim, vision.kept, folder and folder / name
            )
            for name in ("online", "prior")
        )
        self.own = OwnSuccesses(self.online)
        self.returns = Returns(
            learner.gamma, learner.n_step, learner.reward, learner.cut_at_takeover, learner.failure_ends
        )
        self.governor = UpdateGovernor(config.warmup_steps)
        self.rng = np.random.default_rng([seed, 7])
        self.critic_updates = self.actor_updates = 0
        self.critic_only_left = config.critic_only_updates
        self._driven: dict[tuple[str, int], StepId] = {}
        """Per (run, actor): the person's last step, while they drive."""

    @property
    def base_version(self) -> str:
        """Of the base that the actor works over; empty without one."""
        return "" if self.agent.base is None else self.agent.base.version

    # -- data --------------------------------------------------------------------------------------------------------

    def show(self, demos: Sequence[Episode], normalize: bool = False) -> None:
        """Take the demonstrations, once, at the start of a run."""
        if normalize and demos:
            self.agent.normalize_states_by(shown_by_person(demos)[0])
        self._keep(demos)
        if demos and self.config.pretrain_actor:
            if self.agent.vision.cameras:
                raise ValueError(
                    "pretrain_actor cannot learn from cameras, whose encoder only the critic trains: leave it"
                )
            for _ in range(self.config.cloning.steps):
                self.agent.clone(next(self._sample(1)))

    def _keep(self, demos: Sequence[Episode]) -> None:
        base = self.agent.base
        for episode in demos:
            buffer = self.online if self.config.learner.demos_online else self.prior
            buffer.add_episode(episode if base is None else relabelled(episode, base))

    def begin_again(self, demos: Sequence[Episode]) -> None:
        """Replay that holds nothing but the demonstrations; what was learned stays."""
        for buffer in (self.online, self.prior):
            buffer.clear()
        self._driven.clear()
        self.own.refresh()
        self._keep(demos)

    def relabel(self) -> None:
        """The base was fitted anew: ask it again about all that is stored. It must have no memory."""
        base = self.agent.base
        if base is None:
            return
        for buffer in (self.online, self.prior):
            for slot in range(len(buffer)):
                seen = {name: entries[slot] for name, entries in buffer.observation.items()}
                buffer.base_action[slot] = base.act(seen)

    def remember(self, step: Step) -> None:
        """A step that pays for updates."""
        self.governor.steps += self.store(step)

    def store(self, step: Step) -> bool:
        """Every step goes online; every step the person drove goes to the prior buffer as well, whole segments with the
        observation that followed them. False for a step that was delivered twice."""
        if not self.online.add(step):
            return False
        before = self._driven.pop(step.id[:2], None)
        if step.source == Source.HUMAN:
            self._driven[step.id[:2]] = step.id
            self.prior.add(step)
        elif before is not None and before.episode == step.id.episode:
            self.prior.finish(before, step.observation, step.base_action)
        return True

    def finish(self, last: StepId, final_observation: Observation, final_base_action: np.ndarray | None = None) -> None:
        """The episode of ``last`` ended: the observation after it, and the base's action there."""
        for buffer in (self.online, self.prior):
            buffer.finish(last, final_observation, final_base_action)
        self._driven.pop(last[:2], None)
        self.own.refresh()

    def forget(self, last: StepId) -> None:
        """Nothing of the episode of ``last`` is sampled again."""
        for buffer in (self.online, self.prior):
            buffer.forget(last)
        self._driven.pop(last[:2], None)
        self.own.refresh()

    # -- updates -----------------------------------------------------------------------------------------------------

    def learn(self) -> Mapping[str, torch.Tensor]:
        """One round of what is due: the critic-only phase first, then critics and actor. Metrics of the last update, as
        tensors on the learner's device; empty when nothing is due."""
        if self.governor.due == 0:
            return {}
        while self.critic_only_left > 0:
            self.update(train_actor=False)
            self.critic_only_left -= self.config.learner.utd_ratio
        self.governor.rounds += 1
        return self.update(train_actor=True)

    def update(self, train_actor: bool) -> Mapping[str, torch.Tensor]:
        """``utd_ratio`` critic updates, and one of the actor."""
        parts = self.config.learner.utd_ratio
        metrics = self.agent.update(self._sample(parts), train_actor)
        self.critic_updates += parts
        self.actor_updates += train_actor
        return metrics

    def health(self) -> dict[str, float]:
        """Figures that cost a pass of their own: lost plasticity, the ratio of updates, who waited for whom."""
        learner, rng = self.config.learner, np.random.default_rng(self.critic_updates)  # training draws its own
        batch = next(self.mixture.sample(rng, learner.batch_size, self.returns))
        values = {name: float(value) for name, value in self.agent.health(batch).items()}
        governor = self.governor
        values["utd"] = learner.utd_ratio * governor.rounds / max(governor.steps, 1)
        return values | {"learner_wait_s": governor.learner_wait_s, "actor_wait_s": governor.actor_wait_s}

    @property
    def mixture(self) -> Mixture:
        """What batches are made of now."""
        prior, own = self.config.learner.prior_fraction, 0.0
        if self.config.learner.own_successes and (steps := self.own.steps):
            own = prior * steps / (steps + self.prior.steps)
        return Mixture((self.online, self.prior, self.own), (1.0 - prior, prior - own, own))

    def _sample(self, parts: int) -> Iterator[Batch[Stored]]:
        return self.mixture.sample(self.rng, self.config.learner.batch_size, self.returns, parts)

    # -- persistence -------------------------------------------------------------------------------------------------

    def state(self) -> tuple[Tensors, dict[str, Any]]:
        """Tensors by group, and JSON-able metadata: all that :meth:`load_state` needs to go on bit for bit."""
        online, online_counters = self.online.state()
        prior, prior_counters = self.prior.state()
        tensors: Tensors = {"agent": self.agent.state_dict(), "online": online, "prior": prior}
        for name, optimizer in self.agent.optimizers.items():
            tensors[f"optimizer.{name}"] = numbered(optimizer.state_dict()["state"])
        tensors["generator"] = {"state": self.agent.generator.get_state()}
        return tensors, {
            "online": online_counters,
            "prior": prior_counters,
            "governor": self.governor.state(),
            "updates": [self.critic_updates, self.actor_updates, self.critic_only_left],
            "driven": [list(step) for step in self._driven.values()],
            "rng": self.rng.bit_generator.state,
            "base_version": self.base_version,
            "normalizer_version": self.agent.normalizer_version(),
            "frozen_encoder": self.agent.vision.frozen_version,
        }

    def load_state(self, tensors: Tensors, metadata: Mapping[str, Any]) -> None:
        """Inverse of :meth:`state`. Raises ValueError where the base or the normaliser is not the one it was saved
        with: what was stored under the one means nothing under the other."""
        if metadata["base_version"] != self.base_version:
            raise ValueError(
                f"the run was trained over base '{metadata['base_version']}', this one is '{self.base_version}': its "
                "stored base actions do not hold; give the same base, or another --out"
            )
        if metadata.get("frozen_encoder", "") != self.agent.vision.frozen_version:
            raise ValueError("the run's replay holds features of another frozen encoder: give the same weights")
        self.agent.load_state_dict(tensors["agent"])
        if metadata["normalizer_version"] != self.agent.normalizer_version():
            raise ValueError("the checkpoint's normaliser is not the one its replay was stored under: it is damaged")
        for name, optimizer in self.agent.optimizers.items():
            moments = by_number(tensors[f"optimizer.{name}"])
            optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})
        drawing = torch.as_tensor(tensors["generator"]["state"], dtype=torch.uint8)
        if len(drawing) == len(self.agent.generator.get_state()):  # else saved on a device of another kind
            self.agent.generator.set_state(drawing)
        for buffer, name in ((self.online, "online"), (self.prior, "prior")):
            buffer.load_state({k: np.asarray(v) for k, v in tensors[name].items()}, metadata[name])
        self.own.refresh()
        self.governor.load_state(metadata["governor"])
        self.critic_updates, self.actor_updates, self.critic_only_left = metadata["updates"]
        self._driven = {step[:2]: step for step in (StepId(*said) for said in metadata.get("driven", []))}
        self.rng.bit_generator.state = metadata["rng"]
