"""The scripted person against a small world: an arm on a rail that the policy moves and the person corrects."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np
import pytest

from hardware.interfaces import ZERO6, Gripper, TeleopDevice, TeleopSample, Vector6
from sim.scripted_human import ScriptedHuman
from sim.skill import SKILLS, Skill
from sim.takeover import Always, AnyOf, Handover, LeavingFunnel, Never, NoProgress, Situation, ValueDrop

POLL_S = 0.01
STEADY = Skill(reaction_delay_s=0.3, hand_delay_s=0.1, speed=1.0, noise=0.0, bias=0.0, lapses_per_min=0.0)


@dataclass
class Rail:
    """One axis from 0 to 1; the funnel is everything below ``edge``; a hand at full deflection crosses it in 5 s."""

    position: float = 0.0
    edge: float = 10.0
    policy_speed: float = 0.0
    log: list[TeleopSample] = field(default_factory=list)

    def guide(self, now: float) -> tuple[Vector6, Gripper]:
        return (1.0 if self.position < self.edge else -1.0, 0.0, 0.0, 0.0, 0.0, 0.0), Gripper.CLOSE

    def progress(self) -> float:
        return self.position

    def in_funnel(self) -> bool:
        return self.position <= self.edge

    def run(self, person: ScriptedHuman, seconds: float, start: float = 0.0) -> list[TeleopSample]:
        self.log = []
        for tick in range(round(seconds / POLL_S)):
            sample = person.read(start + tick * POLL_S)
            self.log.append(sample)
            self.position += POLL_S * (0.2 * sample.twist[0] if sample.takeover else self.policy_speed)
        return self.log


def person(rail: Rail, rule, skill: Skill = STEADY, seed: int = 0, **handover: float) -> ScriptedHuman:
    someone = ScriptedHuman(rail, skill, rule, seed, Handover(**handover))
    someone.new_episode(0)
    return someone


def times_driving(log: list[TeleopSample]) -> list[tuple[float, float]]:
    """Start and end of every takeover, s."""
    driving = np.array([False, *(s.takeover for s in log), False])
    edges = np.flatnonzero(driving[1:] != driving[:-1])
    return [(log[a].heartbeat_s, log[min(b, len(log) - 1)].heartbeat_s) for a, b in edges.reshape(-1, 2)]


def test_is_a_teleop_device_whose_reader_beats_every_poll():
    rail = Rail()
    someone = person(rail, Never())
    assert isinstance(someone, TeleopDevice)
    log = rail.run(someone, 1.0)
    assert [s.heartbeat_s for s in log] == [tick * POLL_S for tick in range(100)]
    assert all(s.twist == ZERO6 and not s.takeover and s.gripper == Gripper.HOLD for s in log)


def test_no_progress_takes_over_after_patience_and_reaction_and_hands_back_after_the_rescue():
    rail = Rail(policy_speed=0.0)
    log = rail.run(person(rail, NoProgress(2.0), min_drive_s=1.0, regain=0.3, refractory_s=1.0), 20.0)
    first, second = times_driving(log)[:2]
    assert 2.0 + 0.8 * 0.3 <= first[0] <= 2.0 + 1.3 * 0.3 + 0.25
    # 0.3 of progress takes 1.5 s at full deflection; then comes one more reaction.
    assert 1.6 <= first[1] - first[0] <= 2.3
    assert second[0] - first[1] >= 2.0


def test_a_policy_that_gets_on_is_left_alone():
    rail = Rail(policy_speed=0.05)
    assert times_driving(rail.run(person(rail, AnyOf((NoProgress(2.0), LeavingFunnel()))), 20.0)) == []


def test_leaving_the_funnel_takes_over_and_release_waits_for_return():
    rail = Rail(position=0.0, edge=0.5, policy_speed=0.5)
    someone = person(rail, LeavingFunnel(0.3), min_drive_s=0.2, regain=-1.0)
    log = rail.run(someone, 5.0)
    (start, end), *_ = times_driving(log)
    assert 1.3 <= start <= 2.0
    assert min(s.twist[0] for s in log) == -1.0  # pulled back
    assert end > start + 0.2 and someone.stats.takeovers >= 1


def test_value_drop_watches_a_callable():
    rail = Rail()
    value = iter([*np.ones(10), *np.full(10, 0.5), *np.full(500, 1.0)]).__next__
    log = rail.run(person(rail, ValueDrop(value, drop=0.2), regain=0.0), 6.0)
    ((start, end),) = times_driving(log)
    assert 1.0 <= start <= 1.6  # the eleventh judgement, a tenth of a second each, then a reaction
    assert end - start >= 1.0


def test_always_demonstrates_from_the_first_poll_to_the_last():
    rail = Rail()
    log = rail.run(person(rail, Always()), 4.0)
    assert all(s.takeover for s in log)
    assert log[5].twist == ZERO6  # the hand follows the eye
    assert log[20].twist[0] == 1.0 and log[20].gripper == Gripper.CLOSE


def test_what_needs_help_again_gets_more_of_it():
    rail = Rail(policy_speed=0.0)
    log = rail.run(person(rail, NoProgress(1.0), min_drive_s=0.2, regain=0.1, refractory_s=0.5), 30.0)
    lengths = [end - start for start, end in times_driving(log)[:3]]
    # 0.1, 0.2 and 0.4 of progress at 0.2 a second, each after the hand's delay and before one more reaction.
    assert lengths[1] - lengths[0] == pytest.approx(0.5, abs=0.25)
    assert lengths[2] - lengths[1] == pytest.approx(1.0, abs=0.25)


def test_a_resting_person_neither_drives_nor_watches():
    rail = Rail()
    someone = person(rail, Always())
    rail.run(someone, 1.0)
    someone.rest()
    before = someone.stats.watching_s, someone.stats.driving_s
    assert not any(s.takeover for s in rail.run(someone, 1.0, start=1.0))
    assert (someone.stats.watching_s, someone.stats.driving_s) == before
    someone.new_episode(1)
    assert all(s.takeover for s in rail.run(someone, 1.0, start=2.0))


def test_attention_is_counted_and_not_across_a_reset():
    rail = Rail()
    someone = person(rail, Always())
    rail.run(someone, 2.0)
    someone.new_episode(1)
    rail.run(someone, 3.0, start=100.0)
    assert someone.stats.watching_s == pytest.approx(5.0, abs=0.05)
    assert someone.stats.driving_s == pytest.approx(5.0, abs=0.05)
    assert (someone.stats.takeovers, someone.stats.episodes) == (2, 2)
    assert someone.episode.driving_s == pytest.approx(3.0, abs=0.05)


def test_same_seed_same_hand_and_other_seed_another():
    def hand(person_seed: int, episode_seed: int) -> list[Vector6]:
        rail = Rail()
        someone = ScriptedHuman.of_level(rail, "novice", "always", person_seed)
        someone.new_episode(episode_seed)
        return [s.twist for s in rail.run(someone, 10.0)]

    assert hand(3, 5) == hand(3, 5)
    assert hand(3, 5) != hand(3, 6)
    assert hand(3, 5) != hand(4, 5)


def test_levels_differ_in_error_and_speed():
    def error_and_speed(level: str) -> tuple[float, float]:
        hands = []
        for seed in range(8):
            rail = Rail()
            someone = ScriptedHuman.of_level(rail, level, "always", seed)
            someone.new_episode(seed)
            hands += [s.twist for s in rail.run(someone, 10.0)[50:]]
        return float(np.std(np.array(hands)[:, 1:])), float(np.mean(np.array(hands)[:, 0]))

    (novice, slow), (middle, brisk), (expert, fast) = map(error_and_speed, ("novice", "intermediate", "expert"))
    assert novice > middle > expert > 0
    assert slow < brisk < fast


def test_deflection_never_exceeds_the_stick():
    rail = Rail()
    wild = Skill(0.1, 0.0, 1.0, noise=2.0, bias=1.0, lapses_per_min=60.0)
    twists = np.array([s.twist for s in rail.run(person(rail, Always(), wild), 20.0)])
    assert np.abs(twists).max() == 1.0


def test_unknown_names_are_refused_with_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'expert'"):
        ScriptedHuman.of_level(Rail(), "expret")
    with pytest.raises(ValueError, match="did you mean 'no_progress'"):
        ScriptedHuman.of_level(Rail(), "expert", "noprogress")
    assert set(SKILLS) == {"novice", "intermediate", "expert"}


def test_any_of_keeps_every_rule_informed():
    late = LeavingFunnel(0.3)
    rule = AnyOf((NoProgress(1.0), late))
    rule.reset(Situation(0.0, 0.0, True))
    assert rule.alarmed(Situation(1.5, 0.0, True))  # the first is alarmed; the second must still have looked
    assert not late.alarmed(Situation(1.7, 0.0, False))


def test_a_resting_poll_is_cheap():
    rail = Rail()
    someone = person(rail, NoProgress(1e9))
    took = []
    for start in range(5):
        began = time.perf_counter()
        for tick in range(2000):
            someone.read(start * 20.0 + tick * POLL_S)
        took.append((time.perf_counter() - began) / 2000)
    assert min(took) < 20e-6  # 3 µs where it was measured; the limit only catches a blunder


@pytest.mark.parametrize("task", ["PegInsertion", "PickAndInsert"])
def test_an_episode_comes_out_the_same_whatever_was_done_before(task: str) -> None:
    """A run that goes on after an interruption must meet the same person."""
    from robot_rl.demonstrations import RestingPolicy
    from robot_rl.rollout import EnvSpec, Rollout

    spec = EnvSpec(f"sim:{task}-v0", {"person": "intermediate", "takeover": "always", "max_steps": 40})
    episodes = []
    for first in (0, 2):
        env = spec.make()
        rollout = Rollout(env, spec, "run", seed=0, first_episode=first)
        *_, last = rollout.episodes(RestingPolicy(env.action_space.shape[0]), 3 - first)
        episodes.append(np.stack([step.executed_action for step in last.steps]))
    assert np.array_equal(*episodes)
