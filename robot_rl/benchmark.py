"""Quick figures of the learner on this machine: updates a second, and their share of its matrix-product speed."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from robot_rl.batch import Batch, Stored
from robot_rl.compute import torch_device
from robot_rl.config import ComputeConfig, LearnerConfig
from robot_rl.env import RobotEnv
from robot_rl.foreign import ForeignEnv
from robot_rl.rlpd import RLPD

STATE_DIM, ACTION_DIM = 60, 7


def median_seconds(call: Callable[[], object], seconds: float, warmup: int = 2) -> float:
    """Median duration of ``call`` over about ``seconds`` of repetitions (at least five)."""
    for _ in range(warmup):
        call()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < 5 or time.perf_counter() < end:
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def random_batch(size: int, rng: np.random.Generator) -> Batch[Stored]:
    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    state, following = normal(size, STATE_DIM), normal(size, STATE_DIM)
    state[:, 0], following[:, 0] = 1.0, 1.0
    action = np.tanh(normal(size, ACTION_DIM))
    action[:, -1] = rng.choice([-1.0, 1.0], size)
    discount = np.full(size, 0.97, np.float32)
    return Batch(
        {"state": state}, action, action, normal(size), discount, {"state": following}, action, np.zeros(size, bool)
    )


def sgemm_gflop_s(device: torch.device, seconds: float = 0.5) -> float:
    """Speed of a square float32 product, the machine's practical ceiling."""
    n = 1024 if device.type == "cpu" else 8192
    a, b = (torch.randn(n, n, device=device) for _ in range(2))
    return 2e-9 * n**3 / median_seconds(finished(lambda: a @ b, device), seconds)


def finished(call: Callable[[], object], device: torch.device) -> Callable[[], None]:
    """``call`` and the wait for what it has set going on ``device``."""

    def to_its_end() -> None:
        call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return to_its_end


def gpu_memory(device: torch.device) -> dict[str, float]:
    """Most memory held on a GPU so far, and that count begun anew."""
    if device.type == "cpu":
        return {}
    peak = torch.cuda.max_memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    return {"peak_gpu_mb": 1e-6 * peak}


def update_gflop(config: LearnerConfig) -> float:
    """Arithmetic of one update (``utd_ratio`` critic steps and an actor step), counting matrix products alone: a
    forward pass is one, a backward pass two."""
    w, b, k = config.width, config.batch_size, config.critics
    critic = 2e-9 * b * ((STATE_DIM + ACTION_DIM) * w + w * w * (config.depth - 1) + w)
    actor = 2e-9 * b * (STATE_DIM * w + w * w * (config.depth - 1) + 2 * w * ACTION_DIM)
    grip = 2e-9 * b * (STATE_DIM * w + w * w * (config.depth - 1) + 3 * w) * 2
    critic_step = critic * (3 * k + config.target_subset) + actor + grip * (3 + 3)
    return config.utd_ratio * critic_step + 3 * actor + 2 * k * critic + grip


def bench_learner(
    seconds: float = 5.0, threads: int = 1, compute: ComputeConfig | None = None
) -> dict[str, float | str]:
    """Updates/s (UTD 2: two critic steps with gripper critic, one actor step) at batch 256, MLP 256×256, from state."""
    torch.set_num_threads(threads)
    compute = compute or ComputeConfig()
    rng, device = np.random.default_rng(0), torch_device(compute.device)
    floor = sgemm_gflop_s(device)
    result: dict[str, float | str] = {"device": device.type, "threads": threads, "sgemm_gflop_s": floor}
    for critics in (2, 10):
        config = LearnerConfig(critics=critics, width=256, batch_size=256, utd_ratio=2)
        agent = RLPD(config, STATE_DIM, ACTION_DIM, gripper_index=0, compute=compute)
        batches = [random_batch(256, rng) for _ in range(2)]
        duration = median_seconds(finished(partial(agent.update, batches), device), seconds / 2, warmup=5)
        row = {"updates_s": 1.0 / duration, "sgemm_share": update_gflop(config) / duration / floor}
        result |= {f"{name}_{critics}_critics": value for name, value in (row | gpu_memory(device)).items()}
    return result


def bench_env(env: RobotEnv | ForeignEnv, seconds: float = 5.0, seed: int = 0) -> dict[str, float]:
    """Environment steps/s in this process under random actions, resets included; closes ``env``."""
    rng = np.random.default_rng(seed)
    actions = rng.uniform(-1.0, 1.0, (256, *(env.action_space.shape or ()))).astype(np.float32)
    env.reset(seed=seed)
    steps, episodes, reset_s = 0, 0, 0.0
    started = time.perf_counter()
    while time.perf_counter() < started + seconds:
        _, _, terminated, truncated, _ = env.step(actions[steps % 256])
        steps += 1
        if terminated or truncated:
            episodes += 1
            began = time.perf_counter()
            env.reset(seed=seed + episodes)
            reset_s += time.perf_counter() - began
    spent = time.perf_counter() - started
    env.close()
    per_reset_ms = 1e3 * reset_s / max(episodes, 1)
    return {"env_steps_s": steps / spent, "without_resets_s": steps / (spent - reset_s), "reset_ms": per_reset_ms}
