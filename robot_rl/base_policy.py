"""Base policies: what a residual corrects, what a latent-noise policy steers, and who collects the first steps.

To reinforcement learning a base is a black box that is never trained. Its action is stored with every step when that is
taken, also while a person drives, and never computed again: a chunked or stochastic base would answer differently.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from hardware.interfaces import Source
from robot_rl.types import Episode, Observation

if TYPE_CHECKING:
    from torch import Tensor, nn


class BasePolicy(Protocol):
    """A frozen policy with memory (a chunk under way, a history) that :meth:`reset` and :meth:`flush` drop."""

    @property
    def version(self) -> str:
        """Names the weights (:func:`weights_version`): base actions stored under another version are not used."""
        ...

    def reset(self) -> None:
        """An episode begins: forget everything. Called before the first observation is used."""
        ...

    def flush(self) -> None:
        """A person drove the last step: drop the chunk under way, plan anew from the next observation."""
        ...

    def act(self, observation: Observation, deterministic: bool = True) -> np.ndarray:
        """One observation → float32 (action_dim,) in [-1, 1], the canonical normalised action. The gripper's entry,
        where there is one, is the target it leaves: -1 closed, +1 open, 0 for as it is.

        Learning asks deterministically; otherwise draws come from the policy's own seeded generator.
        """
        ...


class SteerableBase(BasePolicy, Protocol):
    """A flow or diffusion base whose noise is an input (DSRL, arXiv 2506.15799)."""

    noise_dim: int
    """Length of the noise, flattened; standard normal is what it was trained with, zeros what ``act`` uses when
    deterministic."""

    def decode(self, observation: Mapping[str, Tensor], noise: Tensor) -> Tensor:
        """Observations (n, ...), noise (n, noise_dim) → the first action of each chunk (n, action_dim) in
        [-1, 1]. Without memory."""
        ...


class ZeroBase:
    """Proposes to stay: a residual over it is a full policy of small actions."""

    name = version = "zero"

    def __init__(self, action_dim: int):
        self._action = np.zeros(action_dim, np.float32)

    def reset(self) -> None: ...
    def flush(self) -> None: ...

    def act(self, observation: Observation, deterministic: bool = True) -> np.ndarray:
        return self._action.copy()


def weights_version(module: nn.Module) -> str:
    """The first 16 hex digits of SHA-256 over names, shapes and values of all parameters and buffers."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def relabelled(episode: Episode, base: BasePolicy) -> Episode:
    """``episode`` with what ``base`` would have done at each of its observations; as it is where that is stored.

    The base is asked anew at every step that a person drove, as it is when steps are collected.
    """
    if episode.header.base_version == base.version:
        return episode
    base.reset()
    steps = []
    for step in episode.steps:
        steps.append(replace(step, base_action=np.asarray(base.act(step.observation), np.float32)))
        if step.source in (Source.HUMAN, Source.DEMO):
            base.flush()
    final = np.asarray(base.act(episode.final_observation), np.float32)
    return Episode(replace(episode.header, base_version=base.version), steps, episode.final_observation, final)
