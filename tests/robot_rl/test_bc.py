from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from hardware.interfaces import Source
from robot_rl.bc import make_cloned_policy, shown_by_person, train_cloned_policy
from robot_rl.cloning_config import CloningConfig, EnsembleConfig
from robot_rl.types import Episode, EpisodeHeader, Step, StepId

CONFIG = CloningConfig(width=32, depth=2, ensemble=EnsembleConfig(3, 32, 2), steps=400, batch_size=64)


def demonstration(number: int, source: Source = Source.DEMO, sign: float = -1.0) -> Episode:
    """Move against the first entry of the state; close the gripper where the second is positive, else keep it open."""
    rng = np.random.default_rng(number)
    steps = []
    for i in range(20):
        state = np.array([rng.uniform(-1, 1), rng.choice([-1.0, 1.0]), 1.0], np.float32)
        action = np.array([0.8 * sign * state[0], -1.0 if state[1] > 0 else 1.0], np.float32)
        zero = np.zeros(2, np.float32)
        last = i == 19
        step_id = StepId("demo", 0, number, i)
        steps.append(
            Step(step_id, {"state": state}, action, zero, zero, source, False, 0.0, last, False, last, 0.1 * i)
        )
    return Episode(EpisodeHeader("demo", 0, number, "test", 0, 10.0, 2), steps, steps[-1].observation)


def clone(arch: str = "mlp", seed: int = 0):
    return make_cloned_policy(replace(CONFIG, arch=arch), 3, 2, gripper_index=2, seed=seed)


@pytest.mark.parametrize("arch", ["mlp", "ensemble"])
def test_the_clone_does_as_shown_with_arm_and_gripper(arch):
    policy = clone(arch)
    losses = train_cloned_policy(policy, policy.shown_in([demonstration(i) for i in range(10)]), seed=0)
    assert losses["validation_loss"] < 0.05
    for x, block in ((0.5, 1.0), (-0.5, -1.0)):
        action = policy.act({"state": np.array([x, block, 1.0], np.float32)})
        assert action[0] == pytest.approx(-0.8 * x, abs=0.15)
        assert action[1] == -block


def test_only_what_a_person_drove_is_cloned():
    """The policy's own steps in a corrected episode do the opposite: they must not be imitated (HG-DAgger)."""
    mixed = [demonstration(i) for i in range(3)] + [demonstration(9, Source.POLICY, sign=1.0)]
    states, _ = shown_by_person(mixed)
    assert len(states) == 60
    with pytest.raises(ValueError, match="record demonstrations first"):
        shown_by_person([demonstration(1, Source.POLICY)])


@pytest.mark.parametrize("arch", ["mlp", "ensemble"])
def test_training_is_deterministic_by_seed(arch):
    versions = []
    for _ in range(2):
        policy = clone(arch)
        train_cloned_policy(policy, policy.shown_in([demonstration(i) for i in range(4)]), seed=1, steps=50)
        versions.append(policy.version)
    assert versions[0] == versions[1] != clone(arch, seed=1).version


@torch.no_grad()
def test_an_ensemble_acts_by_the_mean_of_members_that_are_fitted_each_by_itself():
    policy = clone("ensemble")
    shown = policy.shown_in([demonstration(0)])[0]
    (each, grips), (arm, grip) = policy.each(shown.observation), policy(shown.observation)
    assert each.shape == (3, 20, 1) and grips.shape == (3, 20, 3)
    assert torch.allclose(arm, each.mean(0))
    alone = [float(policy.error(a, g, shown)) for a, g in zip(each, grips, strict=True)]
    assert float(policy.loss(shown.observation, shown)) == pytest.approx(np.mean(alone))
    assert float(policy.validation_loss(shown)) == pytest.approx(float(policy.error(arm, grip, shown)))
    assert np.mean(alone) > float(policy.validation_loss(shown)) + 1e-3, "members that are one tell nothing"


def test_a_clone_has_the_version_it_had_before_there_were_ensembles():
    """A run is resumed only over the base it was trained over: an upgrade must not rename that."""
    policy = make_cloned_policy(CloningConfig(width=4, depth=1), 3, 2, 2)
    with torch.no_grad():
        for weights in policy.parameters():
            weights.zero_()
    assert policy.version == "fe0407fa3c54d446"
