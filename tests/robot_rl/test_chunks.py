"""Policies that predict several steps at once: what they are taught, how chunks are played, and that none leaks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from hardware.interfaces import Source
from robot_rl.bc import make_cloned_policy, train_cloned_policy
from robot_rl.chunks import ChunkPlayer, ChunkPolicy
from robot_rl.cloning_config import ActConfig, ChunkConfig, CloningConfig, FlowConfig
from robot_rl.dagger import Dagger
from robot_rl.flow import FlowPolicy
from robot_rl.shown import shown_in
from robot_rl.types import Episode, EpisodeHeader, Step, StepId

SIDE = 16
HORIZON = 4


def episode(sources: str, number: int = 0) -> Episode:
    """P: the policy's steps, H: the person's, D: a demonstration's. The state is the number of the step."""
    named = {"P": Source.POLICY, "H": Source.HUMAN, "D": Source.DEMO}
    steps = []
    for i, letter in enumerate(sources):
        action, zero, last = np.full(2, i, np.float32), np.zeros(2, np.float32), i == len(sources) - 1
        seen = {"state": np.array([i], np.float32)}
        step_id = StepId("run", 0, number, i)
        steps.append(Step(step_id, seen, action, zero, zero, named[letter], False, 0.0, False, last, False, 0.1 * i))
    return Episode(EpisodeHeader("run", 0, number, "test", 0, 10.0, 2), steps, {"state": np.zeros(1, np.float32)})


def demonstration(number: int) -> Episode:
    """Walk in a straight line whose direction the state shows, closing the gripper halfway; an image shows it too."""
    rng = np.random.default_rng(number)
    right = rng.random() < 0.5
    speed = rng.uniform(0.3, 0.7) * (1 if right else -1)
    steps = []
    for i in range(12):
        image = np.full((SIDE, SIDE, 3), 220 if right else 30, np.uint8)
        commanded = 1.0 if i < 7 else -1.0
        seen = {"state": np.array([speed, i / 12, commanded], np.float32), "top": image}
        action = np.array([speed, -0.5 * speed, 1.0 if i < 6 else -1.0], np.float32)
        zero, last = np.zeros(3, np.float32), i == 11
        step_id = StepId("demo", 0, number, i)
        steps.append(Step(step_id, seen, action, zero, zero, Source.DEMO, False, 0.0, last, False, last, 0.1 * i))
    return Episode(EpisodeHeader("demo", 0, number, "test", 0, 10.0, 3), steps, steps[-1].observation)


def small(arch: str, **options: object) -> CloningConfig:
    return CloningConfig(
        arch=arch,  # type: ignore[arg-type]
        width=32,
        depth=2,
        batch_size=64,
        steps=400,
        learning_rate=3e-3,
        chunk=ChunkConfig(HORIZON, 2),
        act=ActConfig(width=16, heads=2, encoder_layers=1, decoder_layers=1, latent=4),
        flow=FlowConfig(width=64, depth=2, integration_steps=4, distill_steps=300),
        **options,  # type: ignore[arg-type]
    )


@pytest.fixture(scope="module", params=["act", "flow"])
def trained(request: pytest.FixtureRequest) -> ChunkPolicy:
    policy = make_cloned_policy(small(request.param), 3, 3, gripper_index=2)
    train_cloned_policy(policy, policy.shown_in([demonstration(i) for i in range(20)]), seed=0)
    assert isinstance(policy, ChunkPolicy)
    return policy


# -- what is taught ----------------------------------------------------------------------------------------------------


def test_a_chunk_never_crosses_the_end_of_a_correction_or_of_an_episode():
    (first, second) = shown_in([episode("PHHPH"), episode("PPP"), episode("DDD", 1)], horizon=3)
    assert first.observation["state"][:, 0].tolist() == [1, 2, 4]
    assert first.valid.tolist() == [[True, True, False], [True, False, False], [True, False, False]]
    assert first.action[..., 0].tolist() == [[1, 2, 0], [2, 0, 0], [4, 0, 0]]
    assert second.valid.sum(1).tolist() == [3, 2, 1]


def test_the_rest_before_a_hand_lets_go_shows_nothing():
    """A person's last steps of a correction stand still since nobody's hand moves; those of a demonstration mean it."""
    told = episode("PHHHHPHHHHPDDD")

    def shown(at_rest, gripper=()):
        steps = list(told.steps)
        for i, step in enumerate(steps):
            action = np.zeros(7, np.float32) if i in at_rest else np.full(7, 0.5, np.float32)
            action[6] = -1.0 if i in gripper else 1.0
            steps[i] = replace(step, executed_action=action)
        return [int(i) for part in shown_in([replace(told, steps=steps)]) for i in part.observation["state"][:, 0]]

    assert shown({3, 4, 9}) == [1, 2, 6, 7, 8, 11, 12, 13]
    assert shown({1, 6, 8}) == [1, 2, 3, 4, 6, 7, 8, 9, 11, 12, 13], "resting on the way is part of it"
    assert shown({11, 12, 13}) == [1, 2, 3, 4, 6, 7, 8, 9, 11, 12, 13], "a demonstration ends at rest"
    assert shown({3, 4}, gripper={4}) == [1, 2, 3, 4, 6, 7, 8, 9, 11, 12, 13], "the fingers were closed"


def test_a_touch_that_moves_nothing_ends_no_run_that_learns_from_corrections():
    dagger = Dagger(make_cloned_policy(small("act"), 3, 3, 2), [demonstration(0)], 100, seed=0)
    touched = demonstration(1)
    rest = replace(touched.steps[0], executed_action=np.zeros(3, np.float32), source=Source.HUMAN)
    dagger.take(replace(touched, steps=[rest, *(replace(step, source=Source.POLICY) for step in touched.steps[1:])]))
    assert dagger.corrections == []
    dagger.take(replace(touched, steps=[replace(step, source=Source.HUMAN) for step in touched.steps]))
    assert [len(part) for part in dagger.corrections] == [12]


def test_nothing_shown_is_refused():
    with pytest.raises(ValueError, match="record demonstrations first"):
        shown_in([episode("PPP")])


def test_what_was_shown_survives_a_checkpoint():
    (shown,) = shown_in([demonstration(0)], horizon=2, cameras=("top",))
    again = type(shown).of(shown.tensors())
    assert again.observation.keys() == {"state", "top"}
    assert torch.equal(again.action, shown.action) and torch.equal(again.valid, shown.valid)
    assert all(torch.equal(again.observation[name], shown.observation[name]) for name in shown.observation)


# -- how chunks are played ---------------------------------------------------------------------------------------------


class Predictions:
    """Predicts chunks whose entries say which prediction they are of, and their step in it."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> np.ndarray:
        self.count += 1
        return np.array([[self.count + i / 10] for i in range(HORIZON)], np.float32)


def test_part_of_each_chunk_is_played_in_turn_and_a_flush_drops_the_rest():
    player, predict = ChunkPlayer(ChunkConfig(HORIZON, 3), gripper=False), Predictions()
    assert [float(player.next(predict)[0]) for _ in range(4)] == pytest.approx([1.0, 1.1, 1.2, 2.0])
    player.flush()
    assert player.next(predict)[0] == pytest.approx(3.0)


def test_temporal_ensembling_averages_all_that_was_said_of_a_step():
    player, predict = ChunkPlayer(ChunkConfig(HORIZON, 4, ensemble_decay=0.5), gripper=False), Predictions()
    said = [float(player.next(predict)[0]) for _ in range(6)]
    assert predict.count == 6, "predicted at every step"
    weights = np.exp(-0.5 * np.arange(HORIZON))  # the oldest weighs most
    assert said[1] == pytest.approx(np.average([1.1, 2.0], weights=weights[:2]))
    assert said[5] == pytest.approx(np.average([3.3, 4.2, 5.1, 6.0], weights=weights)), "only four still speak"


def test_an_average_of_grippers_is_a_gripper():
    player = ChunkPlayer(ChunkConfig(2, 2, ensemble_decay=0.0), gripper=True)
    player.next(lambda: np.array([[0.0, -1.0], [0.0, -1.0]], np.float32))
    assert player.next(lambda: np.array([[1.0, 1.0], [1.0, 1.0]], np.float32)).tolist() == [0.5, 0.0]


def test_more_to_play_than_was_predicted_is_refused():
    with pytest.raises(ValueError, match=r"--cloning\.chunk\.execute 1 to 2"):
        make_cloned_policy(CloningConfig(arch="act", chunk=ChunkConfig(2, 3)), 3, 3)


# -- what the policies do ----------------------------------------------------------------------------------------------


def played(policy: ChunkPolicy, shown: Episode) -> np.ndarray:
    policy.reset()
    return np.stack([policy.act(step.observation) for step in shown.steps])


def test_the_clone_does_as_shown_with_arm_and_gripper(trained: ChunkPolicy):
    shown = demonstration(99)
    wanted = np.stack([step.executed_action for step in shown.steps])
    done = played(trained, shown)
    assert np.abs(done - wanted)[:, :2].mean() < 0.12
    assert (done[:, 2] == wanted[:, 2]).mean() >= 0.8


def test_a_reset_and_a_flush_leak_no_chunk(trained: ChunkPolicy):
    """What follows them is what the policy says of that observation alone."""
    one, other = demonstration(1).steps[0].observation, demonstration(2).steps[3].observation
    trained.reset()
    fresh = trained.act(other)
    for forget in (trained.reset, trained.flush):
        trained.reset()
        trained.act(one)
        assert not trained.player.starts_chunk, "a chunk is under way"
        forget()
        assert np.array_equal(trained.act(other), fresh)


def test_acting_deterministically_repeats_itself(trained: ChunkPolicy):
    shown = demonstration(5)
    assert np.array_equal(played(trained, shown), played(trained, shown))


def test_a_flow_follows_the_noise_it_is_given():
    policy = make_cloned_policy(small("flow"), 3, 3, gripper_index=2, seed=1)
    assert isinstance(policy, FlowPolicy)
    train_cloned_policy(policy, policy.shown_in([demonstration(i) for i in range(6)]), seed=0, steps=20)
    assert policy.distilled
    state = torch.from_numpy(demonstration(3).steps[0].observation["state"])[None]
    zero = policy.decode({"state": state}, torch.zeros(1, policy.noise_dim))[0].detach().numpy()
    policy.reset()
    assert np.array_equal(policy.act({"state": state[0].numpy()}), zero), "deterministic is noise 0"
    other = policy.decode({"state": state}, torch.ones(1, policy.noise_dim))[0].detach().numpy()
    assert not np.array_equal(other[:2], zero[:2])
    policy.reset()
    drawn = torch.from_numpy(np.random.default_rng(0).standard_normal((1, policy.noise_dim), np.float32))
    sampled = policy.act({"state": state[0].numpy()}, deterministic=False)
    assert np.allclose(sampled, policy.decode({"state": state}, drawn)[0].detach().numpy(), atol=1e-6)


def test_the_student_ends_where_the_flow_does():
    policy = make_cloned_policy(small("flow"), 3, 3, gripper_index=2)
    losses = train_cloned_policy(policy, policy.shown_in([demonstration(i) for i in range(20)]), seed=0)
    assert losses["distillation_validation_loss"] < 0.1, "in units of the actions' spread, squared"


@pytest.mark.parametrize("arch", ["mlp", "ensemble", "act", "flow"])
def test_what_only_a_camera_shows_is_learned(arch: str):
    """The state tells nothing of the direction here."""
    policy = make_cloned_policy(small(arch, cameras={"top": SIDE}), 3, 3, gripper_index=2)
    shown = policy.shown_in([demonstration(i) for i in range(20)])
    for part in shown:
        part.observation["state"][:, 0] = 0.0
    train_cloned_policy(policy, shown, seed=0, steps=150)
    for number in (30, 31, 32, 33):
        first = demonstration(number).steps[0]
        policy.reset()
        action = policy.act({**first.observation, "state": np.array([0.0, 0.0, 1.0], np.float32)})
        assert np.sign(action[0]) == np.sign(first.executed_action[0])


def test_a_camera_of_a_side_that_cannot_be_halved_is_refused():
    with pytest.raises(ValueError, match="multiple of 16"):
        make_cloned_policy(small("mlp", cameras={"top": 100}), 3, 3)
