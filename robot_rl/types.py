"""The records that flow from environment to replay, file and learner."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from hardware.interfaces import RobotObservation, Source

Observation = Mapping[str, np.ndarray]
"""``"state"``: float32 (n,), about unit scale; one uint8 HWC entry a camera."""

REWARD_INPUTS = ("potential", "next_potential", "key", "classifier")
"""Raw facts of a step that rewards may count: how far the task was (about 0 to 1) before and after it, the operator's
verdict on it (1 success, -1 failure), the success classifier's (1 or 0)."""


ARM, RESTING = 6, 1e-6
"""Entries of an action that move the arm, and what is no motion."""


def moves(action: np.ndarray) -> np.ndarray:
    """Which of ``action`` (..., action_dim) move the arm. Control passes back from a person only once the hand has
    rested for a while (``release_s``): those steps are theirs, and no way to act where they let go."""
    return np.asarray(np.abs(action[..., :ARM]).max(axis=-1) > RESTING)


class StepId(NamedTuple):
    """Identity of a step: delivered at least once, inserted exactly once."""

    run: str
    actor: int
    episode: int
    step: int


@dataclass(frozen=True)
class Step:
    """One step: the observation the actor acted on, what came of it, and everything a reward may be computed from.

    The observation after the last step of an episode is stored with the episode, not with a step.
    """

    id: StepId
    observation: Observation
    executed_action: np.ndarray
    """float32 (action_dim,) in [-1, 1]: what the guard let through."""
    proposed_action: np.ndarray
    """What the policy asked for, whoever drove."""
    base_action: np.ndarray
    """The base policy's action here, also while a person drives; zeros without a base."""
    source: Source
    intervention_start: bool
    """True on the first step of a takeover."""
    reward: float
    """The environment's own reward; presets compute theirs from the raw fields."""
    terminated: bool
    truncated: bool
    success: bool
    stamp_s: float
    """Clock time at which the step began."""
    raw: RobotObservation | None = None
    """What the robot reported at the *end* of the step; None for environments that are not robots."""
    reward_inputs: Mapping[str, float] = field(default_factory=dict)
    """What else rewards are computed from, by name (:data:`REWARD_INPUTS`); one that is left out counts as 0."""

    @property
    def is_last(self) -> bool:
        return self.terminated or self.truncated


@dataclass(frozen=True)
class EpisodeHeader:
    """What must be known of an episode before its first step."""

    run: str
    actor: int
    episode: int
    task: str
    """Task name, or a gymnasium id for foreign environments."""
    seed: int
    """Seed the environment was reset with."""
    control_hz: float
    action_dim: int
    action_scale: tuple[float, ...] = ()
    """SI size of action 1 per dimension (m, m, m, rad, rad, rad[, 1])."""
    setup: Mapping[str, object] = field(default_factory=dict)
    """Numbers the task drew."""
    initial_state: np.ndarray | None = None
    """Twin only: float64, the full physics state at the start; makes an exact replay possible."""
    environment: Mapping[str, object] = field(default_factory=dict)
    """Keyword arguments that make the same environment again."""
    files: Mapping[str, str] = field(default_factory=dict)
    """What stood in the files that those name (``cell`` and ``task`` of a real cell): they may change, or go."""
    initial_robot: RobotObservation | None = None
    base_version: str = ""
    """Which base policy the stored base actions are of; empty where there was none."""
    classifier_version: str = ""
    """Which success classifier judged the steps; empty where none did."""


@dataclass
class Episode:
    """A finished episode in memory."""

    header: EpisodeHeader
    steps: list[Step]
    final_observation: Observation
    final_base_action: np.ndarray | None = None
    """The base policy's action there: where an episode was cut off, the value of going on needs it."""
    discarded: bool = False
    """The person threw it away as it ended."""

    @property
    def success(self) -> bool:
        return bool(self.steps) and self.steps[-1].success

    @property
    def intervened_steps(self) -> int:
        return sum(step.source == Source.HUMAN for step in self.steps)
