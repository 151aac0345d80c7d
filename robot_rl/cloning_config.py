"""Settings of behaviour cloning: the base policies, the baseline, and the learner of ``hg_dagger``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

import tyro

Arch = Literal["mlp", "ensemble", "act", "flow"]


@dataclass(frozen=True)
class EnsembleConfig:
    """The mean of several perceptrons."""

    members: int = 5
    """Perceptrons."""
    width: int = 128
    """Units of each hidden layer."""
    depth: int = 3
    """Hidden layers."""


@dataclass(frozen=True)
class ChunkConfig:
    """Chunks of actions (``act`` and ``flow``): how far they reach, and how they are played."""

    horizon: int = 8
    """Steps that one prediction covers."""
    execute: int = 4
    """Steps of it that are played before the next prediction; fewer react sooner, more hold a plan longer."""
    ensemble_decay: float | None = None
    """Temporal ensembling (arXiv 2304.13705, sec. IV-A): predict at every step and average what all predictions say of
    it, weighted exp(-decay × rank), the oldest ranking 0; 0.01 in the paper. None plays chunks one after another."""
    gripper_weight: float = 0.1
    """Weight of the gripper's cross-entropy beside the arm's loss."""


@dataclass(frozen=True)
class ActConfig:
    """The action chunking transformer, small: the paper has width 512, 8 heads, 4 and 7 layers, for four cameras."""

    width: int = 64
    """Size of a token."""
    heads: int = 4
    """Attention heads."""
    encoder_layers: int = 2
    """Transformer layers over the observation, and over the shown chunk in the CVAE's encoder."""
    decoder_layers: int = 2
    """Transformer layers over the chunk's steps."""
    latent: int = 16
    """Size of the style variable z; it is 0 when acting."""
    kl_weight: float = 10.0
    """β of the CVAE's Kullback-Leibler term."""


@dataclass(frozen=True)
class FlowConfig:
    """Flow matching over chunks, and its one-step student."""

    width: int = 256
    """Units of each layer."""
    depth: int = 3
    """Residual blocks."""
    integration_steps: int = 8
    """Euler steps of the many-step flow; the student's consistency steps too."""
    one_step: bool = True
    """Act by the distilled student: one network pass. False integrates the flow."""
    distill_steps: int = 3_000
    """Gradient steps of the distillation; 0 for none."""


@dataclass(frozen=True)
class CloningConfig:
    """Behaviour cloning: the base, the baseline, and the learner of ``hg_dagger``."""

    arch: Annotated[Arch, tyro.conf.arg(aliases=("--arch",))] = "mlp"
    """``mlp``: one action by regression. ``ensemble``: the mean of several such. ``act``: chunks by a transformer.
    ``flow``: chunks by flow matching."""
    cameras: dict[str, int] = field(default_factory=dict)
    """Cameras that the policy looks at beside the state, each with the side of its square images, px."""
    width: int = 256
    """Units of each hidden layer of ``mlp``."""
    depth: int = 3
    """Hidden layers of ``mlp``."""
    batch_size: int = 256
    """Samples a gradient step."""
    learning_rate: float = 1e-3
    """Adam's, decayed to zero along a cosine."""
    steps: int = 3_000
    """Gradient steps of a training."""
    weight_decay: float = 1e-4
    """AdamW's."""
    noise: float = 0.1
    """Noise on observations, as a share of each entry's standard deviation over the demonstrations."""
    validation_fraction: float = 0.1
    """Share of episodes held out to choose the best weights."""
    feel: float = 0.0
    """Share of a full step with which ``mlp`` and ``ensemble`` feel around in a circle while the hand presses down with
    more than 1 N; 0 for not at all. A force sensor with an offset of that size has it circle in the air."""
    ensemble: EnsembleConfig = field(default_factory=EnsembleConfig)
    """The ensemble's sizes."""
    chunk: ChunkConfig = field(default_factory=ChunkConfig)
    """Chunks of ``act`` and ``flow``."""
    act: ActConfig = field(default_factory=ActConfig)
    """The transformer's sizes."""
    flow: FlowConfig = field(default_factory=FlowConfig)
    """The flow's sizes."""
