"""``make bench``: environment steps/s with state and with two cameras, a tick of the guard, learner updates/s from
state and from cameras. A measurement, not a test."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import tyro

from hardware import guard
from robot_rl.benchmark import bench_env, bench_learner
from robot_rl.command import task_id
from robot_rl.config import ComputeConfig
from robot_rl.rollout import EnvSpec
from robot_rl.vision_benchmark import bench_vision


@dataclass
class Speed:
    """Speed of the twin and of the learner, in one process each on one thread."""

    task: str = "peg_insertion"
    """Task of the environment's figures."""
    seconds: float = 5.0
    """Length of each measurement."""
    cameras: tuple[str, ...] = ("front", "wrist")
    """Views of the camera figures."""
    json: bool = False
    """Print one JSON object."""


def bench_guard(env_id: str, seconds: float, seed: int = 0) -> dict[str, float]:
    """Cost of one tick of the guard's core and of an environment step under random actions, in processor time: what
    counts on a machine that does other things too."""
    env, costs, step = EnvSpec(env_id).make(), list[float](), guard.step

    def timed(*arguments: Any) -> Any:
        began = time.process_time()
        result = step(*arguments)
        costs.append(time.process_time() - began)
        return result

    guard.step = timed
    try:
        began, figures = time.process_time(), bench_env(env, seconds, seed)
        spent = time.process_time() - began
    finally:
        guard.step = step
    tick_us = 1e6 * np.quantile(costs, (0.5, 0.99))
    steps = figures["env_steps_s"] * seconds
    return {
        "guard_tick_median_us": float(tick_us[0]),
        "guard_tick_p99_us": float(tick_us[1]),
        "guard_share": sum(costs) / spent,
        "step_cpu_ms": 1e3 * spent / steps,
    }


def measure(options: Speed) -> dict[str, Any]:
    """All figures, by name."""
    env_id = task_id(options.task)
    result: dict[str, Any] = {"machine": f"{platform.machine()}, {os.cpu_count()} cores", "task": options.task}
    state = bench_env(EnvSpec(env_id).make(), options.seconds)
    result |= {f"state_{name}": value for name, value in state.items()}
    result |= bench_guard(env_id, options.seconds)
    try:
        views = bench_env(EnvSpec(env_id, {"cameras": options.cameras}).make(), options.seconds)
        result |= {f"{len(options.cameras)}_cameras_{name}": value for name, value in views.items()}
    except RuntimeError as error:
        print(f"no camera figures: {error}", file=sys.stderr)
    for prefix, compute in ways_to_compute().items():
        figures = bench_learner(options.seconds, compute=compute) | bench_vision(options.seconds, compute=compute)
        result |= {f"{prefix}{name}": value for name, value in figures.items()}
    return result


def ways_to_compute() -> dict[str, ComputeConfig]:
    """The processor and, where there is a GPU, what each setting of it brings."""
    gpu = ComputeConfig("cuda")
    ways = {
        "gpu_single_launches_": replace(gpu, graphs=False),
        "gpu_": gpu,
        "gpu_bfloat16_": replace(gpu, bfloat16=True),
        "gpu_compiled_": replace(gpu, compile=True),
    }
    return {"": ComputeConfig("cpu")} | (ways if torch.cuda.is_available() else {})


def main() -> None:
    options = tyro.cli(Speed)
    result = measure(options)
    if options.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:32} {value:10.2f}" if isinstance(value, float) else f"{name:32} {value}")


if __name__ == "__main__":
    main()
