"""The seam of base policies, and what a rollout does with one: asks at every step, drops plans, resets in time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from hardware.interfaces import Source
from robot_rl.base_policy import ZeroBase, relabelled, weights_version
from robot_rl.rollout import EnvSpec, Rollout
from robot_rl.types import Episode, EpisodeHeader, Observation, Step, StepId

POINT = EnvSpec("tests.robot_rl.point_env:PointReach-v0")
HELPED = EnvSpec("sim:Reach-v0", {"person": "expert", "takeover": "no_progress", "max_steps": 80})
CHUNK = 4


class ChunkedBase:
    """Answers with the number of its plan and the step within it, so that a leaked chunk shows; counts its calls."""

    version = "chunked"

    def __init__(self, action_dim: int):
        self.action_dim, self.plans, self.log = action_dim, 0, []
        self._left = 0

    def reset(self) -> None:
        self._left = 0
        self.log.append("reset")

    def flush(self) -> None:
        self._left = 0
        self.log.append("flush")

    def act(self, observation: Observation, deterministic: bool = True) -> np.ndarray:
        if self._left == 0:
            self.plans, self._left = self.plans + 1, CHUNK
        self._left -= 1
        self.log.append("act")
        action = np.zeros(self.action_dim, np.float32)
        action[0] = self.plans + (CHUNK - 1 - self._left) / 10
        return action


class Over:
    """A policy over a base that proposes nothing and remembers what it was told."""

    def __init__(self, base: ChunkedBase):
        self.base = base
        self.told: list[float] = []

    def act(self, observation: Observation, deterministic: bool = False, base_action: np.ndarray | None = None):
        assert base_action is not None
        self.told.append(float(base_action[0]))
        return np.zeros_like(base_action)


def test_every_step_stores_what_the_base_would_have_done_and_the_policy_is_told_it():
    policy = Over(ChunkedBase(1))
    (episode,) = Rollout(POINT.make(), POINT, "run", 0).episodes(policy, 1)
    stored = [float(step.base_action[0]) for step in episode.steps]
    assert stored == policy.told
    assert stored[:6] == pytest.approx([1.0, 1.1, 1.2, 1.3, 2.0, 2.1])
    assert episode.header.base_version == "chunked"


def test_the_final_observation_has_its_base_action_too_from_before_the_reset():
    """Twenty steps are five whole chunks: the answer at the end begins the sixth, and the next episode a seventh."""
    policy = Over(ChunkedBase(1))
    first, second = Rollout(POINT.make(), POINT, "run", 0).episodes(policy, 2)
    assert len(first.steps) == 20 and first.steps[-1].truncated
    assert first.final_base_action is not None and first.final_base_action[0] == 6.0
    assert second.steps[0].base_action[0] == 7.0


def test_a_reset_never_leaks_a_chunk():
    policy = Over(ChunkedBase(1))
    episodes = list(Rollout(POINT.make(), POINT, "run", 0).episodes(policy, 3))
    for episode in episodes:
        assert episode.steps[0].base_action[0] % 1 == pytest.approx(0.0), "an episode begins with a plan of its own"
    assert policy.base.log[0] == "reset" and policy.base.log.count("reset") == 3


def test_a_chunk_is_dropped_at_takeover_and_at_release_and_the_base_is_asked_in_between():
    policy = Over(ChunkedBase(6))
    rollout = Rollout(HELPED.make(), HELPED, "run", 5)
    episode: Episode | None = None
    while episode is None or not 0 < episode.intervened_steps < len(episode.steps) - 1:
        (episode,) = rollout.episodes(policy, 1)
    human = [step.source == Source.HUMAN for step in episode.steps]
    begins = [bool(step.base_action[0] % 1 < 0.05) for step in episode.steps]
    after = [i for i in range(1, len(human)) if human[i - 1]]
    assert after and all(begins[i] for i in after), "planned anew after every step that a person drove"
    assert all(step.base_action[0] > 0 for step in episode.steps)


def demo(version: str = "") -> Episode:
    steps = []
    for i in range(6):
        zero, state = np.zeros(1, np.float32), {"state": np.array([i], np.float32)}
        source = Source.DEMO if i < 3 else Source.POLICY
        step_id = StepId("demo", 0, 0, i)
        steps.append(Step(step_id, state, zero, zero, zero, source, False, 0.0, False, i == 5, False, 0.1 * i))
    header = EpisodeHeader("demo", 0, 0, "test", 0, 10.0, 1, base_version=version)
    return Episode(header, steps, {"state": np.array([6], np.float32)})


def test_demonstrations_get_base_actions_planned_anew_where_a_person_drove():
    episode = relabelled(demo(), ChunkedBase(1))
    answers = [float(step.base_action[0]) for step in episode.steps]
    assert answers == pytest.approx([1.0, 2.0, 3.0, 4.0, 4.1, 4.2])
    assert episode.final_base_action is not None and episode.final_base_action[0] == pytest.approx(4.3)
    assert episode.header.base_version == "chunked"


def test_base_actions_of_another_version_are_not_kept_and_those_of_this_one_are():
    base = ChunkedBase(1)
    assert relabelled(demo("another"), base).steps[0].base_action[0] == 1.0
    before = len(base.log)
    same = demo("chunked")
    assert relabelled(same, base) is same and len(base.log) == before, "a stored answer is never asked for again"


def test_a_version_follows_the_weights_and_their_names():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layer = nn.Linear(3, 2)
    version = weights_version(layer)
    assert version == weights_version(layer) and len(version) == 16
    with torch.no_grad():
        layer.bias[0] += 1e-6
    assert weights_version(layer) != version


def test_zero_stays():
    assert ZeroBase(3).act({"state": np.ones(1, np.float32)}).tolist() == [0, 0, 0]
