"""The learner apart from its environment: where steps go, which phase does what, what a base's version decides."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from hardware.interfaces import Source
from robot_rl.base_policy import ZeroBase
from robot_rl.config import LearnerConfig, TrainConfig
from robot_rl.off_policy import OffPolicyLearner
from robot_rl.types import Episode, EpisodeHeader, Step, StepId

LAYOUT = {"state": ((2,), np.dtype(np.float32))}
SMALL = LearnerConfig(width=8, batch_size=8, critics=2, utd_ratio=2, replay_capacity=500)
CONFIG = TrainConfig(warmup_steps=10, critic_only_updates=4, learner=SMALL)
OVER_BASE = dataclasses.replace(CONFIG, learner=dataclasses.replace(SMALL, actor="residual"))


def episode(number: int, sources: str, run: str = "run") -> Episode:
    """P: the policy's steps, H: the person's, D: a demonstration's."""
    rng, steps = np.random.default_rng(number), []
    named = {"P": Source.POLICY, "H": Source.HUMAN, "D": Source.DEMO}
    for i, letter in enumerate(sources):
        last = i == len(sources) - 1
        taken = letter == "H" and (i == 0 or sources[i - 1] != "H")
        state = {"state": np.array([100 * number + i, 0], np.float32)}
        action = rng.uniform(-1, 1, 3).astype(np.float32)
        step_id = StepId(run, 0, number, i)
        ends = (last, False, last)
        base = np.full(3, 0.1 * i, np.float32)
        steps.append(Step(step_id, state, action, action, base, named[letter], taken, float(last), *ends, 0.1 * i))
    final = {"state": np.array([100 * number + len(sources), 0], np.float32)}
    return Episode(EpisodeHeader(run, 0, number, "test", 0, 10.0, 3), steps, final, np.full(3, 0.9, np.float32))


def feed(learner: OffPolicyLearner, episodes: list[Episode], learn: bool = False) -> None:
    for each in episodes:
        for step in each.steps:
            learner.remember(step)
            if step.is_last:
                learner.finish(step.id, each.final_observation, each.final_base_action)
            if learn:
                learner.learn()


def make(config: TrainConfig = CONFIG, **options: object) -> OffPolicyLearner:
    return OffPolicyLearner(config, LAYOUT, 3, seed=0, **options)  # type: ignore[arg-type]


def test_every_step_goes_online_and_every_corrected_step_into_both():
    learner = make()
    feed(learner, [episode(1, "PPHHHPPHP"), episode(2, "PPPHH")])
    assert learner.online.steps == 14 and learner.prior.steps == 6
    slots = np.flatnonzero(learner.prior.sampleable(np.arange(len(learner.prior))))
    batch = learner.prior.gather(slots, dataclasses.replace(learner.returns, n_step=1))
    at, following = batch.observation["state"][:, 0], batch.next_observation["state"][:, 0]
    assert at.tolist() == [102, 103, 104, 107, 203, 204]
    assert following.tolist() == [103, 104, 105, 108, 204, 205], "a correction's last step leads to what followed it"
    assert batch.shown.all()


def test_a_discarded_episode_is_forgotten_with_its_corrections():
    learner = make()
    feed(learner, [episode(1, "PPHH")])
    for step in episode(2, "PHHPHP").steps:
        learner.remember(step)
    learner.forget(step.id)
    feed(learner, [episode(3, "HP")])
    for buffer, left in ((learner.online, [100, 101, 102, 103, 300, 301]), (learner.prior, [102, 103, 300])):
        slots = np.flatnonzero(buffer.sampleable(np.arange(len(buffer))))
        assert buffer.gather(slots, learner.returns).observation["state"][:, 0].tolist() == left
    assert learner.governor.steps == 12, "its steps were taken, and paid for updates"


def test_the_next_base_action_is_the_one_stored_at_collection():
    learner = make(OVER_BASE, base=ZeroBase(3))
    feed(learner, [episode(1, "PPHHP")])
    for buffer, expected in ((learner.online, [0.1, 0.2, 0.3, 0.4, 0.9]), (learner.prior, [0.3, 0.4])):
        slots = np.flatnonzero(buffer.sampleable(np.arange(len(buffer))))
        batch = buffer.gather(slots, dataclasses.replace(learner.returns, n_step=1))
        assert batch.next_base_action[:, 0].tolist() == pytest.approx(expected)


def test_demonstrations_are_the_prior_or_count_as_collected():
    shown = [episode(1, "DDDD", run="demo")]
    learner, collected = (
        make(),
        make(dataclasses.replace(CONFIG, learner=dataclasses.replace(SMALL, demos_online=True))),
    )
    learner.show(shown)
    collected.show(shown)
    assert (learner.online.steps, learner.prior.steps) == (0, 4)
    assert (collected.online.steps, collected.prior.steps) == (4, 0)
    assert collected.governor.steps == 0, "what people showed does not pay for updates"


def test_own_successes_share_the_priors_part_step_for_step():
    """Half of 8 rows is the prior's: demonstrations and a correction, of 4 steps, and a success of 9 share it."""
    learner = make(dataclasses.replace(CONFIG, learner=dataclasses.replace(SMALL, own_successes=True, n_step=1)))
    learner.show([episode(1, "DDD", run="demo")])
    feed(learner, [episode(2, "PPHPPP")])
    assert learner.mixture.fractions == (0.5, 0.5, 0.0), "that one was helped"
    feed(learner, [episode(3, "PPPPPPPPP")])
    assert learner.mixture.fractions == pytest.approx((0.5, 2 / 13, 4.5 / 13))
    again = make(learner.config)
    again.show([episode(1, "DDD", run="demo")])
    again.load_state(*learner.state())
    assert again.mixture.fractions == learner.mixture.fractions, "nothing is saved: it is looked for"
    numbers = (next(learner._sample(1)).observation["state"][:, 0] // 100).astype(int).tolist()
    assert numbers[4] in (1, 2) and numbers[5:] == [3, 3, 3]
    learner.forget(StepId("run", 0, 3, 8))
    assert learner.mixture.fractions == (0.5, 0.5, 0.0)
    assert make().mixture.fractions == (0.5, 0.5, 0.0)


def test_phases_collection_then_critic_only_then_joint():
    learner = make()
    actor = {k: v.clone() for k, v in learner.agent.actor.state_dict().items()}
    feed(learner, [episode(1, "PPPPPPPPP")], learn=True)
    assert (learner.critic_updates, learner.actor_updates) == (0, 0)
    for step in episode(2, "PP").steps[:1]:
        learner.remember(step)
    assert learner.governor.due == 1
    learner.update(train_actor=False)
    assert all(torch.equal(v, actor[k]) for k, v in learner.agent.actor.state_dict().items())
    learner.learn()
    assert (learner.critic_updates, learner.actor_updates) == (2 + 4 + 2, 1)
    assert learner.learn() == {} and learner.critic_updates == 8, "no data, no update"


def test_a_pretrained_actor_does_as_shown():
    cloning = dataclasses.replace(CONFIG.cloning, steps=600)
    learner = make(dataclasses.replace(CONFIG, pretrain_actor=True, cloning=cloning))
    shown = [episode(i, "DDDD", run="demo") for i in range(3)]
    for each in shown:
        each.steps = [dataclasses.replace(s, executed_action=np.full(3, 0.5, np.float32)) for s in each.steps]
    learner.show(shown)
    action = learner.agent.act(shown[0].steps[0].observation, deterministic=True)
    assert action.tolist() == pytest.approx([0.5] * 3, abs=0.1)


def test_another_base_is_refused_on_resume():
    learner, other = make(OVER_BASE, base=ZeroBase(3)), ZeroBase(3)
    other.version = "other"
    saved = learner.state()
    with pytest.raises(ValueError, match="trained over base 'zero', this one is 'other'"):
        make(OVER_BASE, base=other).load_state(*saved)
    make(OVER_BASE, base=ZeroBase(3)).load_state(*saved)


def test_another_normaliser_than_the_replays_is_refused():
    learner = make()
    learner.agent.normalize_states_by(np.array([[1.0, 0.0], [3.0, 0.0]], np.float32))
    assert learner.agent.state_std.tolist() == pytest.approx([1.0, 0.01]), "floored where nothing varied"
    tensors, metadata = learner.state()
    make().load_state(tensors, metadata)
    tensors["agent"] = {**tensors["agent"], "state_mean": torch.ones(2)}
    with pytest.raises(ValueError, match="normaliser"):
        make().load_state(tensors, metadata)


def test_lost_plasticity_would_show():
    learner = make()
    feed(learner, [episode(i, "PPPPPP") for i in range(4)])
    well = learner.health()
    assert well["effective_rank"] > 1.0 and well["dead_units"] < 1.0
    last = learner.agent.critic.layers[-3]
    with torch.no_grad():
        for parameter in last.parameters():
            parameter.zero_()
    ill = learner.health()
    assert ill["dead_units"] == 1.0 and ill["effective_rank"] == 1.0


def test_a_health_check_changes_nothing_of_the_training():
    checked, unchecked = make(), make()
    for learner in (checked, unchecked):
        feed(learner, [episode(i, "PPPPPP") for i in range(4)], learn=True)
        if learner is checked:
            learner.health()
        feed(learner, [episode(9, "PPPPPP")], learn=True)
    ours, theirs = checked.agent.state_dict(), unchecked.agent.state_dict()
    assert all(torch.equal(ours[k], theirs[k]) for k in ours)
