"""Reward sources, each on its own and summed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hardware.interfaces import Source
from robot_rl.replay_buffer import ReplayBuffer
from robot_rl.reward import Returns, RewardWeights, potential_from_pairwise
from robot_rl.types import Episode, EpisodeHeader, Step, StepId

LAYOUT = {"state": ((1,), np.dtype(np.float32))}
POTENTIALS = (0.1, 0.4, 0.3, 0.8)


def recorded(terminated: bool, success: bool = True) -> ReplayBuffer:
    """Three steps of an episode whose progress was POTENTIALS; the operator said success at its end."""
    steps = []
    for i in range(3):
        last = i == 2
        inputs = {"potential": POTENTIALS[i], "next_potential": POTENTIALS[i + 1]}
        inputs |= {"key": float(last), "classifier": float(last)}
        ends = (last and terminated, last and not terminated, last and success)
        zero, state = np.zeros(2, np.float32), {"state": np.full(1, i, np.float32)}
        step_id = StepId("run", 0, 0, i)
        steps.append(
            Step(step_id, state, zero, zero, zero, Source.POLICY, False, float(last), *ends, 0.1 * i, None, inputs)
        )
    buffer = ReplayBuffer(10, LAYOUT, 2)
    header = EpisodeHeader("run", 0, 0, "test", 0, 10.0, 2)
    buffer.add_episode(Episode(header, steps, {"state": np.full(1, 3, np.float32)}))
    return buffer


def rewards(buffer: ReplayBuffer, gamma: float = 0.9, **weights: float) -> list[float]:
    weigh = RewardWeights(**({"environment": 0.0} | weights))
    return buffer.gather(np.arange(3), Returns(gamma, 1, weigh)).reward.tolist()


def test_sources_sum():
    buffer = recorded(terminated=True)
    assert rewards(buffer, environment=1.0) == [0, 0, 1]
    assert rewards(buffer, key=2.0) == [0, 0, 2]
    assert rewards(buffer, classifier=0.5) == [0, 0, 0.5]
    assert rewards(buffer, environment=1.0, key=2.0, classifier=0.5) == [0, 0, 3.5]


def test_progress_is_a_potential_that_ends_at_zero():
    """γΦ' − Φ, with Φ = 0 after a termination, and the true Φ after a truncation."""
    ended, cut_off = (rewards(recorded(terminated), progress=1.0) for terminated in (True, False))
    assert ended == pytest.approx([0.9 * 0.4 - 0.1, 0.9 * 0.3 - 0.4, -0.3])
    assert cut_off == pytest.approx([0.9 * 0.4 - 0.1, 0.9 * 0.3 - 0.4, 0.9 * 0.8 - 0.3])


def test_the_shaping_of_a_whole_episode_depends_on_its_start_alone():
    """Whatever is done in between sums to −Φ(start): shaping changes no optimal policy."""
    buffer = recorded(terminated=True)
    shaped = rewards(buffer, progress=1.0)
    assert sum(0.9**i * r for i, r in enumerate(shaped)) == pytest.approx(-POTENTIALS[0])


def test_a_failure_costs_where_the_episode_ends_and_nothing_else_does():
    costly = {"failure_penalty": 0.25, "environment": 1.0}
    assert rewards(recorded(terminated=True, success=False), **costly) == [0, 0, 1 - 0.25]
    assert rewards(recorded(terminated=True), **costly) == [0, 0, 1], "a success"
    assert rewards(recorded(terminated=False, success=False), **costly) == [0, 0, 1], "time ran out"
    with pytest.raises(ValueError, match="nothing to learn"):
        RewardWeights(environment=0.0, failure_penalty=0.5)


def test_gamma_acts_at_sampling():
    buffer = recorded(terminated=True)
    assert rewards(buffer, gamma=0.5, progress=1.0)[0] == pytest.approx(0.5 * 0.4 - 0.1)
    assert rewards(buffer, gamma=1.0, progress=1.0)[0] == pytest.approx(0.3)


def test_no_reward_at_all_is_refused():
    with pytest.raises(ValueError, match="nothing to learn"):
        RewardWeights(environment=0.0)


@settings(max_examples=50, deadline=None)
@given(arrays(np.float64, st.integers(1, 12), elements=st.floats(-0.5, 0.5)))
def test_pairwise_verdicts_become_a_potential(gains: np.ndarray):
    potential = potential_from_pairwise(gains)
    assert len(potential) == len(gains) + 1 and potential[0] == 0.0
    assert ((potential >= 0) & (potential <= 1)).all()


def test_going_back_and_forth_earns_nothing():
    """Verdicts that flatter (+0.3 forth, −0.1 back) could be farmed; the potential's gain is bounded by 1."""
    farmed = np.tile([0.3, -0.1], 50)
    assert farmed.sum() == pytest.approx(10.0)
    assert np.diff(potential_from_pairwise(farmed)).sum() <= 1.0


@pytest.mark.parametrize(("failure_ends", "discount"), [(True, 0.0), (False, 0.9)])
def test_failing_early_can_be_kept_from_being_the_best_that_can_happen(failure_ends: bool, discount: float):
    """Where rewards are penalties (RLIF) values are negative, and 0 from a failure on would beat them all."""
    failed, succeeded = recorded(terminated=True, success=False), recorded(terminated=True)
    returns = Returns(0.9, 1, RewardWeights(), failure_ends=failure_ends)
    assert failed.gather(np.array([2]), returns).discount[0] == pytest.approx(discount)
    assert succeeded.gather(np.array([2]), returns).discount[0] == 0.0


def test_the_potential_after_a_failure_is_kept_where_failure_does_not_end():
    """Shaping must agree with the bootstrap: where the value goes on, so does the potential."""
    failed = recorded(terminated=True, success=False)
    weigh = RewardWeights(environment=0.0, progress=1.0)
    last = [failed.gather(np.array([2]), Returns(0.9, 1, weigh, failure_ends=e)).reward[0] for e in (True, False)]
    assert last == pytest.approx([-0.3, 0.9 * 0.8 - 0.3])
