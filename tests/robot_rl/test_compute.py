"""Where and how updates are computed changes how long they take, and nothing of what is learned."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from robot_rl.base_policy import ZeroBase
from robot_rl.batch import Batch
from robot_rl.bc import make_cloned_policy
from robot_rl.cloning_config import CloningConfig
from robot_rl.compute import can_compile, torch_device
from robot_rl.config import ComputeConfig, LearnerConfig, VisionConfig
from robot_rl.rlpd import RLPD

CPU = ComputeConfig(device="cpu")
SMALL = LearnerConfig(width=32, critics=3, batch_size=32, learning_rate=1e-3)
GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def batches(count: int, size: int = 32, side: int = 0) -> list[Batch[np.ndarray]]:
    """Rewards say how near the action is to what the state says."""
    rng, made = np.random.default_rng(0), []
    for _ in range(count):
        state, action = (rng.uniform(-1, 1, (size, n)).astype(np.float32) for n in (4, 3))
        state[:, 0], action[:, 2] = rng.choice([-1.0, 1.0], (2, size))
        reward = -((state[:, 1:3] - action[:, :2]) ** 2).sum(1)
        seen = {"state": state}
        if side:
            seen["front"] = rng.integers(0, 256, (size, side, side, 3), np.uint8)
        base, discount = np.zeros((size, 3), np.float32), np.full(size, 0.9, np.float32)
        made.append(Batch(seen, action, base, reward, discount, seen, base, rng.uniform(size=size) < 0.3))
    return made


def agent_of(actor: str, compute: ComputeConfig, side: int = 0, gripper: int | None = 0, **learner: object) -> RLPD:
    base = ZeroBase(3) if actor == "residual" else None
    if actor == "latent_noise":
        base = make_cloned_policy(CloningConfig(arch="flow"), 4, 3, 0)
    vision = VisionConfig({"front": side} if side else {})
    config = replace(SMALL, actor=actor, vision=vision, imitation_weight=0.1, **learner)
    return RLPD(config, 4, 3, gripper_index=gripper, base=base, compute=compute)


def trained(agent: RLPD, rounds: int = 12, side: int = 0, actor: bool = True) -> dict[str, float]:
    """The last metrics, and Q at a fixed place, after ``rounds`` of two critic updates each, the actor in every
    second of them."""
    given = batches(2 * rounds, side=side)
    for i in range(rounds):
        metrics = agent.update(given[2 * i : 2 * i + 2], train_actor=actor and i % 2 == 1)
    seen = {name: array[0] for name, array in given[0].observation.items()}
    return {name: float(value) for name, value in metrics.items()} | {"at": agent.value(seen, given[0].action[0])}


def test_a_device_that_is_not_here_is_refused_with_those_that_are():
    with pytest.raises(ValueError, match="'gpu' is no device: give auto, cpu, cuda"):
        torch_device("gpu")
    with pytest.raises(ValueError, match="'cuda:99' is not on this machine: give one of auto, cpu"):
        torch_device("cuda:99")
    assert torch_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_bfloat16_learns_the_same_values_and_keeps_weights_and_last_layers_in_float32():
    full, half = agent_of("gaussian", CPU), agent_of("gaussian", replace(CPU, bfloat16=True))
    seen: list[torch.dtype] = []
    half.critic.layers[-1].register_forward_hook(lambda _, inputs, out: seen.extend((inputs[0].dtype, out.dtype)))
    half.critic.layers[0].register_forward_hook(lambda _, inputs, out: seen.append(out.dtype))
    one, other = trained(full, rounds=4), trained(half, rounds=4)
    assert set(seen) == {torch.float32, torch.bfloat16} and seen[1:3] == [torch.float32] * 2
    assert all(p.dtype == torch.float32 for p in half.parameters())
    assert one.keys() == other.keys() and one != other
    assert other["at"] == pytest.approx(one["at"], abs=0.05)
    assert other["critic_loss"] == pytest.approx(one["critic_loss"], rel=0.1)


def assert_alike(actor: str, rounds: int, train_actor: bool, gripper: int | None = 0) -> None:
    """Compiled and not, two agents learn the same."""
    one, other = (
        trained(agent_of(actor, c, gripper=gripper, depth=1), rounds, actor=train_actor)
        for c in (CPU, replace(CPU, compile=True))
    )
    assert other == pytest.approx(one, rel=1e-3, abs=1e-5)
    assert {"critic_loss"} | ({"actor_loss"} if train_actor else set()) < one.keys()


@pytest.mark.parametrize("actor", ["gaussian", "residual"])
def test_losses_are_traced_whole_and_learn_the_same(actor, monkeypatch):
    """Those of critics and gripper one graph, that of the actor another; here without making machine code of them."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    assert_alike(actor, rounds=2, train_actor=True)
    counted = torch._dynamo.utils.counters
    assert counted["stats"]["unique_graphs"] == 2 and not counted["graph_break"]


@pytest.mark.skipif(not can_compile(), reason="torch.compile needs a C++ compiler")
def test_machine_code_of_the_critics_loss_learns_the_same():
    assert_alike("residual", rounds=2, train_actor=False, gripper=None)


def test_compiling_without_a_compiler_is_refused(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ValueError, match=r"needs a C\+\+ compiler: install one"):
        agent_of("gaussian", replace(CPU, compile=True))


@GPU
@pytest.mark.parametrize("actor", ["gaussian", "residual", "latent_noise"])
@pytest.mark.parametrize("side", [0, 64])
def test_a_replayed_graph_learns_what_single_launches_do(actor, side):
    """Both draw from the same generator, so they differ by rounding alone."""
    launched = agent_of(actor, ComputeConfig("cuda", graphs=False), side)
    replayed = agent_of(actor, ComputeConfig("cuda"), side)
    one, other = trained(launched, side=side), trained(replayed, side=side)
    assert replayed._replay is not None and len(replayed._replay._recorded) == 2, "with the actor and without"
    assert other == pytest.approx(one, rel=0.02, abs=2e-3)
    steps = [{int(state["step"]) for state in optimizer.state.values()} for optimizer in replayed.optimizers.values()]
    assert steps[0] == {24} and steps[1] == {6}, "recording an update is no update"


@GPU
@pytest.mark.parametrize("compute", [ComputeConfig("cuda"), ComputeConfig("cuda", bfloat16=True)])
def test_a_gpu_learns_what_a_processor_does(compute):
    """Exploration draws differ; what the values converge to does not."""
    one, other = (trained(agent_of("gaussian", c, gamma=0.0), rounds=150) for c in (CPU, compute))
    assert other["at"] == pytest.approx(one["at"], abs=0.1)
    assert other["critic_loss"] == pytest.approx(one["critic_loss"], rel=0.5, abs=0.02)


@GPU
def test_a_policy_learned_on_a_gpu_acts_on_a_processor_as_it_did():
    agent, acting = agent_of("residual", ComputeConfig("cuda")), agent_of("residual", CPU)
    trained(agent)
    acting.load_state_dict({name: tensor.cpu() for name, tensor in agent.state_dict().items()})
    seen, base = {"state": np.array([1.0, 0.3, -0.2, 0.1], np.float32)}, np.zeros(3, np.float32)
    assert acting.act(seen, True, base) == pytest.approx(agent.act(seen, True, base), abs=1e-5)


@pytest.mark.parametrize("actor", ["gaussian", "residual", "latent_noise"])
def test_acting_deterministically_draws_nothing(actor):
    agent = agent_of(actor, CPU)
    seen, base = {"state": np.array([1.0, 0.3, -0.2, 0.1], np.float32)}, np.zeros(3, np.float32)
    before = agent.generator.get_state()
    agent.act(seen, True, base)
    assert torch.equal(agent.generator.get_state(), before)
    agent.act(seen, False, base)
    assert not torch.equal(agent.generator.get_state(), before)
