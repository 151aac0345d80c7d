"""Networks: a stacked ensemble of critics, multilayer perceptrons, and the update helpers they share."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn


class EnsembleLinear(nn.Module):
    """``heads`` independent linear layers as one batched product. (heads, batch, in) → (heads, batch, out)."""

    def __init__(self, heads: int, inputs: int, outputs: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(heads, inputs, outputs))
        self.bias = nn.Parameter(torch.zeros(heads, 1, outputs))
        bound = 1.0 / math.sqrt(inputs)
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        if self.weight.shape[2] == 1:  # a width-1 batched product is slow: multiply and sum
            return (x * self.weight.transpose(1, 2)).sum(-1, keepdim=True) + self.bias
        return torch.baddbmm(self.bias, x, self.weight)


class EnsembleNorm(nn.Module):
    """LayerNorm over the last dimension with its own gain and bias in every head."""

    def __init__(self, heads: int, width: int):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(heads, 1, width))
        self.bias = nn.Parameter(torch.zeros(heads, 1, width))

    def forward(self, x: Tensor) -> Tensor:
        return torch.addcmul(self.bias, nn.functional.layer_norm(x, x.shape[-1:]), self.gain)


class CriticEnsemble(nn.Module):
    """``heads`` Q-functions of (feature, action) with LayerNorm (RLPD, arXiv 2302.02948, sec. 4.2)."""

    def __init__(self, inputs: int, outputs: int = 1, heads: int = 10, width: int = 256, depth: int = 2):
        super().__init__()
        self.heads = heads
        layers: list[nn.Module] = []
        for layer in range(depth):
            layers += [EnsembleLinear(heads, inputs if layer == 0 else width, width), EnsembleNorm(heads, width)]
            layers += [nn.ReLU()]
        self.layers = nn.Sequential(*layers, EnsembleLinear(heads, width, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, inputs) → (heads, batch) for one output, else (heads, batch, outputs)."""
        q = in_full(self.layers[-1], self.hidden(x))
        return q.squeeze(-1) if q.shape[-1] == 1 else q

    def hidden(self, x: Tensor) -> Tensor:
        """(batch, inputs) → features of the last hidden layer, (heads, batch, width)."""
        x = x.expand(self.heads, *x.shape)
        for layer in list(self.layers)[:-1]:
            x = layer(x)
        return x

    def subset(self, x: Tensor, heads: Tensor) -> Tensor:
        """The values of ``heads`` (n,) alone: the other heads are not computed."""
        x = x.expand(len(heads), *x.shape)
        *hidden, last = self.layers
        for layer in hidden:
            if isinstance(layer, EnsembleLinear):
                x = torch.baddbmm(layer.bias[heads], x, layer.weight[heads])
            elif isinstance(layer, EnsembleNorm):
                x = torch.addcmul(layer.bias[heads], nn.functional.layer_norm(x, x.shape[-1:]), layer.gain[heads])
            else:
                x = layer(x)
        q = in_full(lambda x: torch.baddbmm(last.bias[heads], x, last.weight[heads]), x)  # type: ignore[index]
        return q.squeeze(-1) if q.shape[-1] == 1 else q


def in_full(layer: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """``layer`` in float32, whatever the precision around it: bfloat16 cannot tell values apart by less than 0.4 %."""
    with full_precision(x.device):
        return layer(x.float())


def full_precision(device: torch.device) -> AbstractContextManager[Any]:
    """No autocast inside; where there is none around, nothing: entering one costs as much as a small product."""
    on = torch.is_autocast_enabled(device.type)
    return torch.autocast(device.type, enabled=False) if on else nullcontext()


def mlp(inputs: int, width: int, depth: int, outputs: int | None = None, norm: bool = True) -> nn.Sequential:
    """A ReLU perceptron, LayerNorm before each activation; without ``outputs`` it ends in features (width)."""
    layers: list[nn.Module] = []
    for layer in range(depth):
        layers.append(nn.Linear(inputs if layer == 0 else width, width))
        layers += [nn.LayerNorm(width)] if norm else []
        layers.append(nn.ReLU())
    if outputs is not None:
        layers.append(nn.Linear(width, outputs))
    return nn.Sequential(*layers)


@torch.no_grad()
def soft_update(target: list[Tensor], source: list[Tensor], tau: float) -> None:
    """target ← (1 − τ) target + τ source, one fused call for all tensors."""
    torch._foreach_lerp_(target, source, tau)


def effective_rank(features: Tensor, lost: float = 0.01) -> Tensor:
    """(..., n, width) → how many directions hold all but ``lost`` of the singular values' sum (arXiv 2010.14498)."""
    share = torch.linalg.svdvals(features).cumsum(-1)
    return (share < (1.0 - lost) * share[..., -1:]).sum(-1).float() + 1.0
