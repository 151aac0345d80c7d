"""Steering a frozen flow or diffusion policy by its noise (DSRL, arXiv 2506.15799, algorithm 2, "noise aliasing")."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from robot_rl.actor_heads.gaussian import GaussianHead
from robot_rl.actor_heads.head import ActorHead, Context, Metrics, Value
from robot_rl.config import LatentNoiseConfig
from robot_rl.networks import CriticEnsemble


class LatentNoiseHead(ActorHead):
    """A tanh-Gaussian over noise within ± ``bound``; the base, a black box, makes the action of it.

    The critic of executed actions is not differentiated through the base: a critic of the noise, Q_w(s, w), is fitted
    to Q(s, base(s, w)) for standard normal w, and the noise actor climbs that one.
    """

    loss_draws = 2

    def __init__(
        self,
        inputs: int,
        noise_dim: int,
        action_dim: int,
        width: int,
        depth: int,
        config: LatentNoiseConfig,
        initial_temperature: float,
        target_entropy: float | None,
    ):
        super().__init__()
        self.config, self.noise_dim, self.action_dim = config, noise_dim, action_dim
        self.noise = GaussianHead(inputs, noise_dim, width, depth, initial_temperature, target_entropy)
        self.noise_critic = CriticEnsemble(inputs + noise_dim, 1, config.critics, width, depth)

    def act(self, context: Context, noise: Tensor | None) -> Tensor:
        return self._decode(self.config.bound * self.noise.act(context, noise), context)

    def target(self, context: Context, noise: Tensor) -> tuple[Tensor, Tensor]:
        steered, bonus = self.noise.target(context, noise)
        return self._decode(self.config.bound * steered, context), bonus

    def loss(self, context: Context, value: Value, noises: Sequence[Tensor]) -> tuple[Tensor, Metrics]:
        features, (tried, *explored) = context.features, noises
        drawn = tried.clamp(-self.config.bound, self.config.bound)
        with torch.no_grad():
            wanted = value(self._decode(drawn, context))
        distillation = ((self.noise_critic(torch.cat([features, drawn], dim=-1)) - wanted) ** 2).mean()

        def value_of_noise(noise: Tensor) -> Tensor:
            x = torch.cat([features, self.config.bound * noise], dim=-1)
            self.noise_critic.requires_grad_(False)
            q = self.noise_critic(x).mean(0)
            self.noise_critic.requires_grad_(True)
            return q

        steering, metrics = self.noise.loss(context, value_of_noise, explored)
        return distillation + steering, metrics | {"noise_critic_loss": distillation.detach()}

    def mean(self, context: Context) -> Tensor:
        return self.noise.mean(context)

    def encode(self, executed: Tensor, context: Context) -> tuple[Tensor, Tensor]:
        """A black box has no inverse: no executed action tells the noise, so nothing is valid and nothing imitated."""
        mean = self.mean(context).detach()
        return mean, torch.zeros_like(mean, dtype=torch.bool)

    @torch.no_grad()
    def _decode(self, noise: Tensor, context: Context) -> Tensor:
        assert context.decode is not None
        return context.decode(noise)[:, : self.action_dim]
