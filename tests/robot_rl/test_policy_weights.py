"""S23: weights act only if they are what was sent, finite, of the right shape and no leap; else the old ones stay."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from robot_rl.bc import make_cloned_policy
from robot_rl.cloning_config import CloningConfig
from robot_rl.collectors import BaseCollector, RandomPolicy
from robot_rl.config import LearnerConfig
from robot_rl.link import Weights, digest_of
from robot_rl.policy import Interface
from robot_rl.policy_weights import PROBES, WeightsGate, WeightsRefused, pack_weights
from robot_rl.rlpd import RLPD

INTERFACE = Interface("point", 3, 2)
SMALL = LearnerConfig(width=8, critics=2)
CLONING = CloningConfig(width=8, depth=1)


def observation(value: float = 0.3) -> dict[str, np.ndarray]:
    return {"state": np.full(3, value, np.float32)}


def make_agent(seed: int = 0, config: LearnerConfig = SMALL, base: Any = None) -> RLPD:
    return RLPD(config, *INTERFACE.sizes, seed=seed, base=base)


def make_base(seed: int = 0) -> Any:
    return make_cloned_policy(CLONING, *INTERFACE.sizes, seed=seed)


def gate() -> WeightsGate:
    return WeightsGate(INTERFACE, np.random.default_rng(0))


def changed(weights: Weights, name: str, change: Any) -> Weights:
    tensors = {**weights.tensors, name: change(weights.tensors[name].copy())}
    return dataclasses.replace(weights, tensors=tensors)


def packed(agent: Any = None, version: int = 1) -> Weights:
    agent = agent or make_agent()
    return pack_weights(version, agent, agent, INTERFACE)


def first_matrix(weights: Weights) -> str:
    return next(name for name, array in weights.tensors.items() if name.startswith("actor.") and array.ndim == 2)


def test_what_is_unpacked_acts_as_what_was_packed_and_is_no_more_than_acting_needs() -> None:
    agent = make_agent()
    weights = packed(agent)
    assert weights.digest == digest_of(weights)
    assert not any(name.startswith(("critic", "target")) for name in weights.tensors)
    acting = gate().accept(weights)
    assert np.array_equal(acting.policy.act(observation(), True), agent.act(observation(), True))


def test_a_cloned_policy_goes_over_too() -> None:
    cloned = make_base()
    acting = gate().accept(packed(cloned))
    assert np.array_equal(acting.policy.act(observation(), True), cloned.act(observation(), True))


@pytest.mark.parametrize("collector", ["base", "random"])
def test_who_collects_first_goes_over_with_the_weights(collector: str) -> None:
    agent, base, rng = make_agent(), make_base(), np.random.default_rng(0)
    acts = BaseCollector(base, rng, 0.0, 2) if collector == "base" else RandomPolicy(rng, 2)
    acting = gate().accept(pack_weights(1, agent, acts, INTERFACE))
    assert acting.label.name == ("BASE" if collector == "base" else "POLICY")
    if collector == "base":
        assert np.array_equal(acting.policy.act(observation()), np.clip(base.act(observation()), -1, 1))


@pytest.mark.parametrize("state", [(False, True), (True, True), (False, False)])
def test_whether_steps_and_a_person_are_needed_goes_over_too(state: tuple[bool, bool]) -> None:
    agent = make_agent()
    acting = gate().accept(pack_weights(1, agent, agent, INTERFACE, *state))
    assert (acting.finished, acting.watched) == state


def test_a_frozen_base_that_is_here_need_not_come_again() -> None:
    base = make_base()
    agent = make_agent(config=dataclasses.replace(SMALL, actor="residual"), base=base)
    at, weights = gate(), packed(agent)
    at.accept(weights)
    acting = at.accept(dataclasses.replace(weights.without_base(), version=2))
    wanted = agent.act(observation(), True, base.act(observation()))
    got = acting.policy.act(observation(), True, acting.policy.base.act(observation()))  # type: ignore[call-arg, attr-defined]
    assert np.array_equal(got, wanted)
    with pytest.raises(WeightsRefused):
        gate().accept(weights.without_base())


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda array: np.full_like(array, np.nan), "not finite"),
        (lambda array: np.full_like(array, np.inf), "not finite"),
        (lambda array: array[:, :-1], "another shape"),
        (lambda array: array[None], "another shape"),
    ],
)
def test_bad_weights_are_refused_and_the_old_ones_stay(change: Any, why: str) -> None:
    at, weights = gate(), packed()
    before = at.accept(weights).policy
    with pytest.raises(WeightsRefused, match=why):
        at.accept(changed(weights, first_matrix(weights), change))
    assert at.accept(weights).policy is not before, "and good ones are taken again"


def test_weights_of_another_task_or_with_strange_or_missing_tensors_are_refused() -> None:
    weights = packed()
    name = first_matrix(weights)
    others = [
        pack_weights(1, make_agent(), make_agent(), dataclasses.replace(INTERFACE, task="reach")),
        dataclasses.replace(weights, tensors={k: v for k, v in weights.tensors.items() if k != name}),
        dataclasses.replace(weights, tensors={**weights.tensors, "actor.door": np.zeros(1, np.float32)}),
        dataclasses.replace(weights, about="{}"),
        dataclasses.replace(weights, about="no JSON"),
    ]
    for other in others:
        with pytest.raises(WeightsRefused):
            gate().accept(other)


def test_a_leap_of_what_is_done_is_refused_and_small_steps_are_not() -> None:
    at, weights = gate(), packed()
    at.accept(weights)
    for _ in range(PROBES + 3):
        at.observe(observation(), np.zeros(2, np.float32))
    one = lambda tensors, sign: {  # noqa: E731
        name: np.full_like(array, sign * 100.0) if name.endswith("bias") else array for name, array in tensors.items()
    }
    up, down = (dataclasses.replace(weights, tensors=one(weights.tensors, sign)) for sign in (1.0, -1.0))
    results = []
    for leap in (up, down):
        try:
            at.accept(leap)
            results.append("taken")
        except WeightsRefused as error:
            results.append(str(error))
    assert any("of its range at once" in said for said in results)
    at.accept(packed(version=3))
