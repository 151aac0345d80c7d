"""Actor heads: the exchangeable ways of turning features into the arm's part of an action. One file each."""

from __future__ import annotations

from robot_rl.actor_heads.gaussian import GaussianHead
from robot_rl.actor_heads.head import ActorHead, Context, Metrics
from robot_rl.actor_heads.latent_noise import LatentNoiseHead
from robot_rl.actor_heads.residual import ResidualHead
from robot_rl.config import LearnerConfig

__all__ = ["ActorHead", "Context", "GaussianHead", "LatentNoiseHead", "Metrics", "ResidualHead", "make_head"]


def make_head(
    config: LearnerConfig, inputs: int, action_dim: int, arm_dim: int, noise_dim: int | None = None
) -> ActorHead:
    """The head that ``config.actor`` names. Raises ValueError where a noise is to be steered and the base has none."""
    size = (config.width, config.depth)
    if config.actor == "gaussian":
        return GaussianHead(inputs, arm_dim, *size, config.initial_temperature, config.target_entropy)
    if config.actor == "residual":
        return ResidualHead(inputs, action_dim, arm_dim, *size, config.residual)
    if noise_dim is None:
        raise ValueError(
            "actor 'latent_noise' steers the noise of a base, and this base takes none: give a flow base "
            "(--cloning.arch flow)"
        )
    temperature = (config.initial_temperature, config.target_entropy)
    return LatentNoiseHead(inputs, noise_dim, arm_dim, *size, config.latent_noise, *temperature)
