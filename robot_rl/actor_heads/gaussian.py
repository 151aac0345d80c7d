"""Tanh-Gaussian actor of soft actor-critic (SAC, arXiv 1812.05905, appendix C), with its temperature."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from robot_rl.actor_heads.head import ActorHead, Context, Metrics, Value
from robot_rl.networks import mlp

LOG_STD_MIN, LOG_STD_MAX = -5.0, 1.0


class GaussianHead(ActorHead):
    """A full policy: features (n, inputs) → actions (n, action_dim) in (-1, 1). The base, if any, is not looked at."""

    def __init__(
        self,
        inputs: int,
        action_dim: int,
        width: int,
        depth: int,
        initial_temperature: float = 0.002,
        target_entropy: float | None = None,
    ):
        super().__init__()
        self.noise_dim = action_dim
        self.trunk = mlp(inputs, width, depth)
        self.out = nn.Linear(width, 2 * action_dim)
        self.log_temperature = nn.Parameter(torch.tensor(math.log(initial_temperature)))
        self.target_entropy = -0.5 * action_dim if target_entropy is None else target_entropy

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Mean before tanh, and log standard deviation; each (n, action_dim)."""
        mean, raw = self.out(self.trunk(features)).chunk(2, dim=-1)
        # A smooth bound keeps a gradient where a clamp would not.
        log_std = LOG_STD_MIN + 0.5 * (LOG_STD_MAX - LOG_STD_MIN) * (torch.tanh(raw) + 1.0)
        return mean, log_std

    def sample(self, features: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Reparametrised actions (n, action_dim) and their log-probabilities (n,)."""
        mean, log_std = self(features)
        raw = mean + log_std.exp() * noise
        # log(1 - tanh²(x)) = 2 (log 2 - x - softplus(-2x)), stable for large |x|.
        squash = 2.0 * (math.log(2.0) - raw - nn.functional.softplus(-2.0 * raw))
        log_prob = (-0.5 * noise**2 - log_std - 0.5 * math.log(2.0 * math.pi) - squash).sum(-1)
        return torch.tanh(raw), log_prob

    def act(self, context: Context, noise: Tensor | None) -> Tensor:
        return self.mean(context) if noise is None else self.sample(context.features, noise)[0]

    def target(self, context: Context, noise: Tensor) -> tuple[Tensor, Tensor]:
        action, log_prob = self.sample(context.features, noise)
        return action, -self.log_temperature.exp() * log_prob

    def loss(self, context: Context, value: Value, noises: Sequence[Tensor]) -> tuple[Tensor, Metrics]:
        """SAC's: α log π − Q for the actor, and dual descent on log α, which raises α while entropy is below target."""
        action, log_prob = self.sample(context.features, noises[0])
        temperature, q = self.log_temperature.exp().detach(), value(action)
        actor = (temperature * log_prob - q).mean()
        entropy = -log_prob.detach().mean()
        dual = self.log_temperature * (entropy - self.target_entropy)
        metrics = {"actor_loss": actor.detach(), "entropy": entropy, "temperature": temperature}
        return actor + dual, metrics | {"actor_q": q.detach().mean()}

    def mean(self, context: Context) -> Tensor:
        return torch.tanh(self(context.features)[0])

    def encode(self, executed: Tensor, context: Context) -> tuple[Tensor, Tensor]:
        """A full policy's parameter is the action."""
        return executed, torch.ones_like(executed, dtype=torch.bool)
