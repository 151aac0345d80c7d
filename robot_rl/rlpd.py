"""RLPD: soft actor-critic with a critic ensemble and symmetric sampling of prior data (arXiv 2302.02948).

Read from top to bottom: act, then update = critic (TD), gripper (double DQN), actor, temperature, targets. The critic
always scores the *executed* action, whole, in the canonical normalised action space.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from robot_rl.actor_heads.gaussian import GaussianActor
from robot_rl.batch import Batch
from robot_rl.config import LearnerConfig
from robot_rl.gripper import GripperCritic, GripperSpace
from robot_rl.networks import CriticEnsemble, soft_update

Metrics = dict[str, Tensor]


class RLPD(nn.Module):
    """The learner of one policy.

    ``state_dim`` is the length of the observation's ``"state"``; ``gripper_index`` the entry of it that tells the
    commanded gripper, or None when all of the action is continuous.
    """

    state_mean: Tensor
    state_std: Tensor

    def __init__(
        self,
        config: LearnerConfig,
        state_dim: int,
        action_dim: int,
        gripper_index: int | None = None,
        seed: int = 0,
        device: str | torch.device = "cpu",
    ):
        super().__init__()
        self.config, self.action_dim, self.device = config, action_dim, torch.device(device)
        self.arm_dim = action_dim - (gripper_index is not None)
        self.generator = torch.Generator(self.device).manual_seed(seed)
        self.register_buffer("state_mean", torch.zeros(state_dim))
        self.register_buffer("state_std", torch.ones(state_dim))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.actor = GaussianActor(state_dim, self.arm_dim, config.width, config.depth)
            self.critic = CriticEnsemble(state_dim + action_dim, 1, config.critics, config.width, config.depth)
            self.gripper: GripperCritic | None = None
            if gripper_index is not None:
                space = GripperSpace(gripper_index)
                self.gripper = GripperCritic(state_dim, space, config.width, config.depth)
        self.target_critic = copy.deepcopy(self.critic).requires_grad_(False)
        self.average_actor = copy.deepcopy(self.actor).requires_grad_(False)
        self.log_temperature = nn.Parameter(torch.tensor(float(np.log(config.initial_temperature))))
        self.target_entropy = -0.5 * self.arm_dim if config.target_entropy is None else config.target_entropy
        self.to(self.device)

        def adam(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
            return torch.optim.Adam(parameters, config.learning_rate, fused=True)

        self.critic_optimizer = adam(self.critic.parameters())
        self.actor_optimizer = adam(self.actor.parameters())
        self.temperature_optimizer = adam([self.log_temperature])
        self.gripper_optimizer = adam(self.gripper.online.parameters()) if self.gripper else None

    def normalize_states_by(self, states: np.ndarray) -> None:
        """Freeze the normaliser to the statistics of ``states`` (n, state_dim), before anything is learned. Our own
        tasks need none (their observations are about unit scale); environments of other projects do."""
        self.state_mean.copy_(torch.from_numpy(states.mean(0)))
        self.state_std.copy_(torch.from_numpy(states.std(0)).clamp(min=0.01))

    # -- acting ------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def act(self, observation: Mapping[str, np.ndarray], deterministic: bool = False) -> np.ndarray:
        """One observation → float32 (action_dim,) in [-1, 1]."""
        state = self._state(observation)[None]
        action = self.average_actor.mode(state) if deterministic else self.actor.sample(state, self.generator)[0]
        return self._with_gripper(state, action)[0].cpu().numpy()

    @torch.no_grad()
    def value(self, observation: Mapping[str, np.ndarray], action: np.ndarray) -> float:
        """Mean Q of the ensemble at one observation and action."""
        x = torch.cat([self._state(observation), self._tensor(action)])[None]
        return float(self.critic(x).mean())

    def _with_gripper(self, state: Tensor, action: Tensor) -> Tensor:
        if self.gripper is None:
            return action
        return torch.cat([action, self.gripper.act(state)[:, None]], dim=-1)

    # -- learning ----------------------------------------------------------------------------------------------------

    def update(self, batches: Sequence[Batch], train_actor: bool = True) -> Metrics:
        """One critic (and gripper) update a batch; with ``train_actor`` one of actor and temperature on the last.

        Without ``train_actor`` the actor is left untouched: not even a zero gradient reaches its optimiser.
        """
        metrics: Metrics = {}
        for batch in batches:
            state, action = self._state(batch.observation), self._tensor(batch.action)
            next_state = self._state(batch.next_observation)
            reward, discount = self._tensor(batch.reward), self._tensor(batch.discount)
            metrics |= self._update_critic(state, action, reward, discount, next_state)
            if self.gripper is not None:
                metrics |= self._update_gripper(state, action, reward, discount, next_state)
            soft_update(list(self.target_critic.parameters()), list(self.critic.parameters()), self.config.tau)
        if train_actor:
            metrics |= self._update_actor(state, action, torch.from_numpy(batches[-1].human).to(self.device))
        return metrics

    def _update_critic(
        self, state: Tensor, action: Tensor, reward: Tensor, discount: Tensor, next_state: Tensor
    ) -> Metrics:
        with torch.no_grad():
            next_arm, log_prob = self.actor.sample(next_state, self.generator)
            next_input = torch.cat([next_state, self._with_gripper(next_state, next_arm)], dim=-1)
            heads = torch.randperm(self.config.critics, generator=self.generator, device=self.device)
            next_q = self.target_critic.subset(next_input, heads[: self.config.target_subset]).min(0).values
            if self.config.entropy_in_backup:
                next_q = next_q - self.log_temperature.exp() * log_prob
            wanted = reward + discount * next_q
            if self.config.value_bounds is not None:
                wanted = wanted.clamp(*self.config.value_bounds)
        q = self.critic(torch.cat([state, action], dim=-1))
        loss = ((q - wanted) ** 2).mean()  # each head's own error, then the mean over heads
        _descend(self.critic_optimizer, loss)
        return {"critic_loss": loss.detach(), "q": q.detach().mean(), "target_q": wanted.mean()}

    def _update_gripper(
        self, state: Tensor, action: Tensor, reward: Tensor, discount: Tensor, next_state: Tensor
    ) -> Metrics:
        assert self.gripper is not None and self.gripper_optimizer is not None
        loss = self.gripper.loss(state, action, reward, discount, next_state, self.config.gripper_change_penalty)
        _descend(self.gripper_optimizer, loss)
        soft_update(list(self.gripper.target.parameters()), list(self.gripper.online.parameters()), self.config.tau)
        return {"gripper_loss": loss.detach()}

    def _update_actor(self, state: Tensor, executed: Tensor, human: Tensor) -> Metrics:
        arm, log_prob = self.actor.sample(state, self.generator)
        temperature = self.log_temperature.exp().detach()
        self.critic.requires_grad_(False)
        q = self.critic(torch.cat([state, self._with_gripper(state, arm)], dim=-1)).mean(0)
        self.critic.requires_grad_(True)
        loss = (temperature * log_prob - q).mean()
        if self.config.imitation_weight > 0:
            error = ((self.actor.mode(state) - executed[:, : self.arm_dim]) ** 2).sum(-1)
            loss = loss + self.config.imitation_weight * (error * human).sum() / human.sum().clamp(min=1)
        _descend(self.actor_optimizer, loss)
        self._average_actor()
        entropy = -log_prob.detach().mean()
        # Dual descent on log α: raises α while entropy is below its target.
        _descend(self.temperature_optimizer, self.log_temperature * (entropy - self.target_entropy))
        return {
            "actor_loss": loss.detach(),
            "entropy": entropy,
            "temperature": temperature,
            "actor_q": q.detach().mean(),
        }

    def clone(self, batch: Batch) -> Tensor:
        """One behaviour-cloning step of actor (and gripper greedy choice is left to its critic); returns the loss."""
        state, action = self._state(batch.observation), self._tensor(batch.action)
        loss = ((self.actor.mode(state) - action[:, : self.arm_dim]) ** 2).mean()
        _descend(self.actor_optimizer, loss)
        self.average_actor.load_state_dict(self.actor.state_dict())
        return loss.detach()

    def _average_actor(self) -> None:
        """Weights averaged over the last updates act more steadily than the newest (arXiv 1803.05407)."""
        soft_update(list(self.average_actor.parameters()), list(self.actor.parameters()), self.config.averaging)

    # -- persistence -------------------------------------------------------------------------------------------------

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        named = {
            "critic": self.critic_optimizer,
            "actor": self.actor_optimizer,
            "temperature": self.temperature_optimizer,
        }
        return named | ({"gripper": self.gripper_optimizer} if self.gripper_optimizer else {})

    def _state(self, observation: Mapping[str, np.ndarray]) -> Tensor:
        return (self._tensor(observation["state"]) - self.state_mean) / self.state_std

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array, np.float32)).to(self.device)


def _descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
