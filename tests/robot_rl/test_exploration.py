"""Noise that remembers: as large as noise that does not, and from step to step as alike as it is told to be."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from robot_rl.base_policy import ZeroBase
from robot_rl.config import LearnerConfig, ResidualConfig
from robot_rl.exploration import Exploration
from robot_rl.rlpd import RLPD

STEPS = 20_000


def noise(memory: float, seed: int = 0) -> np.ndarray:
    exploration, generator = Exploration(memory), torch.Generator().manual_seed(seed)
    return np.array([float(exploration(torch.randn(1, 1, generator=generator))) for _ in range(STEPS)])


@pytest.mark.parametrize("memory", [0.0, 0.5, 0.9])
def test_its_size_is_the_same_whatever_it_remembers(memory):
    made = noise(memory)
    assert made.std() == pytest.approx(1.0, abs=0.05)
    assert np.corrcoef(made[1:], made[:-1])[0, 1] == pytest.approx(memory, abs=0.02)
    assert np.corrcoef(made[3:], made[:-3])[0, 1] == pytest.approx(memory**3, abs=0.03)


def test_the_first_of_an_episode_is_as_large_as_any():
    exploration, generator, first = Exploration(0.9), torch.Generator().manual_seed(0), []
    for _ in range(2_000):
        exploration.reset()
        first.append(float(exploration(torch.randn(1, 1, generator=generator))))
        exploration(torch.randn(1, 1, generator=generator))
    assert np.std(first) == pytest.approx(1.0, abs=0.05)
    assert abs(np.corrcoef(first[1:], first[:-1])[0, 1]) < 0.06, "nothing reaches over from the last episode"


@pytest.mark.parametrize("memory", [-0.1, 1.0, float("nan")])
def test_what_is_no_share_is_refused(memory):
    with pytest.raises(ValueError, match=r"--learner.noise-memory is .*: give a share from 0 to below 1"):
        Exploration(memory)


@pytest.mark.parametrize("begun_anew", ["reset", "flush"])
def test_an_agent_explores_with_it_until_an_episode_ends_or_a_person_takes_over(begun_anew):
    config = LearnerConfig(width=8, actor="residual", residual=ResidualConfig(noise=0.1), noise_memory=0.9)
    agent, forgetful = (RLPD(dataclasses.replace(config, noise_memory=m), 1, 1, base=ZeroBase(1)) for m in (0.9, 0.0))
    seen, nothing = {"state": np.zeros(1, np.float32)}, np.zeros(1, np.float32)
    wandered = np.array([agent.act(seen, base_action=nothing)[0] for _ in range(1_000)])
    assert np.corrcoef(wandered[1:], wandered[:-1])[0, 1] > 0.8
    fresh = forgetful.act(seen, base_action=nothing)
    agent.generator.manual_seed(0)  # where the forgetful one began
    getattr(agent, begun_anew)()
    assert agent.act(seen, base_action=nothing) == fresh
    assert agent.act(seen, deterministic=True, base_action=nothing) == 0.0
