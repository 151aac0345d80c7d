"""``make bench``: environment steps/s with state and with two cameras, learner updates/s from
state and from cameras. A measurement, not a test."""

from __future__ import annotations

import json
import os
import platform
import sys
from dataclasses import dataclass
from typing import Any

import tyro

from robot_rl.benchmark import bench_env, bench_learner
from robot_rl.command import task_id
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


def measure(options: Speed) -> dict[str, Any]:
    """All figures, by name."""
    env_id = task_id(options.task)
    result: dict[str, Any] = {"machine": f"{platform.machine()}, {os.cpu_count()} cores", "task": options.task}
    state = bench_env(EnvSpec(env_id).make(), options.seconds)
    result |= {f"state_{name}": value for name, value in state.items()}
    try:
        views = bench_env(EnvSpec(env_id, {"cameras": options.cameras}).make(), options.seconds)
        result |= {f"{len(options.cameras)}_cameras_{name}": value for name, value in views.items()}
    except RuntimeError as error:
        print(f"no camera figures: {error}", file=sys.stderr)
    return result | bench_learner(options.seconds) | bench_vision(options.seconds)


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
