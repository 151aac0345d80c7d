"""The learner against problems whose answer is known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from robot_rl.base_policy import ZeroBase
from robot_rl.batch import Batch
from robot_rl.cloning_config import CloningConfig
from robot_rl.config import LearnerConfig
from robot_rl.gripper import CLOSE, HOLD, OPEN, GripperSpace
from robot_rl.networks import CriticEnsemble, EnsembleLinear
from robot_rl.perceptrons import MlpPolicy
from robot_rl.rlpd import RLPD

SMALL = LearnerConfig(width=32, critics=4, batch_size=64, learning_rate=1e-3, gamma=0.9, tau=0.02, averaging=0.05)


def make_batch(state, action, reward, discount, next_state) -> Batch:
    as32 = lambda x: np.asarray(x, np.float32)  # noqa: E731
    action = as32(action)
    zero = np.zeros_like(action)
    human = np.zeros(len(action), bool)
    return Batch(
        {"state": as32(state)}, action, zero, as32(reward), as32(discount), {"state": as32(next_state)}, zero, human
    )


def chain(rng: np.random.Generator, n: int) -> Batch:
    """Three states in a row as one-hot vectors, any action moves on, reward 1 and termination on leaving the last."""
    at = rng.integers(0, 3, n)
    state, last = np.eye(3)[at], at == 2
    following = np.eye(3)[np.minimum(at + 1, 2)]
    return make_batch(state, rng.uniform(-1, 1, (n, 1)), last, np.where(last, 0.0, 0.9), following)


def test_critic_converges_to_the_analytic_values_of_a_chain():
    agent, rng = RLPD(SMALL, 3, 1, seed=0), np.random.default_rng(0)
    for _ in range(150):
        agent.update([chain(rng, 64) for _ in range(4)], train_actor=False)
    values = [agent.value({"state": np.eye(3, dtype=np.float32)[i]}, np.zeros(1, np.float32)) for i in range(3)]
    assert values == pytest.approx([0.81, 0.9, 1.0], abs=0.05)


def test_truncation_bootstraps_and_termination_does_not():
    """One state that never ends is worth r / (1 - γ); the same with termination is worth r."""
    state = np.ones((64, 1))
    ends, goes_on = RLPD(SMALL, 1, 1, seed=1), RLPD(SMALL, 1, 1, seed=1)
    rng = np.random.default_rng(0)
    for _ in range(250):
        action = rng.uniform(-1, 1, (64, 1))
        ends.update([make_batch(state, action, np.full(64, 0.1), np.zeros(64), state)] * 2, train_actor=False)
        goes_on.update([make_batch(state, action, np.full(64, 0.1), np.full(64, 0.5), state)] * 2, train_actor=False)
    one, zero = {"state": np.ones(1, np.float32)}, np.zeros(1, np.float32)
    assert ends.value(one, zero) == pytest.approx(0.1, abs=0.02)
    assert goes_on.value(one, zero) == pytest.approx(0.2, abs=0.03)


def test_identity_task_is_solved():
    """Reward is closeness of the action to the observation: the best action repeats what is seen."""
    agent, rng = RLPD(SMALL, 2, 2, seed=0), np.random.default_rng(0)
    for _ in range(300):
        state, action = rng.uniform(-0.8, 0.8, (64, 2)), rng.uniform(-1, 1, (64, 2))
        agent.update([make_batch(state, action, -((state - action) ** 2).sum(1), np.zeros(64), state)] * 2)
    seen = rng.uniform(-0.7, 0.7, (32, 2)).astype(np.float32)
    done = np.stack([agent.act({"state": s}, deterministic=True) for s in seen])
    assert np.abs(done - seen).mean() < 0.1


class Steerable(ZeroBase):
    """A base whose action is its noise."""

    noise_dim = 1

    def decode(self, state: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        return noise.clamp(-1.0, 1.0)


@pytest.mark.parametrize("actor", ["gaussian", "residual", "latent_noise"])
def test_critic_only_updates_leave_the_actor_untouched(actor):
    config = dataclasses.replace(SMALL, actor=actor)
    agent, rng = RLPD(config, 3, 1, seed=0, base=Steerable(1)), np.random.default_rng(0)
    agent.update([chain(rng, 64)])  # its Adam now has momentum: a zero gradient would still move the weights
    before = {name: t.clone() for name, t in agent.state_dict().items() if "actor" in name}
    agent.update([chain(rng, 64)], train_actor=False)
    newest = agent.state_dict()  # shares memory with the weights
    assert all(torch.equal(newest[name], t) for name, t in before.items())
    assert {name.split(".")[0] for name in before} == {"actor", "average_actor"}
    agent.update([chain(rng, 64)])
    assert not all(torch.equal(newest[name], t) for name, t in before.items())


@pytest.mark.parametrize("gripper", [-1.0, 0.0, 1.0])
@pytest.mark.parametrize("commanded", [-1.0, 1.0])
def test_a_new_residual_with_a_gripper_executes_the_base_bit_for_bit(gripper, commanded):
    """The gripper too: its critic has no opinion yet. A base that wants nothing of the gripper leaves it as it is."""
    agent = RLPD(dataclasses.replace(SMALL, actor="residual"), 2, 4, gripper_index=1, base=ZeroBase(4))
    rng = np.random.default_rng(0)
    for _ in range(20):
        base = np.append(rng.uniform(-1, 1, 3), gripper).astype(np.float32)
        state = np.array([rng.uniform(-1, 1), commanded], np.float32)
        done = agent.act({"state": state}, deterministic=True, base_action=base)
        assert np.array_equal(done[:3], base[:3])
        assert done[3] == (gripper or commanded)


def test_a_gripper_over_a_base_departs_from_it_where_that_pays():
    """The base never opens; opening pays by far more than the bonus for agreeing with it."""
    config = dataclasses.replace(SMALL, actor="residual")
    agent, rng = RLPD(config, 2, 3, gripper_index=1, base=ZeroBase(3)), np.random.default_rng(0)
    for _ in range(150):
        state = np.stack([rng.uniform(-1, 1, 64), np.full(64, -1.0)], 1)
        action = np.concatenate([rng.uniform(-1, 1, (64, 2)), rng.choice([-1.0, 1.0], (64, 1))], 1)
        reward = ((state[:, 0] > 0) & (action[:, 2] > 0)).astype(float)
        agent.update([make_batch(state, action, reward, np.zeros(64), state)] * 2)
    zero = np.zeros(3, np.float32)
    assert agent.act({"state": np.array([0.5, -1.0], np.float32)}, True, zero)[2] == 1.0
    assert agent.act({"state": np.array([-0.5, -1.0], np.float32)}, True, zero)[2] == -1.0


@pytest.mark.parametrize(("worth_more", "opens"), [(0.15, False), (0.25, True)])
def test_a_gripper_over_a_base_is_not_let_go_for_what_a_critic_errs_by(worth_more, opens):
    """What falls out of the hand is mostly lost for good."""
    config = LearnerConfig(actor="residual", width=16)
    agent = RLPD(config, 2, 3, gripper_index=1, base=ZeroBase(3))
    with torch.no_grad():
        agent.gripper.online.layers[-1].bias[..., OPEN] = worth_more
    done = agent.act({"state": np.array([0.0, -1.0], np.float32)}, True, np.array([0.0, 0.0, -1.0], np.float32))
    assert done[2] == (1.0 if opens else -1.0)


def test_a_gripper_change_is_penalised_in_its_own_critic_on_every_update():
    """Nothing is ever rewarded: what holding and changing are worth differs by the penalty, and by nothing for Q."""
    agent, state = RLPD(SMALL, 1, 2, gripper_index=0), np.full((64, 1), -1.0)
    assert agent.gripper is not None
    for i in range(200):
        action = np.stack([np.zeros(64), np.where(np.arange(64) % 2, 1.0, -1.0)], 1)
        agent.update([make_batch(state, action, np.zeros(64), np.zeros(64), state)], train_actor=i % 2 == 0)
    _, hold, opening = agent.gripper.online(torch.full((1, 1), -1.0)).mean(0)[0].tolist()
    assert opening == pytest.approx(SMALL.gripper_change_penalty, abs=0.005) and abs(hold) < 0.005
    seen = {"state": np.array([-1.0], np.float32)}
    assert agent.value(seen, np.array([0.0, 1.0], np.float32)) == pytest.approx(0.0, abs=0.01)


def test_a_residual_needs_its_base_and_its_bases_action():
    config = dataclasses.replace(SMALL, actor="residual")
    with pytest.raises(ValueError, match="works over a base policy"):
        RLPD(config, 3, 1)
    with pytest.raises(ValueError, match="give base_action"):
        RLPD(config, 3, 1, base=ZeroBase(1)).act({"state": np.zeros(3, np.float32)})


def test_the_base_is_no_part_of_what_is_trained_or_saved():
    base = MlpPolicy(CloningConfig(width=8, depth=1), 3, 1)
    agent = RLPD(dataclasses.replace(SMALL, actor="residual"), 3, 1, base=base)
    assert agent.base is base and base not in list(agent.modules())


def test_actor_update_leaves_the_critic_untouched():
    agent, rng = RLPD(SMALL, 3, 1, seed=0), np.random.default_rng(0)
    batch = chain(rng, 64)
    agent.update([batch])
    before = [p.detach().clone() for p in agent.critic.parameters()]
    placed = batch.map(agent.compute.tensor)
    now = agent._context(placed.observation, placed.base_action)
    agent._update_actor(now, placed.action, placed.shown)
    assert all(torch.equal(a, b) for a, b in zip(agent.critic.parameters(), before, strict=True))
    assert all(p.grad is None or p.requires_grad for p in agent.critic.parameters())


def test_heads_are_independent_and_a_subset_equals_the_whole():
    critic = CriticEnsemble(5, heads=6, width=16)
    x = torch.randn(7, 5)
    assert torch.allclose(critic.subset(x, torch.tensor([4, 1])), critic(x)[[4, 1]], atol=1e-6)
    loss = (critic(x)[2] ** 2).mean()
    loss.backward()
    first = next(m for m in critic.layers if isinstance(m, EnsembleLinear))
    touched = first.weight.grad.abs().sum((1, 2)) > 0
    assert touched.tolist() == [False, False, True, False, False, False]


def test_critic_loss_is_each_heads_own_error():
    """Two heads that miss by +1 and -1 err by 1 on average, not by 0 (the square of their mean)."""
    agent = RLPD(LearnerConfig(critics=2, width=8), 1, 1)
    with torch.no_grad():
        for parameter in agent.critic.parameters():
            parameter.zero_()
        agent.critic.layers[-1].bias[:, 0, 0] = torch.tensor([1.0, -1.0])
    at = make_batch(*[np.zeros((4, 1))] * 2, np.zeros(4), np.zeros(4), np.zeros((4, 1)))
    loss = agent.update([at], train_actor=False)["critic_loss"]
    assert float(loss) == pytest.approx(1.0)


def test_gripper_choices_and_targets_are_inverse():
    space = GripperSpace(0)
    for commanded in (-1.0, 0.0, 1.0):
        state = torch.tensor([[commanded]])
        for target in {-1.0, 1.0, commanded}:
            choice = space.choice(state, torch.tensor([target]))
            assert space.target(state, choice).item() == target
            assert not space.forbidden(state)[0, choice].item()
    closed = torch.tensor([[-1.0]])
    assert space.forbidden(closed)[0].tolist() == [True, False, False]
    assert space.choice(closed, torch.tensor([1.0])).item() == OPEN != HOLD != CLOSE


def test_gripper_learns_when_to_open():
    """Opening pays where the first entry is positive, and costs the change penalty elsewhere."""
    agent, rng = RLPD(SMALL, 2, 3, gripper_index=1, seed=0), np.random.default_rng(0)
    for _ in range(150):
        state = np.stack([rng.uniform(-1, 1, 64), np.full(64, -1.0)], 1)
        action = np.concatenate([rng.uniform(-1, 1, (64, 2)), rng.choice([-1.0, 1.0], (64, 1))], 1)
        reward = ((state[:, 0] > 0) & (action[:, 2] > 0)).astype(float)
        agent.update([make_batch(state, action, reward, np.zeros(64), state)] * 2)
    assert agent.act({"state": np.array([0.5, -1.0], np.float32)}, True)[2] == 1.0
    assert agent.act({"state": np.array([-0.5, -1.0], np.float32)}, True)[2] == -1.0


def test_same_seed_same_weights():
    runs = []
    for _ in range(2):
        agent, rng = RLPD(SMALL, 3, 1, seed=3), np.random.default_rng(0)
        for _ in range(3):
            agent.update([chain(rng, 64)])
        runs.append(agent.state_dict())
    assert all(torch.equal(runs[0][k], runs[1][k]) for k in runs[0])


def test_targets_are_clipped_to_the_bounds_of_any_return():
    bounded = RLPD(dataclasses.replace(SMALL, value_bounds=(0.0, 1.0)), 1, 1)
    one = np.ones((8, 1))
    for reward, clipped in ((5.0, 1.0), (-5.0, 0.0)):
        metrics = bounded.update([make_batch(one, one, np.full(8, reward), np.zeros(8), one)], train_actor=False)
        assert float(metrics["target_q"]) == clipped


def test_imitation_follows_the_person_and_nobody_else():
    """Rewards are zero: only the imitation term tells the actor anything, and only on the person's rows."""
    agent, rng = RLPD(dataclasses.replace(SMALL, imitation_weight=1.0), 1, 1), np.random.default_rng(0)
    for _ in range(150):
        person = rng.random(64) < 0.5
        state = np.where(person, 1.0, -1.0)[:, None]
        batch = make_batch(state, np.full((64, 1), 0.6), np.zeros(64), np.zeros(64), state)
        agent.update([dataclasses.replace(batch, shown=person)])
    shown = agent.act({"state": np.ones(1, np.float32)}, deterministic=True)[0]
    assert shown == pytest.approx(0.6, abs=0.1)
    own = agent.act({"state": -np.ones(1, np.float32)}, deterministic=True)[0]
    assert abs(own - 0.6) > 0.1


def test_with_a_margin_the_gripper_does_as_people_did_where_nothing_is_paid_yet():
    """They never opened it. That opening pays elsewhere is no reason to open it where they held on."""

    def opened(margin: float) -> float:
        agent = RLPD(dataclasses.replace(SMALL, gripper_margin=margin), 2, 3, gripper_index=1)
        rng = np.random.default_rng(0)
        for _ in range(100):
            state = np.stack([rng.uniform(-1, 1, 64), np.full(64, -1.0)], 1)
            human = rng.random(64) < 0.5
            state[:, 0] = np.where(human, -np.abs(state[:, 0]), np.abs(state[:, 0]))
            action = np.concatenate([rng.uniform(-1, 1, (64, 2)), np.where(human, -1.0, 1.0)[:, None]], 1)
            batch = make_batch(state, action, (~human).astype(float), np.zeros(64), state)
            agent.update([dataclasses.replace(batch, shown=human)] * 2)
        held = [np.array([x, -1.0], np.float32) for x in np.linspace(-1.0, -0.2, 20)]
        return float(np.mean([agent.act({"state": state}, True)[2] > 0 for state in held]))

    assert opened(0.0) > 0.5
    assert opened(0.2) == 0.0
