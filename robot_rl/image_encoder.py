"""A small convolutional encoder of camera images, learned from scratch, and the shift that augments them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

SHIFT_PX = 4
"""Pad of the random shift (DrQ, arXiv 2004.13649, sec. 4.1)."""


class ConvEncoder(nn.Module):
    """uint8 images (n, H, W, 3) → features (n, width) in (-1, 1).

    Stride-2 convolutions down to 4 × 4 pixels (side 128 takes five, 64 four), then linear, LayerNorm, tanh as in DrQ.
    """

    def __init__(self, side: int, width: int = 64, channels: int = 32):
        super().__init__()
        if side < 8 or side & (side - 1):
            raise ValueError(f"images of side {side} px cannot be encoded: give a power of two from 8, as 64 or 128")
        layers: list[nn.Module] = []
        inputs, outputs = 3, channels
        while side > 4:
            layers += [nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), nn.ReLU()]
            inputs, outputs, side = outputs, min(2 * outputs, 128), side // 2
        self.convolutions = nn.Sequential(*layers)
        self.channels = inputs
        self.head = nn.Sequential(nn.Linear(16 * inputs, width), nn.LayerNorm(width), nn.Tanh())

    def maps(self, image: Tensor) -> Tensor:
        """Feature maps (n, channels, 4, 4)."""
        x = image.permute(0, 3, 1, 2).to(torch.float32).div_(127.5).sub_(1.0)
        return self.convolutions(x.contiguous(memory_format=torch.channels_last))

    def forward(self, image: Tensor) -> Tensor:
        return self.head(self.maps(image).flatten(1))


def random_shift(image: Tensor, generator: torch.Generator, pad: int = SHIFT_PX) -> Tensor:
    """Each image of uint8 (n, H, W, C) moved by up to ``pad`` px, its edges repeated: one gather, no float copy."""
    n, height, width, _ = image.shape
    dy, dx = torch.randint(-pad, pad + 1, (2, n, 1), generator=generator, device=image.device)
    rows = (torch.arange(height, device=image.device) + dy).clamp(0, height - 1)
    columns = (torch.arange(width, device=image.device) + dx).clamp(0, width - 1)
    which = torch.arange(n, device=image.device)[:, None, None]
    return image[which, rows[:, :, None], columns[:, None, :]]


class CameraEncoders(nn.Module):
    """One :class:`ConvEncoder` a camera. ``cameras`` maps names to the side of their square images, px."""

    def __init__(self, cameras: Mapping[str, int], width: int = 64):
        super().__init__()
        self.each = nn.ModuleDict({name: ConvEncoder(side, width) for name, side in cameras.items()})
        self.size = width * len(cameras)

    def forward(self, observation: Mapping[str, Tensor]) -> Tensor:
        """Features (n, size), cameras in the order they were named; (n, 0) without any."""
        if not self.each:
            state = observation["state"]
            return state.new_zeros(len(state), 0)
        return torch.cat([encoder(observation[name]) for name, encoder in self.each.items()], dim=-1)
