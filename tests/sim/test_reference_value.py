"""A person who takes over where a critic that knows the task sees its value fall."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hardware.interfaces import Source
from robot_rl.base_policy import ZeroBase
from robot_rl.config import LearnerConfig
from robot_rl.policy import Interface, save_policy
from robot_rl.rlpd import RLPD
from robot_rl.rollout import EnvSpec


def critic_of(folder: Path, **changes: object) -> Path:
    """A run of `reach`, untrained."""
    env = EnvSpec("sim:Reach-v0").make()
    interface = Interface.of(env)
    env.close()
    config = LearnerConfig(width=4, depth=1, critics=2, **changes)  # type: ignore[arg-type]
    save_policy(folder, RLPD(config, *interface.sizes, base=ZeroBase(interface.action_dim)), interface)
    return folder


def spec(rule: str, task: str = "Reach") -> EnvSpec:
    return EnvSpec(f"sim:{task}-v0", {"person": "expert", "takeover": rule, "max_steps": 40})


def takeovers(env, values: list[float], monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Steps at which the person drove, the critic saying ``values`` step by step."""
    env.reset(seed=0)
    driven = []
    monkeypatch.setattr(RLPD, "value", lambda self, seen, action: values[min(env.steps, len(values) - 1)])
    for step in range(30):
        *_, terminated, truncated, info = env.step(np.zeros(env.action_space.shape, np.float32))
        if info["source"] == Source.HUMAN:
            driven.append(step)
        if terminated or truncated:
            break
    return driven


def test_the_person_takes_over_where_the_value_falls_and_not_before(tmp_path, monkeypatch):
    env = spec(f"value:{critic_of(tmp_path)}").make()
    try:
        driven = takeovers(env, [0.5] * 10 + [0.2] * 30, monkeypatch)
        assert driven and 10 <= driven[0] <= 16
        assert takeovers(env, [0.5, 0.52, 0.48] * 14, monkeypatch) == []
    finally:
        env.close()


def test_the_critic_judges_what_was_seen_last_and_its_own_policy_there(tmp_path, monkeypatch):
    env = spec(f"value:{critic_of(tmp_path)}").make()
    asked, real = [], RLPD.value

    def value(agent, seen, action):
        asked.append((agent, seen, action))
        return real(agent, seen, action)

    monkeypatch.setattr(RLPD, "value", value)
    try:
        seen, _ = env.reset(seed=1)
        env.step(np.zeros(env.action_space.shape, np.float32))
        agent, observed, action = asked[0]
        assert observed is seen
        assert np.array_equal(action, agent.act(seen, deterministic=True))
        assert torch.isfinite(torch.tensor(real(agent, observed, action)))
    finally:
        env.close()


@pytest.mark.parametrize(
    ("task", "changes", "says"),
    [("PickCube", {}, "not of 'pick_cube'"), ("Reach", {"actor": "residual"}, "run of rlpd or hil_serl")],
)
def test_a_critic_that_cannot_judge_is_refused_in_a_line(task, changes, says, tmp_path):
    with pytest.raises(ValueError, match=says):
        spec(f"value:{critic_of(tmp_path, **changes)}", task).make()


def test_a_run_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no policy in"):
        spec(f"value:{tmp_path / 'none'}").make()
