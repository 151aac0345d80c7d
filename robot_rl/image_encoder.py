"""Small encoders of camera images that are learned from scratch, and the shift that augments the images."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from robot_rl.config import PATCHES

SHIFT_PX = 4
"""Pad of the random shift (DrQ, arXiv 2004.13649, sec. 4.1)."""


class ConvEncoder(nn.Module):
    """uint8 images (n, side, side, 3) → features (n, width) in (-1, 1).

    Patches (16 × 16 of them), two convolutions of stride 2 down to 4 × 4 places, then linear, LayerNorm and tanh as in
    DrQ. At 64 px 2.6 MFLOP an image, at 128 px 4.9: on a processor this is what decides how fast pixels are learned.
    """

    def __init__(self, side: int, width: int = 64, channels: int = 32):
        super().__init__()
        self.channels = 2 * channels
        self.convolutions = nn.Sequential(
            patches(side, channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, self.channels, 3, stride=2, padding=1),
            nn.ReLU(),
        )
        self.head = compress(16 * self.channels, width)

    def maps(self, image: Tensor) -> Tensor:
        """Feature maps (n, channels, 4, 4)."""
        return self.convolutions(unit_scale(image))

    def forward(self, image: Tensor) -> Tensor:
        return self.head(self.maps(image).flatten(1))


class VitEncoder(nn.Module):
    """uint8 images (n, side, side, 3) → features (n, width) in (-1, 1).

    A vision transformer of one layer, as small as IBRL's (arXiv 2311.02198, app. A), which ResFiT uses: 8 × 8 tokens of
    a convolutional stem, all of them compressed.
    """

    def __init__(self, side: int, width: int = 64, tokens: int = 64, heads: int = 4):
        super().__init__()
        self.stem = nn.Sequential(patches(side, tokens // 2), nn.ReLU(), nn.Conv2d(tokens // 2, tokens, 2, stride=2))
        count = (PATCHES // 2) ** 2
        self.places = nn.Parameter(0.02 * torch.randn(count, tokens))
        self.layer = nn.TransformerEncoderLayer(
            tokens, heads, 4 * tokens, dropout=0.0, batch_first=True, norm_first=True
        )
        self.head = compress(count * tokens, width)

    def forward(self, image: Tensor) -> Tensor:
        tokens = self.stem(unit_scale(image)).flatten(2).transpose(1, 2) + self.places
        return self.head(self.layer(tokens).flatten(1))


LEARNED: dict[str, Callable[[int, int], nn.Module]] = {"conv": ConvEncoder, "vit_small": VitEncoder}
"""Encoders that are learned from scratch: (side, width) → encoder."""


class CameraEncoders(nn.Module):
    """One encoder a camera. ``cameras`` maps names to the side of their square images, px."""

    def __init__(self, cameras: Mapping[str, int], width: int = 64, encoder: str = "conv"):
        super().__init__()
        self.each = nn.ModuleDict({name: LEARNED[encoder](side, width) for name, side in cameras.items()})
        self.size = width * len(cameras)

    def forward(self, observation: Mapping[str, Tensor]) -> Tensor:
        """Features (n, size), cameras in the order they were named; (n, 0) without any."""
        if not self.each:
            state = observation["state"]
            return state.new_zeros(len(state), 0)
        return torch.cat([encoder(observation[name]) for name, encoder in self.each.items()], dim=-1)


def patches(side: int, channels: int) -> nn.Conv2d:
    """Images of ``side`` px → (n, channels, 16, 16), one place a patch."""
    if side < PATCHES or side % PATCHES:
        raise ValueError(f"images of side {side} px cannot be encoded: give a multiple of {PATCHES}, as 64 or 128")
    return nn.Conv2d(3, channels, side // PATCHES, stride=side // PATCHES)


def compress(inputs: int, width: int) -> nn.Sequential:
    """Whatever an encoder found → features (n, width) in (-1, 1)."""
    return nn.Sequential(nn.Linear(inputs, width), nn.LayerNorm(width), nn.Tanh())


def unit_scale(image: Tensor) -> Tensor:
    """uint8 (n, H, W, 3) → float (n, 3, H, W) in [-1, 1], in memory as it was: channels last."""
    return image.permute(0, 3, 1, 2).to(torch.float32).div_(127.5).sub_(1.0)


def random_shift(image: Tensor, generator: torch.Generator, pad: int = SHIFT_PX) -> Tensor:
    """Each image of uint8 (n, H, W, C) moved by up to ``pad`` px, its edges repeated."""
    n, height, width, _ = image.shape
    dy, dx = torch.randint(-pad, pad + 1, (2, n, 1), generator=generator, device=image.device)
    if image.device.type == "cpu":  # whole rows are copied, ten times as fast as gathering pixels
        framed = np.pad(image.numpy(), ((0, 0), (pad, pad), (pad, pad), (0, 0)), "edge")
        moved = np.empty_like(image.numpy())
        for i, (y, x) in enumerate(zip((dy + pad).flatten().tolist(), (dx + pad).flatten().tolist(), strict=True)):
            moved[i] = framed[i, y : y + height, x : x + width]
        return torch.from_numpy(moved)
    rows = (torch.arange(height, device=image.device) + dy).clamp(0, height - 1)
    columns = (torch.arange(width, device=image.device) + dx).clamp(0, width - 1)
    which = torch.arange(n, device=image.device)[:, None, None]
    return image[which, rows[:, :, None], columns[:, None, :]]
