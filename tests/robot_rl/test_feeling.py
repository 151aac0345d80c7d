"""A hand that feels around: a circle while it presses, nothing else, and begun anew with each episode and person."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from robot_rl.bc import make_cloned_policy
from robot_rl.cloning_config import CloningConfig
from robot_rl.demonstrations import clone_base
from robot_rl.feeling import GROWTH_STEPS, PRESSED, TURN_STEPS, Feeling, require_wrench
from robot_rl.observation import StateVector
from robot_rl.rollout import EnvSpec
from tests.robot_rl.test_env import AboveTable

FREE, TOUCHED = torch.zeros(30), torch.zeros(30)
TOUCHED[PRESSED] = 0.11
STILL = torch.zeros(6)


def test_it_feels_the_force_along_the_vertical():
    assert StateVector(AboveTable().spec).names[PRESSED] == "wrench_z"


def test_a_circle_while_the_hand_presses_and_only_then():
    feeling = Feeling(0.2)
    assert feeling.added_to(STILL, FREE) is STILL
    steps = torch.stack([feeling.added_to(STILL, TOUCHED) for _ in range(GROWTH_STEPS + TURN_STEPS)])
    assert torch.equal(steps[:, 2:], torch.zeros(len(steps), 4)), "across the approach"
    speed = steps.norm(dim=1)
    assert (speed.diff()[: GROWTH_STEPS - 1] > 0).all() and speed[0] < 0.01, "it grows"
    turn = steps[GROWTH_STEPS:]
    assert turn.norm(dim=1).numpy() == pytest.approx(0.2)
    assert turn.sum(0).numpy() == pytest.approx(0.0, abs=1e-5), "and closes"
    assert feeling.added_to(STILL, FREE) is STILL
    assert feeling.added_to(STILL, -9.0 * TOUCHED) is STILL, "what it carries pulls down"
    assert feeling.added_to(torch.ones(6), TOUCHED).max() == 1.0
    feeling.reset()
    assert feeling.added_to(STILL, TOUCHED).norm() < 0.01
    assert Feeling(0.0).added_to(STILL, TOUCHED) is STILL


@pytest.mark.parametrize("arch", ["mlp", "ensemble"])
def test_a_clone_feels_around_and_begins_anew_with_an_episode_and_after_a_person(arch):
    config = CloningConfig(arch=arch, width=8, depth=1, feel=0.2)
    still, moving = (make_cloned_policy(replace(config, feel=feel), 30, 7, 29) for feel in (0.0, 0.2))
    free, touched = {"state": FREE.numpy()}, {"state": TOUCHED.numpy()}
    assert np.array_equal(moving.act(free), still.act(free))

    def added():
        return float(np.abs(moving.act(touched) - still.act(touched)).max())

    def felt_around():
        return [added() for _ in range(40)]

    first = felt_around()
    assert first[0] < 0.01 and max(first) == pytest.approx(0.2, rel=0.02)
    for begin in (moving.reset, moving.flush):
        begin()
        assert felt_around() == first
    assert moving.version != still.version
    assert moving.act(touched)[6] == still.act(touched)[6], "the gripper does as it did"


def test_what_cannot_feel_around_says_so(tmp_path):
    with pytest.raises(ValueError, match=r"cloning.feel is 0.1, but chunks of 'act' do not feel around"):
        make_cloned_policy(CloningConfig(arch="act", feel=0.1), 30, 7, 29)
    for share in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="give a share of a full step, 0 to 1"):
            make_cloned_policy(CloningConfig(feel=share), 30, 7, 29)
    config = CloningConfig(feel=0.1)
    with pytest.raises(ValueError, match="another project's environment tells no wrench"):
        clone_base(tmp_path / "base", EnvSpec("Pendulum-v1"), config, [], 0)
    assert not (tmp_path / "base").exists()
    with pytest.raises(ValueError, match="'end_effector' does not tell what presses upwards"):
        clone_base(tmp_path / "base", EnvSpec("sim:Reach-v0", {"frame": "end_effector"}), config, [], 0)
    assert not (tmp_path / "base").exists()
    require_wrench(0.0, EnvSpec("Pendulum-v1"), foreign=True)
    require_wrench(0.1, EnvSpec("sim:Reach-v0", {"frame": "base"}), foreign=False)
