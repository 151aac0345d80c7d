"""The contract of actor heads, and what each of them promises."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from robot_rl.actor_heads import ActorHead, Context, GaussianHead, LatentNoiseHead, ResidualHead, make_head
from robot_rl.config import LatentNoiseConfig, LearnerConfig, ResidualConfig

INPUTS, ACTION, ARM, NOISE, N = 5, 4, 3, 2, 32
SMALL = LearnerConfig(width=16)
STEER = torch.tensor([[0.5, -0.2, 0.1, 0.0], [0.0, 0.3, -0.4, 0.0]])


def decode(noise: torch.Tensor) -> torch.Tensor:
    """A black box from noise to actions; numpy inside, so that nothing can be differentiated through it."""
    return torch.from_numpy(np.tanh(noise.numpy() @ STEER.numpy()))


def context(seed: int = 0, n: int = N) -> Context:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(n, INPUTS, generator=generator)
    base = torch.rand(n, ACTION, generator=generator) * 2 - 1
    return Context(features, base, decode)


def head(actor: str, seed: int = 0, **residual: float) -> ActorHead:
    config = dataclasses.replace(SMALL, actor=actor, residual=ResidualConfig(**residual))  # type: ignore[arg-type]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make_head(config, INPUTS, ACTION, ARM, NOISE)


def scrambled(residual: ActorHead) -> ActorHead:
    """A residual that has learned something."""
    assert isinstance(residual, ResidualHead)
    with torch.no_grad():
        residual.out.weight.normal_(generator=torch.Generator().manual_seed(1))
    return residual


def drawn(any_head: ActorHead, seed: int = 0, n: int = N) -> torch.Tensor:
    return any_head.draw(n, torch.Generator().manual_seed(seed))


@pytest.fixture(params=["gaussian", "residual", "latent_noise"])
def any_head(request: pytest.FixtureRequest) -> ActorHead:
    return head(request.param)


# -- the contract ------------------------------------------------------------------------------------------------------


def test_actions_and_targets_are_within_bounds_and_follow_the_noise(any_head: ActorHead):
    for call in (any_head.act, lambda c, noise: any_head.target(c, noise)[0]):
        first, again = (call(context(), drawn(any_head, seed=3)) for _ in range(2))
        assert first.shape == (N, ARM) and first.abs().max() <= 1.0
        assert torch.equal(first, again)
        assert not torch.equal(first, call(context(), drawn(any_head, seed=4)))


def test_noise_is_standard_normal_and_no_two_draws_the_same(any_head: ActorHead):
    generator = torch.Generator().manual_seed(0)
    one, other = (any_head.draw(3000, generator) for _ in range(2))
    assert one.shape == (3000, any_head.noise_dim) and not torch.equal(one, other)
    assert float(one.mean()) == pytest.approx(0.0, abs=0.05) and float(one.std()) == pytest.approx(1.0, abs=0.05)


def test_the_loss_moves_actions_towards_what_is_valued(any_head: ActorHead):
    """Value is closeness to an action that all of these heads can reach."""
    wanted = decode(torch.full((N, NOISE), 0.8))[:, :ARM]
    at = dataclasses.replace(context(), base_action=torch.cat([wanted - 0.2, torch.zeros(N, 1)], dim=-1))
    optimizer = torch.optim.Adam(any_head.parameters(), 5e-3)
    generator = torch.Generator().manual_seed(0)

    @torch.no_grad()
    def distance() -> float:
        return float((any_head.act(at, None) - wanted).abs().mean())

    before = distance()
    for _ in range(600):
        noises = [any_head.draw(N, generator) for _ in range(any_head.loss_draws)]
        loss, metrics = any_head.loss(at, lambda action: -((action - wanted) ** 2).sum(-1), noises)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert distance() < 0.5 * before
    assert {"actor_loss", "actor_q"} <= metrics.keys()


def test_encode_gives_targets_for_the_mean(any_head: ActorHead):
    target, valid = any_head.encode(torch.zeros(N, ARM), context())
    assert target.shape == valid.shape == any_head.mean(context()).shape
    assert valid.dtype == torch.bool


# -- Gaussian ----------------------------------------------------------------------------------------------------------


def test_log_probabilities_are_those_of_the_squashed_gaussian():
    gaussian = head("gaussian")
    assert isinstance(gaussian, GaussianHead)
    features = context().features
    action, log_prob = gaussian.sample(features, drawn(gaussian))
    mean, log_std = gaussian(features)
    normal = torch.distributions.Normal(mean, log_std.exp())
    squashed = torch.distributions.TransformedDistribution(normal, torch.distributions.TanhTransform())
    assert torch.allclose(log_prob, squashed.log_prob(action).sum(-1), atol=1e-3)


@pytest.mark.parametrize(("target", "grows"), [(50.0, True), (-50.0, False)])
def test_the_temperature_rises_while_entropy_is_below_its_target(target: float, grows: bool):
    gaussian = GaussianHead(INPUTS, ARM, 16, 2, 0.01, target)
    gaussian.loss(context(), lambda action: action.sum(-1), [drawn(gaussian)])[0].backward()
    assert gaussian.log_temperature.grad is not None
    assert (gaussian.log_temperature.grad < 0) == grows  # descent on a negative gradient raises it


# -- residual ----------------------------------------------------------------------------------------------------------


def test_a_new_residual_executes_the_base_bit_for_bit():
    at, residual = context(), head("residual")
    done = residual.act(at, None)
    assert torch.equal(done, at.base_action[:, :ARM])


@settings(max_examples=50, deadline=None)
@given(st.floats(0.05, 0.9), st.integers(0, 1000))
def test_encode_undoes_compose(scale: float, seed: int):
    residual = head("residual", scale=scale)
    assert isinstance(residual, ResidualHead)
    at = context(seed)
    wanted = torch.rand(N, ARM, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    executed = residual.compose(wanted, at)
    inside = executed.abs() < 1.0  # what was clamped cannot be undone
    target, valid = residual.encode(executed, at)
    assert torch.allclose(target[inside], wanted[inside], atol=1e-4)
    assert valid[inside].all()


def test_the_residual_is_bounded_by_its_scale_whatever_it_learned():
    at, residual = context(), scrambled(head("residual", scale=0.2))
    moved = residual.act(at, None) - at.base_action[:, :ARM]
    assert 0.1 < moved.abs().max() <= 0.2 + 1e-6


def test_what_is_beyond_the_scale_is_clipped_and_not_valid():
    residual, at = head("residual", scale=0.2), Context(torch.zeros(1, INPUTS), torch.zeros(1, ACTION))
    target, valid = residual.encode(torch.tensor([[0.2, 0.1, -0.9]]), at)
    assert target.tolist() == [[1.0, 0.5, -1.0]]
    assert valid.tolist() == [[True, True, False]]


def test_the_action_is_clamped_once_and_noise_lies_within_it():
    """Base at the bound: what the residual adds is cut off in the executed action, which is what is stored."""
    residual = head("residual", scale=0.5, noise=5.0)
    at = Context(torch.zeros(N, INPUTS), torch.ones(N, ACTION))
    done = residual.act(at, drawn(residual))
    assert done.max() == 1.0 and done.min() == -1.0


def test_target_noise_is_clipped_and_exploration_is_not():
    at = Context(torch.zeros(2000, INPUTS), torch.zeros(2000, ACTION))
    residual = head("residual", noise=0.2, noise_clip=0.3)
    target, bonus = residual.target(at, drawn(residual, n=2000))
    assert float(target.detach().abs().max()) == pytest.approx(0.3) and not bonus.any()
    explored = residual.act(at, drawn(residual, n=2000))
    assert float(explored.detach().abs().max()) > 0.5
    assert float(explored.detach().std()) == pytest.approx(0.2, rel=0.05)


def test_imitation_leads_to_the_persons_action_and_counts_what_cannot_be_reached():
    residual, at = head("residual", scale=0.5), context()
    person = (at.base_action[:, :ARM] + torch.tensor([0.2, -0.3, 2.0])).clamp(-3.0, 3.0)
    rows = torch.arange(N) % 2 == 0
    optimizer = torch.optim.Adam(residual.parameters(), 3e-3)
    for _ in range(300):
        error, metrics = residual.imitation(at, person, rows, saturated_weight=0.25)
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
    learned = residual.mean(at)[rows].mean(0)
    assert learned.tolist() == pytest.approx([0.4, -0.6, 1.0], abs=0.1)
    assert float(metrics["saturated"]) == pytest.approx(1 / 3)


def test_a_dimension_out_of_reach_weighs_less():
    residual = head("residual", scale=0.1)
    at, rows = Context(torch.zeros(1, INPUTS), torch.zeros(1, ACTION)), torch.ones(1, dtype=torch.bool)
    person = torch.tensor([[0.1, 0.0, 0.0]])
    reachable, _ = residual.imitation(at, person, rows, 0.25)
    out_of_reach, _ = residual.imitation(at, 5 * person, rows, 0.25)
    assert reachable.item() == pytest.approx(1.0) and out_of_reach.item() == pytest.approx(0.25)


def test_imitation_of_nobody_is_nothing():
    error, metrics = head("residual").imitation(context(), torch.ones(N, ARM), torch.zeros(N, dtype=torch.bool), 0.25)
    assert error.item() == 0.0 and float(metrics["saturated"]) == 0.0


# -- latent noise ------------------------------------------------------------------------------------------------------


def test_what_is_executed_is_the_bases_answer_to_a_bounded_noise():
    steering = head("latent_noise")
    assert isinstance(steering, LatentNoiseHead)
    noise = steering.config.bound * steering.noise.mean(context())
    assert torch.equal(steering.act(context(), None), decode(noise.detach())[:, :ARM])
    assert noise.abs().max() <= LatentNoiseConfig().bound


def test_a_black_box_has_no_inverse_so_nothing_of_it_is_imitated():
    error, metrics = head("latent_noise").imitation(
        context(), torch.ones(N, ARM), torch.ones(N, dtype=torch.bool), saturated_weight=0.0
    )
    assert float(error.detach()) == 0.0 and float(metrics["saturated"]) == 1.0


def test_the_noise_actor_does_not_train_the_critic_of_the_noise():
    """Q_w is fitted to the critic of actions; were the actor's objective to reach it, it would praise everything."""
    steering = head("latent_noise")
    assert isinstance(steering, LatentNoiseHead)
    tried, explored = drawn(steering), drawn(steering, seed=1)
    loss, _ = steering.loss(context(), lambda action: torch.zeros(len(action)), [tried, explored])
    loss.backward()
    bias = steering.noise_critic.layers[-1].bias
    with torch.no_grad():
        own = steering.noise_critic(torch.cat([context().features, tried.clamp(-1.5, 1.5)], dim=-1))
    assert bias.grad is not None
    # d/db of mean((q - 0)²) over heads and rows, and nothing else.
    assert torch.allclose(bias.grad[:, 0, 0], 2.0 * own.mean(1) / len(own), atol=1e-5)


def test_a_base_without_noise_cannot_be_steered():
    config = dataclasses.replace(SMALL, actor="latent_noise")
    with pytest.raises(ValueError, match=r"--cloning\.arch flow"):
        make_head(config, INPUTS, ACTION, ARM, None)
