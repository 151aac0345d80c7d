"""Tanh-Gaussian actor of soft actor-critic (SAC, arXiv 1812.05905, appendix C)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from robot_rl.networks import mlp

LOG_STD_MIN, LOG_STD_MAX = -5.0, 1.0


class GaussianActor(nn.Module):
    """Features (n, inputs) → actions (n, action_dim) in (-1, 1)."""

    def __init__(self, inputs: int, action_dim: int, width: int, depth: int):
        super().__init__()
        self.trunk = mlp(inputs, width, depth)
        self.out = nn.Linear(width, 2 * action_dim)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Mean before tanh, and log standard deviation; each (n, action_dim)."""
        mean, raw = self.out(self.trunk(features)).chunk(2, dim=-1)
        # A smooth bound keeps a gradient where a clamp would not.
        log_std = LOG_STD_MIN + 0.5 * (LOG_STD_MAX - LOG_STD_MIN) * (torch.tanh(raw) + 1.0)
        return mean, log_std

    def mode(self, features: Tensor) -> Tensor:
        return torch.tanh(self(features)[0])

    def sample(self, features: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Reparametrised actions (n, action_dim) and their log-probabilities (n,)."""
        mean, log_std = self(features)
        noise = torch.randn(mean.shape, generator=generator, device=mean.device)
        raw = mean + log_std.exp() * noise
        # log(1 - tanh²(x)) = 2 (log 2 - x - softplus(-2x)), stable for large |x|.
        squash = 2.0 * (math.log(2.0) - raw - nn.functional.softplus(-2.0 * raw))
        log_prob = (-0.5 * noise**2 - log_std - 0.5 * math.log(2.0 * math.pi) - squash).sum(-1)
        return torch.tanh(raw), log_prob
