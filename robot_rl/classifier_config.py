"""Configuration of the success classifier."""

from __future__ import annotations

from dataclasses import dataclass, field

from robot_rl.config import VisionConfig


@dataclass(frozen=True)
class ClassifierConfig:
    """The success classifier and its training."""

    vision: VisionConfig = field(default_factory=VisionConfig)
    """Cameras and their encoder."""
    width: int = 64
    """Units of the hidden layer over the features."""
    precision: float = 0.98
    """How likely a called success must be one, and the share of them that must be on held-out episodes: it decides the
    threshold."""
    undecided_s: float = 1.0
    """What is seen so shortly before a success counts neither way: it looks the same until it has lasted long enough,
    or until the operator has said so."""
    validation_fraction: float = 0.25
    """Share of episodes held out, for the best weights, the temperature and the threshold."""
    steps: int = 1_000
    """Gradient steps."""
    batch_size: int = 64
    """Frames a gradient step."""
    learning_rate: float = 1e-3
    """Adam's, decayed to zero along a cosine."""
    weight_decay: float = 1e-3
    """AdamW's."""
