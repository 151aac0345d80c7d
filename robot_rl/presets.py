"""Presets: names that select parts and numbers, and never fork the code.

``<name>_paper`` reproduces published values, ``<name>`` is the same parts with values tuned on the twin
(docs/decisions.md). Sources: RLPD (arXiv 2302.02948), HIL-SERL (2410.21845), RLIF (2311.12996), ResFiT (2509.19301),
Res-HIL (2609.30023), DSRL (2506.15799).
"""

from __future__ import annotations

from dataclasses import replace

from robot_rl.cloning_config import CloningConfig
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

FLOW = CloningConfig(arch="flow")
"""A base whose noise can be steered."""
RESIDUAL = LearnerConfig(actor="residual", residual=ResidualConfig(scale=0.6))
RES_HIL = replace(RESIDUAL, reward=RewardWeights(takeover_penalty=0.05), imitation_weight=0.1)
RLIF = LearnerConfig(
    reward=RewardWeights(environment=0.0, takeover_penalty=1.0),
    failure_ends=False,
    prior_fraction=0.0,
    demos_online=True,
)


OVER_BASE = TrainConfig(critic_only_updates=1_500)
"""Collect with the base, then critic only, then both."""
FROM_RANDOM = TrainConfig(warmup="random", critic_only_updates=0)

PRESETS: dict[str, TrainConfig] = {
    "bc": TrainConfig(method="cloning", env_steps=0, person=False),
    "hg_dagger": TrainConfig(method="cloning"),
    "rlpd": TrainConfig(person=False),
    "hil_serl": TrainConfig(),
    "rlif": TrainConfig(learner=RLIF),
    "residual": replace(OVER_BASE, person=False, learner=RESIDUAL),
    "res_hil": replace(OVER_BASE, learner=RES_HIL),
    "latent_noise": replace(OVER_BASE, person=False, learner=LearnerConfig(actor="latent_noise"), cloning=FLOW),
    "rlpd_paper": replace(FROM_RANDOM, person=False, warmup_steps=5_000, learner=RLPD_PAPER),
    "hil_serl_paper": replace(FROM_RANDOM, warmup_steps=100, learner=HIL_SERL_PAPER),
    "rlif_paper": replace(FROM_RANDOM, warmup_steps=5_000, learner=RLIF_PAPER),
    "residual_paper": TrainConfig(
        env_steps=75_000,
        warmup_steps=10_000,
        warmup_noise=0.2,
        critic_only_updates=10_000,
        person=False,
        learner=RESIDUAL_PAPER,
    ),
    "res_hil_paper": TrainConfig(
        env_steps=20_000, warmup_steps=5_000, critic_only_updates=5_000, learner=RES_HIL_PAPER
    ),
    "latent_noise_paper": TrainConfig(critic_only_updates=0, person=False, learner=LATENT_NOISE_PAPER, cloning=FLOW),
}
"""Names and what they select."""


def preset(name: str) -> TrainConfig:
    """Raises ValueError naming the nearest preset."""
    if name not in PRESETS:
        raise ValueError(f"no preset '{name}'; {nearest(name, PRESETS)} (there are {', '.join(PRESETS)})")
    return PRESETS[name]
