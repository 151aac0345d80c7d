"""The ring: links, idempotence, n-step sums against brute force over every way an episode can end."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware.interfaces import Source
from robot_rl.mixture import Mixture
from robot_rl.own_successes import OwnSuccesses
from robot_rl.replay_buffer import ReplayBuffer
from robot_rl.reward import Returns, RewardWeights
from robot_rl.types import Episode, EpisodeHeader, Step, StepId

LAYOUT = {"state": ((1,), np.dtype(np.float32))}


def make_episode(number: int, sources: list[Source], terminated: bool, actor: int = 0) -> Episode:
    """States are 100·episode + step, so that a wrong neighbour shows; reward = that of the step number."""
    steps = []
    for i, source in enumerate(sources):
        last = i == len(sources) - 1
        taken = source == Source.HUMAN and (i == 0 or sources[i - 1] != Source.HUMAN)
        action = np.full(2, i / 100, np.float32)
        ends = (last and terminated, last and not terminated, last and terminated)
        observation = {"state": np.array([100 * number + i], np.float32)}
        step_id, reward = StepId("run", actor, number, i), float(i + 1)
        steps.append(Step(step_id, observation, action, action, action, source, taken, reward, *ends, 0.1 * i))
    header = EpisodeHeader("run", actor, number, "test", 0, 10.0, 2)
    return Episode(header, steps, {"state": np.array([100 * number + len(sources)], np.float32)})


def brute_force(episode: Episode, t: int, gamma: float, n: int, cut: bool) -> tuple[float, float, float]:
    """Return, discount and bootstrap state written down from the definition."""
    total, k = 0.0, 0
    while True:
        step = episode.steps[t + k]
        total += gamma**k * step.reward
        k += 1
        if step.terminated:
            return total, 0.0, 100 * episode.header.episode + t + k
        if t + k == len(episode.steps):
            return total, gamma**k, float(episode.final_observation["state"][0])
        if episode.steps[t + k].source == Source.HUMAN and step.source != Source.HUMAN:
            return total, 0.0 if cut else gamma**k, 100 * episode.header.episode + t + k
        if k == n:
            return total, gamma**k, 100 * episode.header.episode + t + k


sources = st.lists(st.sampled_from([Source.POLICY, Source.HUMAN]), min_size=1, max_size=7)
plans = st.lists(st.tuples(sources, st.booleans()), min_size=1, max_size=8)


@settings(max_examples=60, deadline=None)
@given(plans, st.integers(1, 4), st.booleans(), st.integers(9, 40))
def test_n_step_equals_brute_force(plans, n, cut, capacity):
    buffer = ReplayBuffer(capacity, LAYOUT, 2)
    episodes = [make_episode(i, s, terminated) for i, (s, terminated) in enumerate(plans)]
    for episode in episodes:
        buffer.add_episode(episode)
    slots = np.flatnonzero(buffer.sampleable(np.arange(len(buffer))))
    assert len(slots) > 0
    batch = buffer.gather(slots, Returns(0.9, n, RewardWeights(), cut))
    for row in range(len(slots)):
        number, t = divmod(int(batch.observation["state"][row, 0]), 100)
        total, discount, state = brute_force(episodes[number], t, 0.9, n, cut)
        assert batch.reward[row] == pytest.approx(total, rel=1e-5)
        assert batch.discount[row] == pytest.approx(discount, rel=1e-5)
        assert batch.next_observation["state"][row, 0] == state


@settings(max_examples=60, deadline=None)
@given(plans, st.integers(9, 40))
def test_own_successes_are_the_whole_episodes_still_there_that_nobody_helped_with(plans, capacity):
    buffer = ReplayBuffer(capacity, LAYOUT, 2)
    own, done = OwnSuccesses(buffer), []
    for number, (drivers, succeeded) in enumerate(plans):
        buffer.add_episode(make_episode(number, drivers, succeeded))
        own.refresh()
        if succeeded and Source.HUMAN not in drivers:
            done.append([100 * number + step for step in range(len(drivers))])
        there = buffer.observation["state"][np.flatnonzero(buffer.sampleable(np.arange(len(buffer)))), 0]
        expected = {step for steps in done if steps[0] in there for step in steps}
        assert own.steps == len(expected)
        if expected:
            drawn = own.draw(np.random.default_rng(0), 400)
            assert set(buffer.observation["state"][drawn, 0]) == expected


def test_own_successes_are_not_those_that_took_their_slots():
    buffer = ReplayBuffer(12, LAYOUT, 2)
    whole = make_episode(0, [Source.POLICY] * 5, True)
    for step in whole.steps:
        buffer.add(step)
    own = OwnSuccesses(buffer)
    assert own.steps == 0, "what came after its last step is still to come"
    buffer.finish(step.id, whole.final_observation)
    own.refresh()
    assert own.steps == 5
    slots, returns = own.draw(np.random.default_rng(0), 8), Returns(0.9, 1, RewardWeights())
    assert own.gather(slots, returns).shown.all(), "an example, like a person's"
    assert not buffer.gather(slots, returns).shown.any()
    for step in make_episode(1, [Source.POLICY] * 9, True).steps:  # under way: it writes over three steps of the first
        buffer.add(step)
    assert own.steps == 2


def test_interleaved_actors_never_borrow_each_others_steps():
    buffer = ReplayBuffer(100, LAYOUT, 2)
    a, b = make_episode(0, [Source.POLICY] * 5, False, actor=0), make_episode(1, [Source.POLICY] * 5, True, actor=1)
    for one, other in zip(a.steps, b.steps, strict=True):
        buffer.add(one)
        buffer.add(other)
    buffer.finish(a.steps[-1].id, a.final_observation)
    buffer.finish(b.steps[-1].id, b.final_observation)
    slots = np.flatnonzero(buffer.sampleable(np.arange(len(buffer))))
    batch = buffer.gather(slots, Returns(0.9, 1, RewardWeights()))
    assert np.array_equal(batch.next_observation["state"], batch.observation["state"] + 1)
    assert len(slots) == 10


def test_a_step_delivered_twice_is_stored_once():
    buffer = ReplayBuffer(50, LAYOUT, 2)
    episode = make_episode(0, [Source.POLICY] * 4, True)
    assert [buffer.add(s) for s in (*episode.steps, *episode.steps)] == [True] * 4 + [False] * 4
    buffer.finish(episode.steps[-1].id, episode.final_observation)
    buffer.finish(episode.steps[-1].id, episode.final_observation)
    assert buffer.steps == 4 and buffer.written == 5


def test_an_unfinished_step_is_not_sampled():
    buffer = ReplayBuffer(50, LAYOUT, 2)
    episode = make_episode(0, [Source.POLICY] * 3, False)
    buffer.add(episode.steps[0])
    with pytest.raises(ValueError, match="no complete step"):
        buffer.draw(np.random.default_rng(0), 4)
    buffer.add(episode.steps[1])
    assert set(buffer.draw(np.random.default_rng(0), 20)) == {0}


def test_a_gap_in_the_person_segment_is_not_bridged():
    """Corrections alone in a buffer: the last step of one takeover must not lead into the next (HIL-SERL's does)."""
    buffer = ReplayBuffer(50, LAYOUT, 2)
    episode = make_episode(0, [Source.HUMAN, Source.POLICY, Source.HUMAN], False)
    buffer.add(episode.steps[0])
    buffer.finish(episode.steps[0].id, episode.steps[1].observation)
    buffer.add(episode.steps[2])
    buffer.finish(episode.steps[2].id, episode.final_observation)
    slots = np.flatnonzero(buffer.sampleable(np.arange(len(buffer))))
    batch = buffer.gather(slots, Returns(0.9, 3, RewardWeights()))
    assert batch.next_observation["state"][:, 0].tolist() == [1.0, 3.0]


@pytest.mark.parametrize(
    ("sources", "labels"),
    [
        ("PPPP", [0, 0, 0, 0]),
        ("PHHP", [-1, 0, 0, 0]),
        ("HPPH", [0, 0, -1, 0]),
        ("HHHH", [0, 0, 0, 0]),
        ("PHPH", [-1, 0, -1, 0]),
    ],
)
def test_takeover_label_falls_on_the_policy_step_before(sources, labels):
    buffer = ReplayBuffer(50, LAYOUT, 2)
    episode = make_episode(0, [Source.HUMAN if c == "H" else Source.POLICY for c in sources], False)
    buffer.add_episode(episode)
    reward = RewardWeights(environment=0.0, takeover_penalty=1.0)
    assert buffer.gather(np.arange(4), Returns(0.9, 1, reward)).reward.tolist() == labels


@pytest.mark.parametrize(
    ("source", "shown"),
    [(Source.HUMAN, [False, True, True]), (Source.DEMO, [True, True, True]), (Source.POLICY, [False] * 3)],
)
def test_a_correction_in_which_the_hand_rests_shows_nothing(source, shown):
    buffer = ReplayBuffer(50, LAYOUT, 2)
    buffer.add_episode(make_episode(0, [source] * 3, True))  # its first action is 0
    assert buffer.gather(np.arange(3), Returns(0.9, 1, RewardWeights())).shown.tolist() == shown


def test_mixture_keeps_its_fractions_and_lends_the_share_of_an_empty_buffer():
    full, empty = ReplayBuffer(50, LAYOUT, 2), ReplayBuffer(50, LAYOUT, 2)
    full.add_episode(make_episode(1, [Source.POLICY] * 6, True))
    rng = np.random.default_rng(0)
    assert len(next(Mixture((full, empty), (0.5, 0.5)).sample(rng, 8, Returns(0.9, 1, RewardWeights())))) == 8
    empty.add_episode(make_episode(2, [Source.DEMO] * 6, True))
    for batch in Mixture((full, empty), (0.25, 0.75)).sample(rng, 8, Returns(0.9, 1, RewardWeights()), parts=3):
        assert batch.shown.sum() == 6 and len(batch) == 8


def test_a_forgotten_episode_is_never_sampled_nor_are_others_touched():
    """Two actors write in turn; one's episode is thrown away, before and after a save in the middle of it."""
    for saved in (False, True):
        buffer = ReplayBuffer(40, LAYOUT, 2)
        mine, other = (make_episode(n, [Source.POLICY] * 4, True, actor) for n, actor in ((5, 0), (7, 1)))
        buffer.add_episode(make_episode(4, [Source.POLICY] * 3, True))
        for i, (a, b) in enumerate(zip(mine.steps, other.steps, strict=True)):
            if saved and i == 2:
                buffer, state = ReplayBuffer(40, LAYOUT, 2), buffer.state()
                buffer.load_state(*state)
            buffer.add(a)
            buffer.add(b)
        buffer.forget(mine.steps[-1].id)
        buffer.finish(other.steps[-1].id, other.final_observation)
        buffer.add_episode(make_episode(6, [Source.POLICY] * 2, True))
        left = np.flatnonzero(buffer.sampleable(np.arange(len(buffer))))
        seen = buffer.gather(left, Returns(0.9, 3, RewardWeights())).observation["state"][:, 0]
        assert sorted(int(value) // 100 for value in seen) == [4] * 3 + [6] * 2 + [7] * 4


def test_state_round_trip_continues_an_open_episode():
    buffer, again = ReplayBuffer(20, LAYOUT, 2), ReplayBuffer(20, LAYOUT, 2)
    episode = make_episode(0, [Source.POLICY] * 5, True)
    for step in episode.steps[:3]:
        buffer.add(step)
    again.load_state(*buffer.state())
    for each in (buffer, again):
        for step in episode.steps[3:]:
            each.add(step)
        each.finish(episode.steps[-1].id, episode.final_observation)
    draws = [b.gather(b.draw(np.random.default_rng(1), 16), Returns(0.9, 3, RewardWeights())) for b in (buffer, again)]
    assert np.array_equal(draws[0].observation["state"], draws[1].observation["state"])
    assert np.array_equal(draws[0].reward, draws[1].reward)
    with pytest.raises(ValueError, match="20 slots"):
        ReplayBuffer(21, LAYOUT, 2).load_state(*buffer.state())
