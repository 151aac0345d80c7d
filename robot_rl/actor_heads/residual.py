"""A bounded residual over a frozen base policy, trained as in TD3 (ResFiT, arXiv 2509.19301; TD3, arXiv 1802.09477)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from robot_rl.actor_heads.head import ActorHead, Context, Metrics, Value
from robot_rl.config import ResidualConfig
from robot_rl.networks import mlp

ROUNDING = 1e-5
"""By how much float32 may exceed 1 in (a_h − a_b) / s where it is 1."""


class ResidualHead(ActorHead):
    """Executed action = clamp(a_base + s · r, ±1) with r = tanh(MLP(features, a_base)): clamped once, and that value is
    what is executed, stored and scored. The last layer begins at zero, so that the base is executed bit for bit."""

    targets_from_average = True
    loss_draws = 0

    def __init__(self, inputs: int, base_dim: int, action_dim: int, width: int, depth: int, config: ResidualConfig):
        super().__init__()
        self.config, self.action_dim, self.noise_dim = config, action_dim, action_dim
        self.trunk = mlp(inputs + base_dim, width, depth)
        self.out = nn.Linear(width, action_dim)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def act(self, context: Context, noise: Tensor | None) -> Tensor:
        return self.compose(self.mean(context), context, None if noise is None else self.config.noise * noise)

    def target(self, context: Context, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Target policy smoothing (TD3, eq. 14): clipped noise on the next action."""
        smoothing = (self.config.noise * noise).clamp(-self.config.noise_clip, self.config.noise_clip)
        action = self.compose(self.mean(context), context, smoothing)
        return action, action.new_zeros(len(action))

    def loss(self, context: Context, value: Value, noises: Sequence[Tensor]) -> tuple[Tensor, Metrics]:
        residual = self.mean(context)
        q = value(self.compose(residual, context))
        size = (residual**2).sum(-1).mean()
        loss = self.config.penalty * size - q.mean()
        used = residual.detach().abs()
        metrics = {"actor_loss": loss.detach(), "actor_q": q.detach().mean(), "residual": used.mean()}
        return loss, metrics | {"residual_limit": (used > 0.95).float().mean()}

    def mean(self, context: Context) -> Tensor:
        """The residual in units of its scale, (n, action_dim) in (-1, 1)."""
        return torch.tanh(self.out(self.trunk(torch.cat([context.features, context.base_action], dim=-1))))

    def compose(self, residual: Tensor, context: Context, noise: Tensor | None = None) -> Tensor:
        """Residuals in units of the scale, and noise in units of actions → executed actions."""
        action = context.base_action[:, : self.action_dim] + self.config.scale * residual
        return (action if noise is None else action + noise).clamp(-1.0, 1.0)

    def encode(self, executed: Tensor, context: Context) -> tuple[Tensor, Tensor]:
        """r* = (a_h − a_b) / s (Res-HIL, arXiv 2609.30023), valid where |r*| ≤ 1 and else clipped."""
        residual = (executed - context.base_action[:, : self.action_dim]) / self.config.scale
        return residual.clamp(-1.0, 1.0), residual.abs() <= 1.0 + ROUNDING
