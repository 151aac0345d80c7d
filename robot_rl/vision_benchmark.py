"""Speed of learning from two cameras: updates a second, their share of the machine's matrix speed, peak memory."""

from __future__ import annotations

import resource
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch.utils.flop_counter import FlopCounterMode

from hardware.interfaces import Source
from robot_rl.benchmark import ACTION_DIM, STATE_DIM, finished, gpu_memory, median_seconds, sgemm_gflop_s
from robot_rl.compute import torch_device
from robot_rl.config import ComputeConfig, LearnerConfig, TrainConfig, VisionConfig
from robot_rl.frozen_encoder import ResNet18
from robot_rl.off_policy import OffPolicyLearner
from robot_rl.types import Step, StepId

SIDE, STEPS, EPISODE = 128, 300, 50
CAMERAS = {"front": SIDE, "wrist": SIDE}


def bench_vision(
    seconds: float = 5.0, threads: int = 1, compute: ComputeConfig | None = None
) -> dict[str, float | str]:
    """Updates/s (UTD 2: two critic steps with gripper critic, one actor step) at batch 256, 2 critics of 256×256, two
    128² cameras; sampling from the replay and random shifts included. ResNet-18's weights are random: its speed is not.
    """
    torch.set_num_threads(threads)
    compute = compute or ComputeConfig()
    device = torch_device(compute.device)
    floor = sgemm_gflop_s(device)
    result: dict[str, float | str] = {"device": device.type}
    with tempfile.TemporaryDirectory() as folder:
        weights = str(Path(folder) / "resnet18.safetensors")
        save_file(ResNet18().state_dict(), weights)
        for vision in (VisionConfig(CAMERAS), VisionConfig(CAMERAS, "resnet18", weights)):
            row = _row(vision, compute, floor, seconds / 2) | gpu_memory(device)
            result |= {f"{name}_{vision.encoder}": value for name, value in row.items()}
    return result


def _row(seeing: VisionConfig, compute: ComputeConfig, floor: float, seconds: float) -> dict[str, float]:
    learner = _filled(seeing, compute)
    agent, online = learner.agent, learner.online
    vision = agent.vision
    with FlopCounterMode(display=False) as counted:
        learner.update(train_actor=True)
    update = finished(partial(learner.update, train_actor=True), agent.device)
    duration = median_seconds(update, seconds, warmup=5)
    row = {
        "updates_s": 1.0 / duration,
        "sgemm_share": 1e-9 * counted.get_total_flops() / duration / floor,
        "trained_parameters": float(sum(p.numel() for p in vision.parameters())),
        "kb_a_stored_step": 1e-3 * sum(array.nbytes for array in online._arrays().values()) / online.capacity,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        / (1024.0 if sys.platform == "linux" else 1024.0**2),
    }
    if vision.frozen is not None:
        image = np.zeros((SIDE, SIDE, 3), np.uint8)
        row["ms_a_frame"] = 1e3 * median_seconds(partial(vision.frozen.maps, image), 0.5)
    return row


def _filled(vision: VisionConfig, compute: ComputeConfig) -> OffPolicyLearner:
    """A learner whose replay holds ``STEPS`` steps, a third of them the person's."""
    learner = LearnerConfig(critics=2, width=256, batch_size=256, utd_ratio=2, vision=vision, replay_capacity=2 * STEPS)
    uint8, float32 = np.dtype(np.uint8), np.dtype(np.float32)
    layout = {"state": ((STATE_DIM,), float32)} | dict.fromkeys(CAMERAS, ((SIDE, SIDE, 3), uint8))
    made = OffPolicyLearner(TrainConfig(learner=learner, compute=compute), layout, ACTION_DIM, gripper_index=0)
    rng = np.random.default_rng(0)
    for i in range(STEPS):
        state = rng.standard_normal(STATE_DIM).astype(np.float32)
        state[0] = 1.0
        images = {name: rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8) for name in CAMERAS}
        action = rng.choice([-1.0, 1.0], ACTION_DIM).astype(np.float32)
        last = i % EPISODE == EPISODE - 1
        source = Source.HUMAN if i % 3 == 0 else Source.POLICY
        where = StepId("bench", 0, i // EPISODE, i % EPISODE)
        observation = {"state": state, **images}
        step = Step(where, observation, action, action, action, source, False, 0.0, last, False, last, 0.1 * i)
        made.remember(step)
        if last:
            made.finish(where, observation)
    return made
