"""Supervised training: AdamW along a cosine, best weights by a validation loss."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

VALIDATE_EVERY = 100
"""Gradient steps between validations."""


class Schedule(Protocol):
    """The settings of a training."""

    @property
    def learning_rate(self) -> float: ...
    @property
    def weight_decay(self) -> float: ...
    @property
    def batch_size(self) -> int: ...


def fit(
    module: nn.Module,
    loss: Callable[[Tensor], Tensor],
    validation: Callable[[], Tensor],
    samples: int,
    config: Schedule,
    steps: int,
    rng: np.random.Generator,
    parameters: Sequence[nn.Parameter] | None = None,
) -> dict[str, float]:
    """Train ``parameters`` (all of ``module``'s by default) for ``steps`` gradient steps, keep the weights of
    the lowest validation loss, and return the losses.

    ``loss(rows)`` is that of the samples ``rows`` (int64, (batch,)), drawn by ``rng`` uniformly from ``samples``.
    """
    chosen = list(module.parameters()) if parameters is None else list(parameters)
    optimizer = torch.optim.AdamW(chosen, config.learning_rate, weight_decay=config.weight_decay, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    best, best_weights, train_loss = math.inf, copy.deepcopy(module.state_dict()), 0.0
    try:
        for step in range(1, steps + 1):
            rows = torch.from_numpy(rng.integers(0, samples, config.batch_size))
            error = loss(rows)
            optimizer.zero_grad(set_to_none=True)
            error.backward()
            optimizer.step()
            schedule.step()
            if step % VALIDATE_EVERY == 0 or step == steps:
                train_loss = float(error.detach())
                with torch.no_grad():
                    held_out = float(validation())
                if held_out < best:
                    best, best_weights = held_out, copy.deepcopy(module.state_dict())
    finally:  # Ctrl-C leaves weights that were good for something
        module.load_state_dict(best_weights)
    return {"train_loss": train_loss, "validation_loss": best}
