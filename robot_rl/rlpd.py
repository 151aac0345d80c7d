"""RLPD: off-policy actor-critic with a critic ensemble and symmetric sampling of prior data (arXiv 2302.02948).

Read from top to bottom: act, then update = critic (TD), gripper (double DQN), actor head, targets. The critic always
scores the *executed* action, whole, in the canonical normalised action space; what the actor parametrises (an action, a
residual over a base policy, the noise of a flow) is its head's business.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from robot_rl.actor_heads import Context, Metrics, make_head
from robot_rl.base_policy import BasePolicy, SteerableBase
from robot_rl.batch import Batch, Stored
from robot_rl.compute import Compute, Graphs
from robot_rl.config import ComputeConfig, LearnerConfig
from robot_rl.exploration import Exploration
from robot_rl.gripper import GripperCritic, GripperSpace
from robot_rl.image_encoder import LEARNED
from robot_rl.networks import CriticEnsemble, effective_rank, full_precision, soft_update
from robot_rl.types import Observation
from robot_rl.vision import Vision

STD_FLOOR = 0.01
ON_CPU = ComputeConfig(device="cpu")


class RLPD(nn.Module):
    """The learner of one policy.

    ``state_dim`` is the length of the observation's ``"state"``; ``gripper_index`` the entry of it that tells the
    commanded gripper, or None when all of the action is continuous. Features are the state and, after it, what the
    cameras of ``config.vision`` show; their encoder learns from the critics' loss alone. ``base`` is the frozen policy
    that a residual corrects or a latent noise steers: not one of this module's parts, and never trained.
    """

    state_mean: Tensor
    state_std: Tensor
    base: BasePolicy | None
    _steered: BasePolicy | None

    def __init__(
        self,
        config: LearnerConfig,
        state_dim: int,
        action_dim: int,
        gripper_index: int | None = None,
        seed: int = 0,
        base: BasePolicy | None = None,
        compute: ComputeConfig = ON_CPU,
    ):
        super().__init__()
        if config.actor != "gaussian" and base is None:
            raise ValueError(f"actor '{config.actor}' works over a base policy: give demonstrations to clone one from")
        if config.actor == "latent_noise" and config.vision.encoder not in LEARNED:
            raise ValueError(
                "latent_noise asks its base about stored images, and a frozen encoder stores none: use conv"
            )
        self.config, self.action_dim, self.compute = config, action_dim, Compute(compute)
        self.device = self.compute.device
        self.arm_dim = action_dim - (gripper_index is not None)
        self.__dict__["base"] = base if config.actor != "gaussian" else None  # set so, it is no submodule
        self.__dict__["_steered"] = self.compute.copy(base) if config.actor == "latent_noise" else None
        self.generator = torch.Generator(self.device).manual_seed(seed)
        self._exploration = Exploration(config.noise_memory)
        self.register_buffer("state_mean", torch.zeros(state_dim))
        self.register_buffer("state_std", torch.ones(state_dim))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.vision = Vision(config.vision, self.device)
            inputs, noise_dim = state_dim + self.vision.size, getattr(base, "noise_dim", None)
            self.actor = make_head(config, inputs, action_dim, self.arm_dim, noise_dim)
            self.critic = CriticEnsemble(inputs + action_dim, 1, config.critics, config.width, config.depth)
            self.gripper: GripperCritic | None = None
            if gripper_index is not None:
                bonus = config.gripper_base_bonus if self.base is not None else None
                space = GripperSpace(gripper_index)
                margin = config.gripper_margin
                self.gripper = GripperCritic(inputs, space, config.width, config.depth, bonus, margin)
        self.target_critic = copy.deepcopy(self.critic).requires_grad_(False)
        self.average_actor = copy.deepcopy(self.actor).requires_grad_(False)
        self.to(self.device)
        self._critic_loss = self.compute.compiled(self.critic_loss)
        self._actor_loss = self.compute.compiled(self.actor_loss)
        self.compute.compile(self.vision.each)
        self._replay = Graphs(self._step, self.generator) if self.compute.graphs else None

    @cached_property
    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """By what they train. Who only acts has none: torch takes two seconds to load what the first one needs."""
        rate, adam = self.config.learning_rate, self.compute.adam
        made = {
            "critic": adam([*self.critic.parameters(), *self.vision.parameters()], rate),
            "actor": adam(self.actor.parameters(), self.config.actor_learning_rate or rate),
        }
        return made | ({"gripper": adam(self.gripper.online.parameters(), rate)} if self.gripper else {})

    @cached_property
    def _averages(self) -> dict[str, tuple[list[Tensor], list[Tensor]]]:
        """Tensors and what they follow. Listed once: to list them takes as long as a product."""
        pairs: dict[str, tuple[nn.Module, nn.Module]] = {
            "critic": (self.target_critic, self.critic),
            "actor": (self.average_actor, self.actor),
        }
        if self.gripper is not None:
            pairs["gripper"] = (self.gripper.target, self.gripper.online)
        return {name: (list(slow.parameters()), list(fast.parameters())) for name, (slow, fast) in pairs.items()}

    def normalize_states_by(self, states: np.ndarray) -> None:
        """Freeze the normaliser to the statistics of ``states`` (n, state_dim), before anything is learned. Our own
        tasks need none (their observations are about unit scale); environments of other projects do."""
        self.state_mean.copy_(torch.from_numpy(states.mean(0)))
        self.state_std.copy_(torch.from_numpy(states.std(0)).clamp(min=STD_FLOOR))

    # -- acting ------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def act(
        self,
        observation: Mapping[str, np.ndarray],
        deterministic: bool = False,
        base_action: np.ndarray | None = None,
    ) -> np.ndarray:
        """One observation → float32 (action_dim,) in [-1, 1]. ``base_action`` is what ``base`` would do here: a policy
        with a base does not ask it, since who steps the environment asks once a step and stores the answer."""
        if base_action is None:
            if self.base is not None:
                raise ValueError(f"actor '{self.config.actor}' needs the base policy's action: give base_action")
            base_action = np.zeros(self.action_dim, np.float32)
        kept = self.vision.kept(observation)
        context = self._context(self._seen(kept), self.compute.tensor(base_action[None]))
        actor = self.average_actor if deterministic else self.actor
        noise = None if deterministic else self._exploration(actor.draw(1, self.generator))
        return self._whole(context, actor.act(context, noise))[0].cpu().numpy()

    def reset(self) -> None:
        """An episode begins: noise does not reach over from the last."""
        self._exploration.reset()

    def flush(self) -> None:
        """A person took over."""
        self._exploration.reset()

    @torch.no_grad()
    def value(self, observation: Mapping[str, np.ndarray], action: np.ndarray) -> float:
        """Mean Q of the ensemble at one observation and action."""
        kept = self.vision.kept(observation)
        features, action = self._features(self._seen(kept)), np.asarray(action, np.float32)
        return float(self.critic(torch.cat([features, self.compute.tensor(action[None])], dim=-1)).mean())

    def _whole(self, context: Context, arm: Tensor, choice: Tensor | None = None) -> Tensor:
        """Arm actions with the gripper's ``choice`` (the greedy one if left out) as the last entry."""
        if self.gripper is None:
            return arm
        choice = self.gripper.greedy(context) if choice is None else choice
        return torch.cat([arm, self.gripper.space.target(context.features, choice)[:, None]], dim=-1)

    # -- learning ----------------------------------------------------------------------------------------------------

    def update(self, batches: Iterable[Batch[Stored]], train_actor: bool = True) -> Metrics:
        """One critic (and gripper) update a batch; with ``train_actor`` one of the actor head on the last.

        Without ``train_actor`` the actor is left untouched: not even a zero gradient reaches its optimiser. On a GPU
        the next batch is gathered while this one is worked on.
        """
        metrics: Metrics = {}
        waiting: Batch[Stored] | None = None
        for batch in batches:
            if waiting is not None:
                metrics |= self._run(waiting, False)
            waiting = batch
        return metrics if waiting is None else metrics | self._run(waiting, train_actor)

    def _run(self, batch: Batch[Stored], train_actor: bool) -> Metrics:
        if self._replay is not None:
            return self._replay(self.compute.on_host(batch), train_actor)
        return self._step(batch.map(self.compute.tensor), train_actor)

    def _step(self, batch: Batch[Tensor], train_actor: bool) -> Metrics:
        """One update. Each image of the batch is encoded once; critic, gripper and actor share what came of it."""
        with self.compute.precision():
            now = self._context(batch.observation, batch.base_action, shift=True)
            with torch.no_grad():
                following = self._context(batch.next_observation, batch.next_base_action, shift=True)
            metrics = self._update_critics(now, batch, following)
            now = replace(now, features=now.features.detach())
            return metrics | self._update_actor(now, batch.action, batch.shown) if train_actor else metrics

    def _update_critics(self, now: Context, batch: Batch[Tensor], following: Context) -> Metrics:
        """One TD step of the critics, the gripper's too."""
        noise = self.actor.draw(len(batch.action), self.generator)
        heads = torch.randperm(self.config.critics, generator=self.generator, device=self.device)
        told = (batch.action, batch.reward, batch.discount, batch.shown)
        loss, metrics = self._critic_loss(now, *told, following, noise, heads[: self.config.target_subset])
        valued = ("critic",) if self.gripper is None else ("critic", "gripper")
        _descend(loss, *(self.optimizers[name] for name in valued))
        for name in valued:
            soft_update(*self._averages[name], self.config.tau)
        return metrics

    def critic_loss(
        self,
        now: Context,
        action: Tensor,
        reward: Tensor,
        discount: Tensor,
        shown: Tensor,
        following: Context,
        noise: Tensor,
        heads: Tensor,
    ) -> tuple[Tensor, Metrics]:
        """TD errors of the critics, by the target critics ``heads``, and of the gripper's: added up, since neither has
        a part in what the other trains."""
        best = None if self.gripper is None else self.gripper.greedy(following)
        with torch.no_grad():
            actor = self.average_actor if self.actor.targets_from_average else self.actor
            next_arm, entropy_bonus = actor.target(following, noise)
            next_input = torch.cat([following.features, self._whole(following, next_arm, best)], dim=-1)
            next_q = self.target_critic.subset(next_input, heads).min(0).values
            if self.config.entropy_in_backup:
                next_q = next_q + entropy_bonus
            wanted = reward + discount * next_q
            if self.config.value_bounds is not None:
                wanted = wanted.clamp(*self.config.value_bounds)
        q = self.critic(torch.cat([now.features, action], dim=-1))
        loss = ((q - wanted) ** 2).mean()  # each head's own error, then the mean over heads
        metrics = {"critic_loss": loss.detach(), "q": q.detach().mean(), "target_q": wanted.mean()}
        if self.gripper is None or best is None:
            return loss, metrics
        seen = Context(now.features.detach(), now.base_action, now.decode)  # the encoder learns from the critics alone
        penalty = self.config.gripper_change_penalty
        gripper_loss = self.gripper.loss(seen, action, reward, discount, following, best, penalty, shown)
        return loss + gripper_loss, metrics | {"gripper_loss": gripper_loss.detach()}

    def _update_actor(self, now: Context, executed: Tensor, shown: Tensor) -> Metrics:
        noises = [self.actor.draw(len(executed), self.generator) for _ in range(self.actor.loss_draws)]
        self.critic.requires_grad_(False)
        loss, metrics = self._actor_loss(now, executed, shown, noises)
        self.critic.requires_grad_(True)
        _descend(loss, self.optimizers["actor"])
        # Weights averaged over the last updates act more steadily than the newest (arXiv 1803.05407).
        soft_update(*self._averages["actor"], self.config.averaging)
        return metrics

    def actor_loss(
        self, now: Context, executed: Tensor, shown: Tensor, noises: Sequence[Tensor]
    ) -> tuple[Tensor, Metrics]:
        """What the head makes of the critics' mean, and the imitation of what the person did."""
        choice = None if self.gripper is None else self.gripper.greedy(now)

        def value(arm: Tensor) -> Tensor:
            return self.critic(torch.cat([now.features, self._whole(now, arm, choice)], dim=-1)).mean(0)

        loss, metrics = self.actor.loss(now, value, noises)
        if self.config.imitation_weight > 0:
            error, more = self._imitation(now, executed, shown)
            loss, metrics = loss + self.config.imitation_weight * error, metrics | more
        return loss, metrics

    def _imitation(self, now: Context, executed: Tensor, rows: Tensor) -> tuple[Tensor, Metrics]:
        return self.actor.imitation(now, executed[:, : self.arm_dim], rows, self.config.saturated_weight)

    def clone(self, shown: Batch[Stored]) -> Tensor:
        """One behaviour-cloning step of the actor (the gripper's choice is left to its critic); returns the loss."""
        batch = shown.map(self.compute.tensor)
        now, everything = self._context(batch.observation, batch.base_action), torch.ones_like(batch.shown)
        error, _ = self._imitation(now, batch.action, everything)
        _descend(error / self.arm_dim, self.optimizers["actor"])
        self.average_actor.load_state_dict(self.actor.state_dict())
        return error.detach()

    @torch.no_grad()
    def health(self, stored: Batch[Stored]) -> Metrics:
        """Of the critics' last hidden layer on ``stored``: the effective rank and the share of dead units, the alarm
        for lost plasticity at high UTD (arXiv 2010.14498, 2302.12902)."""
        batch = stored.map(self.compute.tensor)
        now = self._context(batch.observation, batch.base_action)
        hidden = self.critic.hidden(torch.cat([now.features, batch.action], dim=-1))
        return {"effective_rank": effective_rank(hidden).mean(), "dead_units": (hidden <= 0).all(1).float().mean()}

    # -- persistence -------------------------------------------------------------------------------------------------

    def normalizer_version(self) -> str:
        """Hash of the frozen statistics: what is stored under one normaliser must not be read under another."""
        statistics = torch.stack([self.state_mean, self.state_std]).cpu().numpy()
        return hashlib.sha256(statistics.tobytes()).hexdigest()[:16]

    def _context(self, seen: Mapping[str, Tensor], base_action: Tensor, shift: bool = False) -> Context:
        """Observations (n, ...) and the base's actions there (n, action_dim) as the heads see them; with ``shift`` the
        images are moved at random."""
        decode = None if self._steered is None else partial(cast(SteerableBase, self._steered).decode, seen)
        return Context(self._features(seen, shift), base_action, decode)

    def _features(self, seen: Mapping[str, Tensor], shift: bool = False) -> Tensor:
        state = (seen["state"] - self.state_mean) / self.state_std
        if not self.vision.cameras:
            return state
        images = {name: seen[name] for name in self.vision.cameras}
        images = self.vision.shifted(images, self.generator) if shift else images
        return torch.cat([state, self.vision(images)], dim=-1)

    def _seen(self, observation: Observation) -> dict[str, Tensor]:
        """One observation as a batch."""
        return {name: self.compute.tensor(array[None]) for name, array in observation.items()}


def _descend(loss: Tensor, *optimizers: torch.optim.Optimizer) -> None:
    for optimizer in optimizers:  # zero_grad() takes ten times as long
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = None
    with full_precision(loss.device):  # gradients have the precision of what they are of
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
