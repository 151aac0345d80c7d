"""Configuration: frozen dataclasses; :mod:`robot_rl.presets` fills them."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from robot_rl.cloning_config import CloningConfig
from robot_rl.reward import RewardWeights

PATCHES = 16
"""Along each side of an image, whatever its size: what an encoder costs hardly depends on the size."""


@dataclass(frozen=True)
class ResidualConfig:
    """The bounded residual over a base policy (ResFiT, arXiv 2509.19301)."""

    scale: float = 0.3
    """Largest correction of an action by the residual, of 1."""
    noise: float = 0.1
    """Standard deviation of exploration and of target smoothing, in units of actions."""
    noise_clip: float = 0.3
    """Bound of the smoothing noise (TD3)."""
    penalty: float = 0.0
    """Weight of the residual's square in the actor loss."""


@dataclass(frozen=True)
class LatentNoiseConfig:
    """Steering a flow base by its noise (DSRL, arXiv 2506.15799)."""

    bound: float = 1.5
    """Largest noise an axis, in standard deviations of what the base was trained with."""
    critics: int = 2
    """Heads of the critic of the noise."""


@dataclass(frozen=True)
class VisionConfig:
    """What the learner sees beside the state."""

    cameras: dict[str, int] = field(default_factory=dict)
    """Cameras, each with the side of its square images, px; `--cameras` fills it."""
    encoder: Literal["conv", "vit_small", "resnet18"] = "conv"
    """``conv`` and ``vit_small`` are learned from scratch. ``resnet18`` is frozen, its feature maps read through
    spatial learned embeddings (SERL, arXiv 2401.16013)."""
    weights: str | None = None
    """Weights of ``resnet18``: a .safetensors file as timm writes it; None fetches timm's from the hub
    (extra ``robot-rl[vision]``)."""
    width: int = 64
    """Features of each camera."""
    embeddings: int = 8
    """Spatial embeddings of each feature map of a frozen encoder."""
    shift_px: int = 4
    """Images in a batch are moved at random by up to this (DrQ, arXiv 2004.13649); 0 for not at all."""


@dataclass(frozen=True)
class LearnerConfig:
    """The off-policy learner."""

    actor: Literal["gaussian", "residual", "latent_noise"] = "gaussian"
    """A full policy, a bounded residual over the base, or the noise that steers a flow base."""
    residual: ResidualConfig = field(default_factory=ResidualConfig)
    """Settings of the residual."""
    latent_noise: LatentNoiseConfig = field(default_factory=LatentNoiseConfig)
    """Settings of the latent noise."""
    gamma: float = 0.98
    """Discount a step."""
    noise_memory: float = 0.0
    """Share of a step's exploration noise that the next one keeps, 0 to below 1; its size stays the same. Noise that
    forgets trembles where the hand is, noise that remembers goes and looks (arXiv 1509.02971)."""
    n_step: int = 3
    """Steps of reward before the bootstrap."""
    cut_at_takeover: bool = False
    """Bootstrap with 0 instead of Q where control passes to the person."""
    critics: int = 5
    """Heads of the critic ensemble."""
    target_subset: int = 2
    """Heads whose minimum is the target (REDQ, arXiv 2101.05982)."""
    width: int = 128
    """Units of each hidden layer."""
    depth: int = 2
    """Hidden layers."""
    batch_size: int = 128
    """Transitions of one critic update."""
    utd_ratio: int = 8
    """Critic updates an environment step."""
    failure_ends: bool = True
    """Whether termination without success is worth 0 from there on. False treats it as a truncation: where all rewards
    are penalties, failing early would otherwise be the best that can happen."""
    learning_rate: float = 5e-4
    """Adam's, for the critics, and for actor and temperature unless ``actor_learning_rate`` says otherwise."""
    actor_learning_rate: float | None = None
    """Adam's for actor and temperature; None for the critics'."""
    tau: float = 0.005
    """Share of the online critic in a target update."""
    averaging: float = 0.005
    """Share of the actor in each update of its running average, which acts where determinism is asked; 1 for none."""
    initial_temperature: float = 0.002
    """Entropy weight at the start: with sparse reward advantages are hundredths, so it must be thousandths."""
    target_entropy: float | None = None
    """Entropy the temperature steers to; None is minus half the action dimensions."""
    entropy_in_backup: bool = False
    """Entropy bonus inside the TD target."""
    value_bounds: tuple[float, float] | None = None
    """Bounds of any return, to which TD targets are clipped: (0, 1) where success pays 1 and ends the episode."""
    gripper_change_penalty: float = -0.02
    """Reward of a gripper change, in the gripper's critic alone."""
    gripper_base_bonus: float = 0.2
    """By how much another choice must be worth more than the base policy's, where the gripper follows a base: more than
    a critic errs by (success pays 1), since a grip that is let go is mostly lost for good."""
    gripper_margin: float = 0.0
    """By how much what the person did with the gripper must be worth more than anything else, on intervened and
    demonstrated steps, in the gripper's critic (DQfD, arXiv 1704.03732); 0 for not at all."""
    imitation_weight: float = 0.0
    """Weight of the person's actions in the actor loss, on intervened and demonstrated steps."""
    saturated_weight: float = 0.25
    """Weight of those dimensions of the person's action that a residual cannot reach, in the same term."""
    prior_fraction: float = 0.5
    """Share of each batch from demonstrations and interventions."""
    own_successes: bool = False
    """Episodes that succeeded with nobody's help have a part of that share, step for step, and are imitated as what a
    person shows is. What a success classifier wrongly calls one is an example then, too."""
    demos_online: bool = False
    """Demonstrations go into the online buffer, as if they had just been collected (RLIF), and not into the prior."""
    replay_capacity: int = 200_000
    """Steps kept, in each of the online and the prior buffer."""
    vision: VisionConfig = field(default_factory=VisionConfig)
    """Cameras and their encoder."""
    reward: RewardWeights = field(default_factory=RewardWeights)
    """Reward sources and their weights."""


@dataclass(frozen=True)
class ComputeConfig:
    """Where and how the off-policy learner's updates are computed. A run may go on with another choice."""

    device: str = "auto"
    """``cpu``, ``cuda``, ``cuda:1``; ``auto`` takes the GPU where there is one."""
    graphs: bool = True
    """On a GPU, replay each update as one CUDA graph."""
    bfloat16: bool = False
    """Matrix products and convolutions in bfloat16; weights, losses and the last layer of each critic stay float32."""
    compile: bool = False
    """``torch.compile`` the losses: once a minute or two (kept for later runs), then fewer and larger kernels. Needs a
    C++ compiler."""


@dataclass(frozen=True)
class TrainConfig:
    """One training run: who acts, for how long, and what learns from it."""

    method: Literal["rl", "cloning"] = "rl"
    """``rl``: the off-policy learner. ``cloning``: BC, and with a person HG-DAgger."""
    env_steps: int = 10_000
    """Environment steps of the run."""
    until_in_a_row: int = 0
    """The run ends earlier once the policy by itself has succeeded in so many episodes in a row; 0: never."""
    warmup: Literal["random", "base", "dagger"] = "base"
    """Who acts in the first steps: uniform random actions, the cloned base, or that base, fitted again every
    ``dagger_every`` steps to what the person corrected (HG-DAgger) and frozen when the warm-up ends."""
    warmup_steps: int = 500
    """Environment steps before updates begin."""
    warmup_noise: float = 0.0
    """Uniform noise of ± this on the base's arm actions in the first steps."""
    critic_only_updates: int = 500
    """Critic updates before the first actor update."""
    pretrain_actor: bool = False
    """Clone the demonstrations into the actor before reinforcement learning."""
    person: bool = True
    """Whether a person watches and intervenes."""
    watched_steps: int | None = None
    """Environment steps after which no more corrections are asked for: from the next episode on a scripted person is
    not there, and one at a robot is told so; what they do is obeyed as before. None: they are asked for to the end."""
    dagger_every: int = 1_000
    """``cloning`` with a person, and warm-up ``dagger``: environment steps between trainings on all that the person has
    shown."""
    learner: LearnerConfig = field(default_factory=LearnerConfig)
    """The off-policy learner's settings."""
    cloning: CloningConfig = field(default_factory=CloningConfig)
    """Behaviour cloning's settings."""
    compute: ComputeConfig = field(default_factory=ComputeConfig)
    """Where and how updates are computed."""
    checkpoint_every: int = 2_000
    """Environment steps between checkpoints."""
    checkpoints_kept: int = 2
    """Newest checkpoints kept."""


def seeing(config: TrainConfig, cameras: Mapping[str, int]) -> TrainConfig:
    """``config`` with learner and clones that look at ``cameras`` (name → side, px), and otherwise as it is."""
    learner, cloning = config.learner, config.cloning
    vision = dataclasses.replace(learner.vision, cameras=dict(cameras))
    return dataclasses.replace(
        config,
        learner=dataclasses.replace(learner, vision=vision),
        cloning=dataclasses.replace(cloning, cameras=dict(cameras)),
    )


def to_dict(config: Any) -> dict[str, Any]:
    return dataclasses.asdict(config)


def from_dict(kind: type[Any], values: dict[str, Any], where: str = "config") -> Any:
    """Build a config dataclass from nested mappings; an unknown key raises ValueError naming the nearest valid one."""
    fields = {f.name: f for f in dataclasses.fields(kind)}
    for key in values:
        if key not in fields:
            raise ValueError(f"{where}: unknown key '{key}'; {nearest(key, fields)}")
    defaults = kind()
    built = {}
    for key, value in values.items():
        current = getattr(defaults, key)
        nested = dataclasses.is_dataclass(current)
        built[key] = from_dict(type(current), value, f"{where}.{key}") if nested else value
    return kind(**built)


def nearest(name: str, allowed: Any) -> str:
    close = difflib.get_close_matches(name, list(allowed), 1, cutoff=0.0)
    return f"did you mean '{close[0]}'?" if close else "none is allowed"
