"""What the learner sees: encoded once, learned from the critic alone, stored once, frozen where it says so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from robot_rl.base_policy import ZeroBase
from robot_rl.batch import Batch
from robot_rl.config import LearnerConfig, TrainConfig, VisionConfig
from robot_rl.frozen_encoder import FrozenEncoder, ResNet18, SpatialEmbeddings
from robot_rl.image_encoder import random_shift
from robot_rl.off_policy import OffPolicyLearner
from robot_rl.policy import Interface, load_policy, save_policy
from robot_rl.rlpd import RLPD
from robot_rl.types import Step, StepId
from robot_rl.vision import Vision
from tests.robot_rl.test_off_policy import episode

SIDE = 64
UINT8, FLOAT32 = np.dtype(np.uint8), np.dtype(np.float32)
SMALL = LearnerConfig(width=16, critics=2, batch_size=16, utd_ratio=2, learning_rate=1e-3, replay_capacity=300)


def seeing(encoder: str = "conv", cameras: tuple[str, ...] = ("front",), side: int = SIDE, **vision: object):
    looks = VisionConfig(dict.fromkeys(cameras, side), encoder, width=8, **vision)  # type: ignore[arg-type]
    return replace(SMALL, vision=looks)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file as timm writes it, with the classifier; its numbers are random."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        tensors = ResNet18().state_dict() | {"fc.weight": torch.randn(10, 512), "fc.bias": torch.randn(10)}
    path = tmp_path_factory.mktemp("weights") / "resnet18.safetensors"
    save_file(tensors, path)
    return str(path)


def pictures(n: int, seed: int = 0, side: int = SIDE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, side, side, 3), np.uint8)


def batch_of(n: int, cameras: tuple[str, ...] = ("front",), kept: np.ndarray | None = None) -> Batch:
    rng = np.random.default_rng(0)
    state = rng.standard_normal((2, n, 3)).astype(np.float32)
    action = rng.uniform(-1, 1, (n, 1)).astype(np.float32)
    now, then = ({name: pictures(n, i) if kept is None else kept for name in cameras} for i in range(2))
    one = np.ones(n, np.float32)
    seen = {"state": state[0], **now}
    return Batch(seen, action, action, one, 0.9 * one, {"state": state[1], **then}, action, np.zeros(n, bool))


@pytest.mark.parametrize("encoder", ["conv", "vit_small", "resnet18"])
@pytest.mark.parametrize("actor", ["gaussian", "residual"])
def test_the_critic_alone_trains_the_encoder_and_trains_all_of_it(encoder, actor, weights):
    config = replace(seeing(encoder, weights=weights if encoder == "resnet18" else None), actor=actor)
    agent = RLPD(config, 3, 1, base=ZeroBase(1))
    maps = None if agent.vision.frozen is None else np.random.default_rng(0).random((16, 512, 2, 2)).astype(np.float16)
    batch = batch_of(16, kept=maps)
    before = {name: p.detach().clone() for name, p in agent.vision.named_parameters()}
    agent.update([batch], train_actor=False)
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in agent.vision.parameters())
    assert not any(torch.equal(p, before[name]) for name, p in agent.vision.named_parameters())
    trained = {name: p.detach().clone() for name, p in agent.vision.named_parameters()}
    placed = batch.map(agent.compute.tensor)
    now = agent._context(placed.observation, placed.base_action)
    now = replace(now, features=now.features.detach())
    agent._update_actor(now, placed.action, torch.ones_like(placed.shown))
    assert all(torch.equal(p, trained[name]) for name, p in agent.vision.named_parameters())


def test_every_image_of_a_batch_is_encoded_once_an_update():
    agent, seen = RLPD(seeing(cameras=("front", "wrist")), 3, 2, gripper_index=0), []
    for encoder in agent.vision.each.each.values():  # type: ignore[union-attr]
        encoder.register_forward_hook(lambda _, inputs, __: seen.append(len(inputs[0])))
    batch = batch_of(16, ("front", "wrist"))
    batch.action = batch.base_action = batch.next_base_action = np.sign(np.repeat(batch.action, 2, 1))
    agent.update([batch, batch])
    assert seen == [16] * 8, "two updates, two cameras, before and after; none for gripper and actor"


def test_what_only_a_camera_shows_is_learned():
    """The best action is the brightness; nothing else tells it."""
    agent, rng = RLPD(replace(seeing(side=16, shift_px=1), averaging=0.05), 1, 1), np.random.default_rng(0)
    for _ in range(200):
        light, action = rng.uniform(-0.8, 0.8, 48), rng.uniform(-1, 1, (48, 1)).astype(np.float32)
        image = np.broadcast_to((127.5 + 127.5 * light)[:, None, None, None], (48, 16, 16, 3)).astype(np.uint8)
        seen = {"state": np.zeros((48, 1), np.float32), "front": image}
        reward = (-((light - action[:, 0]) ** 2)).astype(np.float32)
        zero, no = np.zeros(48, np.float32), np.zeros(48, bool)
        agent.update([Batch(seen, action, action, reward, zero, seen, action, no)] * 2)
    for light in (-0.6, 0.0, 0.6):
        image = np.full((16, 16, 3), 127.5 + 127.5 * light, np.uint8)
        done = agent.act({"state": np.zeros(1, np.float32), "front": image}, deterministic=True)
        assert done[0] == pytest.approx(light, abs=0.25)


def test_images_move_independently_and_their_edges_repeat():
    image = torch.from_numpy(pictures(32, side=16))
    moved = random_shift(image, torch.Generator().manual_seed(3))
    again, drawn = torch.Generator().manual_seed(3), (2, 32, 1)
    dy, dx = torch.randint(-4, 5, drawn, generator=again)
    for i in range(32):
        rows, columns = ((torch.arange(16) + d[i]).clamp(0, 15) for d in (dy, dx))
        assert torch.equal(moved[i], image[i][rows][:, columns])
    assert len({(int(y), int(x)) for y, x in zip(dy, dx, strict=True)}) > 10


def test_observation_and_next_observation_are_shifted_on_their_own(monkeypatch):
    agent, calls = RLPD(seeing(cameras=("front", "wrist")), 3, 1), []
    monkeypatch.setattr(
        "robot_rl.vision.random_shift", lambda image, g, pad: calls.append(g.get_state()) or random_shift(image, g, pad)
    )
    agent.update([batch_of(16, ("front", "wrist"))])
    assert len(calls) == 4 and len({state.numpy().tobytes() for state in calls}) == 4
    agent.act({"state": np.zeros(3, np.float32), "front": pictures(1)[0], "wrist": pictures(1)[0]})
    assert len(calls) == 4, "acting looks at the image as it is"


def test_two_cameras_of_128_px_take_less_than_105_kb_a_step():
    config = TrainConfig(learner=seeing(cameras=("front", "wrist"), side=128))
    layout = {"state": ((76,), FLOAT32), "front": ((128, 128, 3), UINT8), "wrist": ((128, 128, 3), UINT8)}
    online = OffPolicyLearner(config, layout, 7).online
    assert sum(array.nbytes for array in online._arrays().values()) / online.capacity < 105_000


def test_an_episode_of_images_is_stored_once_and_read_as_it_was():
    config = TrainConfig(learner=seeing(side=16), warmup_steps=2)
    learner = OffPolicyLearner(config, {"state": ((2,), FLOAT32), "front": ((16, 16, 3), UINT8)}, 3)
    told, shots = episode(1, "PPHHP"), pictures(6, side=16)
    for step, shot in zip(told.steps, shots, strict=False):
        seen = replace(step, observation={**step.observation, "front": shot})
        learner.remember(seen)
    learner.finish(seen.id, {**told.final_observation, "front": shots[5]})
    assert learner.online.written == 6
    one_step = replace(learner.returns, n_step=1)
    batch = learner.online.gather(np.arange(5), one_step)
    assert np.array_equal(batch.observation["front"].gathered(), shots[:5])
    assert np.array_equal(batch.next_observation["front"].gathered(), shots[1:])
    corrected = learner.prior.gather(np.arange(2), one_step)
    assert np.array_equal(corrected.next_observation["front"].gathered(), shots[3:5]), "not of another episode (rule 4)"


def test_an_environment_without_the_camera_is_refused():
    for layout, message in (
        ({"state": ((2,), FLOAT32), "frnt": ((SIDE, SIDE, 3), UINT8)}, "no camera 'front'.*did you mean 'frnt'"),
        ({"state": ((2,), FLOAT32), "front": ((32, 32, 3), UINT8)}, "give --image-size 32"),
    ):
        with pytest.raises(ValueError, match=message):
            OffPolicyLearner(TrainConfig(learner=seeing()), layout, 3)


# -- frozen ------------------------------------------------------------------------------------------------------------


def test_a_frozen_encoder_is_paid_once_a_frame(weights, monkeypatch):
    """Acting on a frame, storing it twice (a person drove), learning from it: one pass."""
    frames: list[np.ndarray] = []
    maps = FrozenEncoder.maps
    monkeypatch.setattr(FrozenEncoder, "maps", lambda self, image: frames.append(image) or maps(self, image))
    layout = {"state": ((2,), FLOAT32), "front": ((SIDE, SIDE, 3), UINT8)}
    config = TrainConfig(learner=seeing("resnet18", weights=weights), warmup_steps=3, critic_only_updates=0)
    learner = OffPolicyLearner(config, layout, 3)
    assert learner.online.observation["front"].shape == (300, 512, 2, 2)
    told, shots = episode(1, "PPHHP"), pictures(6)
    for step, shot in zip(told.steps, shots, strict=False):
        observation = {**step.observation, "front": shot}
        learner.agent.act(observation)
        learner.remember(replace(step, observation=observation))
        learner.learn()
    learner.finish(told.steps[-1].id, {**told.final_observation, "front": shots[5]})
    assert learner.actor_updates == 3 and len(frames) == 6


def test_a_frozen_encoder_is_neither_trained_nor_saved_but_known(weights, tmp_path):
    agent = RLPD(seeing("resnet18", weights=weights), 3, 1)
    assert not any("conv1" in name for name in agent.state_dict())
    save_policy(tmp_path / "policy", agent, Interface("test", 3, 1))
    assert (tmp_path / "policy" / "policy.safetensors").stat().st_size < 400_000, "ResNet-18 alone has 45 MB"
    observation = {"state": np.zeros(3, np.float32), "front": pictures(1)[0]}
    loaded, _ = load_policy(tmp_path / "policy")
    assert np.array_equal(loaded.act(observation, True), agent.act(observation, True))
    other = ResNet18().state_dict()
    moved = tmp_path / "other.safetensors"
    save_file(other, moved)
    text = (tmp_path / "policy" / "policy.json").read_text().replace(weights, str(moved))
    (tmp_path / "policy" / "policy.json").write_text(text)
    with pytest.raises(ValueError, match="learned with the frozen encoder"):
        load_policy(tmp_path / "policy")


def test_a_replay_of_another_frozen_encoder_is_refused(weights, tmp_path):
    layout = {"state": ((2,), FLOAT32), "front": ((SIDE, SIDE, 3), UINT8)}
    config = TrainConfig(learner=seeing("resnet18", weights=weights))
    tensors, metadata = OffPolicyLearner(config, layout, 3).state()
    OffPolicyLearner(config, layout, 3).load_state(tensors, metadata)
    with pytest.raises(ValueError, match="another frozen encoder"):
        OffPolicyLearner(config, layout, 3).load_state(tensors, {**metadata, "frozen_encoder": "other"})


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("weights.pth", b"cos\nsystem", "not a .safetensors file"),
        ("missing.safetensors", None, "no weights at"),
        ("damaged.safetensors", b"nothing", "are damaged"),
    ],
)
def test_weights_that_cannot_be_trusted_are_refused(name: str, content: bytes | None, message: str, tmp_path: Path):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        FrozenEncoder(str(tmp_path / name))


def test_weights_of_another_network_are_refused(tmp_path):
    save_file({"conv1.weight": torch.zeros(64, 3, 7, 7)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="not those of timm's resnet18"):
        FrozenEncoder(str(tmp_path / "other.safetensors"))


def test_spatial_embeddings_are_sums_over_places_by_each_map_s_own_pattern():
    layer, maps = SpatialEmbeddings((5, 2, 3), 4), torch.randn(7, 5, 2, 3)
    expected = torch.einsum("ncp,cpk->nck", maps.flatten(2), layer.pattern).flatten(1)
    assert torch.allclose(layer(maps), expected, atol=1e-5)


def test_without_cameras_nothing_is_drawn_held_or_changed():
    vision, before = Vision(VisionConfig()), torch.random.get_rng_state()
    assert not vision.state_dict() and vision.size == 0 and torch.equal(before, torch.random.get_rng_state())
    step_id, zero = StepId("r", 0, 0, 0), np.zeros(1, np.float32)
    step = Step(step_id, {"state": zero}, zero, zero, zero, 0, False, 0.0, False, False, False, 0.0)  # type: ignore[arg-type]
    assert vision.kept(step.observation) is step.observation
