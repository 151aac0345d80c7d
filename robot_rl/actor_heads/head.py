"""The contract of actor heads: ``act``, ``target``, ``loss``, ``encode``.

A head turns features into the arm's part of an action. Whatever it parametrises (an action, a residual over a base, the
noise of a flow), the critic scores the action that is executed, so that heads can be exchanged under one critic and one
replay, and temporal differences never need to convert anything.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

Metrics = dict[str, Tensor]
Value = Callable[[Tensor], Tensor]
"""Arm actions (n, arm_dim) → what the critics think of them (n,), differentiable in the actions alone."""


@dataclass(frozen=True)
class Context:
    """What a head sees of ``n`` observations."""

    features: Tensor
    """(n, inputs)."""
    base_action: Tensor
    """What the base policy would do there, (n, action_dim); zeros without a base."""
    decode: Callable[[Tensor], Tensor] | None = None
    """Noise (n, noise_dim) → the action (n, action_dim) that a steerable base makes of it there."""


class ActorHead(nn.Module, ABC):
    """An actor of one kind. ``n`` contexts give actions (n, arm_dim) in [-1, 1]. Chance comes from outside, as noise of
    :meth:`draw`: all else is a function of what it is given, which can be compiled."""

    targets_from_average = False
    """Whether TD targets use the running average of the head (TD3's target actor) instead of the newest weights."""
    noise_dim: int
    """Entries of the noise of one action."""
    loss_draws = 1
    """How many noises :meth:`loss` takes."""

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Standard normal noise for ``n`` actions, (n, noise_dim)."""
        return torch.randn((n, self.noise_dim), generator=generator, device=generator.device)

    @abstractmethod
    def act(self, context: Context, noise: Tensor | None) -> Tensor:
        """Actions to execute: exploring with ``noise``, deterministic without."""

    @abstractmethod
    def target(self, context: Context, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Next actions for TD targets, and the entropy bonus of each (n,), which the backup may add."""

    @abstractmethod
    def loss(self, context: Context, value: Value, noises: Sequence[Tensor]) -> tuple[Tensor, Metrics]:
        """What the optimiser of this head's parameters minimises."""

    @abstractmethod
    def mean(self, context: Context) -> Tensor:
        """The head's parameters at their centre: what :meth:`encode` gives targets for."""

    @abstractmethod
    def encode(self, executed: Tensor, context: Context) -> tuple[Tensor, Tensor]:
        """Executed arm actions (n, arm_dim) → the parameters that would have produced them, shaped as :meth:`mean`, and
        where that is so: a bool mask of the same shape. Elsewhere the target is the nearest the head can do."""

    def imitation(
        self, context: Context, executed: Tensor, rows: Tensor, saturated_weight: float
    ) -> tuple[Tensor, Metrics]:
        """Squared distance of the head from ``executed``, summed over dimensions; the mean over ``rows`` (bool (n,)).

        Dimensions that the head cannot reach are clipped and count ``saturated_weight``; their share is logged. Many of
        them mean that a residual's scale is too small for what the person does.
        """
        wanted, valid = self.encode(executed, context)
        weight = torch.where(valid, 1.0, saturated_weight)
        error = (weight * (self.mean(context) - wanted) ** 2).sum(-1)
        count = rows.sum().clamp(min=1)
        saturated = ((~valid).float().mean(-1) * rows).sum() / count
        return (error * rows).sum() / count, {"saturated": saturated}
