"""Presets: names that select parts and numbers, and never fork the code.

``<name>_paper`` reproduces published values, ``<name>`` is the same parts with values tuned on the twin
(docs/decisions.md). Sources: RLPD (arXiv 2302.02948), HIL-SERL (2410.21845), RLIF (2311.12996), ResFiT (2509.19301),
Res-HIL (2609.30023), DSRL (2506.15799).
"""

from __future__ import annotations

from dataclasses import replace

from robot_rl.config import LatentNoiseConfig, LearnerConfig, ResidualConfig, TrainConfig, nearest
from robot_rl.reward import RewardWeights

PAPER = LearnerConfig(width=256, batch_size=256, learning_rate=3e-4, averaging=1.0)
"""What the papers share."""

RLPD_PAPER = replace(PAPER, gamma=0.99, n_step=1, critics=10, utd_ratio=20, initial_temperature=1.0)
HIL_SERL_PAPER = replace(PAPER, gamma=0.97, n_step=1, critics=2, utd_ratio=2, initial_temperature=0.01)
RLIF_PAPER = replace(
    RLPD_PAPER,
    utd_ratio=5,
    reward=RewardWeights(environment=0.0, takeover_penalty=1.0),
    failure_ends=False,
    prior_fraction=0.0,
    demos_online=True,
)
RESIDUAL_PAPER = replace(
    PAPER,
    actor="residual",
    residual=ResidualConfig(scale=0.1, noise=0.05, noise_clip=0.3),
    gamma=0.99,
    critics=10,
    utd_ratio=4,
    learning_rate=1e-4,
    actor_learning_rate=1e-6,
    averaging=0.005,
)
RES_HIL_PAPER = replace(
    RESIDUAL_PAPER,
    gamma=0.97,
    learning_rate=3e-4,
    actor_learning_rate=3e-5,
    reward=RewardWeights(takeover_penalty=0.05),
    imitation_weight=1.0,
)
LATENT_NOISE_PAPER = replace(
    PAPER,
    actor="latent_noise",
    latent_noise=LatentNoiseConfig(bound=1.5, critics=10),
    gamma=0.99,
    n_step=1,
    critics=10,
    utd_ratio=20,
    initial_temperature=1.0,
    target_entropy=0.0,
)

RESIDUAL = LearnerConfig(actor="residual")
RES_HIL = replace(RESIDUAL, reward=RewardWeights(takeover_penalty=0.05), imitation_weight=0.1)
RLIF = LearnerConfig(
    reward=RewardWeights(environment=0.0, takeover_penalty=1.0),
    failure_ends=False,
    prior_fraction=0.0,
    demos_online=True,
)


def _by_base(learner: LearnerConfig, person: bool, steps: int, updates: int, noise: float = 0.0) -> TrainConfig:
    """Collect with the base, then critic only, then both."""
    return TrainConfig(
        warmup_steps=steps, warmup_noise=noise, critic_only_updates=updates, person=person, learner=learner
    )


def _from_random(learner: LearnerConfig, person: bool, steps: int) -> TrainConfig:
    return TrainConfig(warmup="random", warmup_steps=steps, critic_only_updates=0, person=person, learner=learner)


PRESETS: dict[str, TrainConfig] = {
    "bc": TrainConfig(method="cloning", env_steps=0, person=False),
    "hg_dagger": TrainConfig(method="cloning"),
    "rlpd": TrainConfig(person=False),
    "hil_serl": TrainConfig(),
    "rlif": TrainConfig(learner=RLIF),
    "residual": _by_base(RESIDUAL, person=False, steps=500, updates=1_500),
    "res_hil": _by_base(RES_HIL, person=True, steps=500, updates=1_500),
    "latent_noise": _by_base(LearnerConfig(actor="latent_noise"), person=False, steps=500, updates=1_500),
    "rlpd_paper": _from_random(RLPD_PAPER, person=False, steps=5_000),
    "hil_serl_paper": _from_random(HIL_SERL_PAPER, person=True, steps=100),
    "rlif_paper": _from_random(RLIF_PAPER, person=True, steps=5_000),
    "residual_paper": _by_base(RESIDUAL_PAPER, person=False, steps=10_000, updates=10_000, noise=0.2),
    "res_hil_paper": _by_base(RES_HIL_PAPER, person=True, steps=5_000, updates=5_000),
    "latent_noise_paper": _by_base(LATENT_NOISE_PAPER, person=False, steps=500, updates=0),
}
"""Names and what they select."""


def preset(name: str) -> TrainConfig:
    """Raises ValueError naming the nearest preset."""
    if name not in PRESETS:
        raise ValueError(f"no preset '{name}'; {nearest(name, PRESETS)} (there are {', '.join(PRESETS)})")
    return PRESETS[name]
