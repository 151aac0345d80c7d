"""ACT: action chunking with a transformer, trained as a conditional variational autoencoder (arXiv 2304.13705).

In training an encoder squeezes the shown chunk into a style variable z, so that the decoder need not average different
ways of doing the same; when acting z is 0, the prior's mean (sec. IV-B, alg. 2). Written from the paper.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from robot_rl.chunks import ChunkPolicy
from robot_rl.cloning_config import ActConfig, CloningConfig
from robot_rl.shown import Shown, masked_mean
from robot_rl.types import Observation


class EncoderLayer(nn.Module):
    """Self-attention and perceptron, each after a LayerNorm and around a residual."""

    def __init__(self, config: ActConfig):
        super().__init__()
        self.norm, self.norm_mlp = nn.LayerNorm(config.width), nn.LayerNorm(config.width)
        self.attention = nn.MultiheadAttention(config.width, config.heads, batch_first=True)
        self.mlp = _perceptron(config.width)

    def forward(self, x: Tensor, ignored: Tensor | None = None) -> Tensor:
        """x (n, tokens, width); ``ignored`` bool (n, tokens) are tokens that nobody looks at."""
        y = self.norm(x)
        x = x + self.attention(y, y, y, key_padding_mask=ignored, need_weights=False)[0]
        return x + self.mlp(self.norm_mlp(x))


class DecoderLayer(nn.Module):
    """An encoder layer that looks at the observation's tokens in between."""

    def __init__(self, config: ActConfig):
        super().__init__()
        self.within = EncoderLayer(config)
        self.norm = nn.LayerNorm(config.width)
        self.attention = nn.MultiheadAttention(config.width, config.heads, batch_first=True)

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        """x (n, horizon, width), seen (n, tokens, width) → (n, horizon, width)."""
        x = x + self.attention(self.norm(x), seen, seen, need_weights=False)[0]
        return self.within(x)


class ActPolicy(ChunkPolicy):
    """Observation → action chunks."""

    style_places: Tensor

    def __init__(self, config: CloningConfig, state_dim: int, action_dim: int, gripper_index: int | None = None):
        super().__init__(config, state_dim, action_dim, gripper_index)
        act = config.act
        self.enter_state = nn.Linear(state_dim, act.width)
        self.enter_latent = nn.Linear(act.latent, act.width)
        self.enter_maps = nn.ModuleDict(
            {name: nn.Conv2d(encoder.channels, act.width, 1) for name, encoder in self.cameras.each.items()}  # type: ignore[arg-type]
        )
        self.places = nn.Parameter(0.02 * torch.randn(2 + 16 * len(self.enter_maps), act.width))
        self.encoder = nn.ModuleList(EncoderLayer(act) for _ in range(act.encoder_layers))
        self.queries = nn.Parameter(0.02 * torch.randn(self.horizon, act.width))
        self.decoder = nn.ModuleList(DecoderLayer(act) for _ in range(act.decoder_layers))
        self.arm = nn.Sequential(nn.LayerNorm(act.width), nn.Linear(act.width, self.arm_dim))
        self.grip = nn.Sequential(nn.LayerNorm(act.width), nn.Linear(act.width, 3))
        # The CVAE's encoder, used in training alone.
        self.style_token = nn.Parameter(0.02 * torch.randn(act.width))
        self.style_state = nn.Linear(state_dim, act.width)
        self.style_action = nn.Linear(action_dim, act.width)
        self.register_buffer("style_places", _sinusoid(self.horizon, act.width), persistent=False)
        self.style = nn.ModuleList(EncoderLayer(act) for _ in range(act.encoder_layers))
        self.style_head = nn.Linear(act.width, 2 * act.latent)

    def act(self, observation: Observation, deterministic: bool = True) -> np.ndarray:
        """One observation → float32 (action_dim,) in [-1, 1]; always the mean action (z = 0)."""
        return self.play(observation)

    def parts(self, observation: Mapping[str, Tensor], noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """With z = 0, the prior's mean."""
        state = observation["state"]
        return self._decode(observation, state.new_zeros(len(state), self.config.act.latent))

    def loss(self, seen: Mapping[str, Tensor], shown: Shown, generator: torch.Generator) -> Tensor:
        """L1 of the chunk + β KL(q(z | chunk, o) ‖ N(0, I)) (alg. 1), and the gripper's cross-entropy."""
        mean, log_variance = self._encode_style(seen["state"], shown)
        z = mean + (0.5 * log_variance).exp() * torch.randn(mean.shape, generator=generator)
        divergence = -0.5 * (1.0 + log_variance - mean**2 - log_variance.exp()).sum(-1).mean()
        arm, logits = self._decode(seen, z)
        error = (arm - self.normalize_action(shown.action[..., : self.arm_dim])).abs()
        reconstruction = masked_mean(error, shown.valid) + self.gripper_loss(logits, shown)
        return reconstruction + self.config.act.kl_weight * divergence

    def _encode_style(self, state: Tensor, shown: Shown) -> tuple[Tensor, Tensor]:
        """Mean and log variance of q(z | chunk, o), each (n, latent). Proprioception alone conditions it, as in the
        paper, for speed."""
        n = len(shown)
        arm = self.normalize_action(shown.action[..., : self.arm_dim])
        whole = torch.cat([arm, shown.action[..., self.arm_dim :]], dim=-1)
        proprioception = self.style_state(self.normalize(state))[:, None]
        chunk = self.style_action(whole) + self.style_places
        seen = torch.ones(n, 2, dtype=torch.bool)
        x = torch.cat([self.style_token.expand(n, 1, -1), proprioception, chunk], dim=1)
        ignored = ~torch.cat([seen, shown.valid], dim=1)
        for layer in self.style:
            x = layer(x, ignored)
        mean, log_variance = self.style_head(x[:, 0]).chunk(2, dim=-1)
        return mean, log_variance.clamp(-10.0, 10.0)

    def _decode(self, observation: Mapping[str, Tensor], z: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised arm actions (n, horizon, arm_dim) and gripper logits (n, horizon, 3)."""
        tokens = [self.enter_latent(z)[:, None], self.enter_state(self.normalize(observation["state"]))[:, None]]
        for name, enter in self.enter_maps.items():
            maps = enter(self.cameras.each[name].maps(observation[name]))  # type: ignore[operator]
            tokens.append(maps.flatten(2).transpose(1, 2))
        seen = torch.cat(tokens, dim=1) + self.places
        for layer in self.encoder:
            seen = layer(seen)
        x = self.queries.expand(len(z), -1, -1)
        for layer in self.decoder:
            x = layer(x, seen)
        return self.arm(x), self.grip(x)


def _perceptron(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, 4 * width), nn.ReLU(), nn.Linear(4 * width, width))


def _sinusoid(length: int, width: int) -> Tensor:
    """Positions as sines and cosines, (length, width) (arXiv 1706.03762, sec. 3.5)."""
    position = torch.arange(length)[:, None]
    rate = torch.exp(-math.log(10_000.0) * torch.arange(0, width, 2) / width)
    return torch.stack([(position * rate).sin(), (position * rate).cos()], dim=-1).flatten(1)
