"""Configuration: frozen dataclasses, and the presets that select parts."""

from __future__ import annotations

import dataclasses
import difflib
from dataclasses import dataclass, field
from typing import Any, Literal

from robot_rl.reward import RewardWeights


@dataclass(frozen=True)
class LearnerConfig:
    """The off-policy learner."""

    gamma: float = 0.98
    """Discount a step."""
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
    learning_rate: float = 5e-4
    """Adam's, for critic, actor and temperature."""
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
    imitation_weight: float = 0.0
    """Weight of the person's actions in the actor loss, on intervened and demonstrated steps."""
    prior_fraction: float = 0.5
    """Share of each batch from demonstrations and interventions."""
    replay_capacity: int = 200_000
    """Steps kept, in each of the online and the prior buffer."""
    reward: RewardWeights = field(default_factory=RewardWeights)
    """Reward sources and their weights."""


@dataclass(frozen=True)
class CloningConfig:
    """Behaviour cloning: the base, the baseline, and the learner of ``hg_dagger``."""

    width: int = 256
    """Units of each hidden layer."""
    depth: int = 3
    """Hidden layers."""
    batch_size: int = 256
    """Samples a gradient step."""
    learning_rate: float = 1e-3
    """Adam's, decayed to zero along a cosine."""
    steps: int = 3_000
    """Gradient steps of a training from scratch."""
    weight_decay: float = 1e-4
    """AdamW's."""
    noise: float = 0.1
    """Noise on observations, as a share of each entry's standard deviation over the demonstrations."""
    validation_fraction: float = 0.1
    """Share of episodes held out to choose the best weights."""


@dataclass(frozen=True)
class TrainConfig:
    """One training run: who acts, for how long, and what learns from it."""

    method: Literal["rl", "cloning"] = "rl"
    """``rl``: the off-policy learner. ``cloning``: BC, and with a person HG-DAgger."""
    env_steps: int = 10_000
    """Environment steps of the run."""
    warmup: Literal["random", "base"] = "base"
    """Who acts in the first steps: uniform random actions, or the cloned base."""
    warmup_steps: int = 500
    """Environment steps before updates begin."""
    critic_only_updates: int = 500
    """Critic updates before the first actor update."""
    pretrain_actor: bool = False
    """Clone the demonstrations into the actor before reinforcement learning."""
    person: bool = True
    """Whether a person watches and intervenes."""
    dagger_every: int = 1_000
    """``cloning`` with a person: environment steps between trainings on all that the person has shown."""
    learner: LearnerConfig = field(default_factory=LearnerConfig)
    """The off-policy learner's settings."""
    cloning: CloningConfig = field(default_factory=CloningConfig)
    """Behaviour cloning's settings."""
    checkpoint_every: int = 2_000
    """Environment steps between checkpoints."""
    checkpoints_kept: int = 2
    """Newest checkpoints kept."""


PAPER_LEARNER = LearnerConfig(
    gamma=0.97,
    n_step=1,
    critics=2,
    width=256,
    batch_size=256,
    utd_ratio=2,
    learning_rate=3e-4,
    initial_temperature=0.01,
    averaging=1.0,
)

PRESETS: dict[str, TrainConfig] = {
    "bc": TrainConfig(method="cloning", env_steps=0, person=False),
    "hg_dagger": TrainConfig(method="cloning"),
    "rlpd": TrainConfig(person=False),
    "hil_serl": TrainConfig(),
    "hil_serl_paper": TrainConfig(warmup="random", warmup_steps=100, critic_only_updates=0, learner=PAPER_LEARNER),
    "rlpd_paper": TrainConfig(
        warmup="random",
        warmup_steps=5_000,
        critic_only_updates=0,
        person=False,
        learner=LearnerConfig(
            gamma=0.99,
            n_step=1,
            critics=10,
            width=256,
            batch_size=256,
            utd_ratio=20,
            learning_rate=3e-4,
            initial_temperature=1.0,
            averaging=1.0,
        ),
    ),
}
"""Names and what they select. ``<name>_paper`` are published values, ``<name>`` the same parts tuned on the twin."""


def preset(name: str) -> TrainConfig:
    """Raises ValueError naming the nearest preset."""
    if name not in PRESETS:
        raise ValueError(f"no preset '{name}'; {_nearest(name, PRESETS)} (there are {', '.join(PRESETS)})")
    return PRESETS[name]


def to_dict(config: Any) -> dict[str, Any]:
    return dataclasses.asdict(config)


def from_dict(kind: type[Any], values: dict[str, Any], where: str = "config") -> Any:
    """Build a config dataclass from nested mappings; an unknown key raises ValueError naming the nearest valid one."""
    fields = {f.name: f for f in dataclasses.fields(kind)}
    for key in values:
        if key not in fields:
            raise ValueError(f"{where}: unknown key '{key}'; {_nearest(key, fields)}")
    defaults = kind()
    built = {}
    for key, value in values.items():
        current = getattr(defaults, key)
        nested = dataclasses.is_dataclass(current)
        built[key] = from_dict(type(current), value, f"{where}.{key}") if nested else value
    return kind(**built)


def _nearest(name: str, allowed: Any) -> str:
    close = difflib.get_close_matches(name, list(allowed), 1, cutoff=0.0)
    return f"did you mean '{close[0]}'?" if close else "none is allowed"
