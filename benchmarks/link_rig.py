"""What `make bench-link` measures on: an environment of two pictures, steps like its, a learner's end as a process."""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from hardware.interfaces import Source
from robot_rl.journal import Journal
from robot_rl.link_learner import ZmqLearnerEnd
from robot_rl.types import Step, StepId

SIDE = 128
PERIOD_S = 0.05
EPISODE = 50
CAMERAS = ("front", "wrist")


class Cameras(gymnasium.Env[dict[str, np.ndarray], np.ndarray]):
    """Two pictures and a state at a fixed rate: nothing but time and data."""

    def __init__(self, period_s: float = PERIOD_S) -> None:
        self.period_s = period_s
        image = gymnasium.spaces.Box(0, 255, (SIDE, SIDE, 3), np.uint8)
        numbers = gymnasium.spaces.Box(-1.0, 1.0, (50,), np.float32)
        self.observation_space = gymnasium.spaces.Dict({"numbers": numbers, **dict.fromkeys(CAMERAS, image)})
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (7,), np.float32)
        self._pictures = np.random.default_rng(0).integers(0, 256, (8, SIDE, SIDE, 3), np.uint8)
        self._steps = 0

    def reset(self, **_: Any) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        return self._observation(), {}

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        time.sleep(self.period_s)
        self._steps += 1
        return self._observation(), 0.0, False, False, {}

    def _observation(self) -> dict[str, np.ndarray]:
        images = {name: self._pictures[(self._steps + i) % 8].copy() for i, name in enumerate(CAMERAS)}
        return {"numbers": np.zeros(50, np.float32), **images}


gymnasium.register("LinkCameras-v0", entry_point=f"{__name__}:Cameras", max_episode_steps=EPISODE)


def start_receiver(folder: Path, endpoint: str, count: int) -> tuple[Any, Any]:
    """A learner's end of the link in a process of its own, and the event that ``count`` records have been taken."""
    spawn = multiprocessing.get_context("spawn")
    done = spawn.Event()
    process = spawn.Process(target=_receive, args=(folder, endpoint, count, done))
    process.start()
    return process, done


def make_step(number: int, frames: tuple[np.ndarray, ...]) -> Step:
    seen = {"state": np.full(50, number, np.float32), **dict(zip(CAMERAS, frames, strict=False))}
    action = np.zeros(7, np.float32)
    flags = {"intervention_start": False, "terminated": False, "truncated": number % 50 == 49, "success": False}
    return Step(
        StepId("bench", 0, number // 50, number % 50), seen, action, action, action, Source.POLICY, reward=0.0,
        stamp_s=number / 10.0, **flags,
    )  # fmt: skip


def _receive(folder: Path, endpoint: str, count: int, done: Any) -> None:
    journal = Journal(folder / "journal")
    end, taken = ZmqLearnerEnd(endpoint, journal), 0
    while taken < count:
        taken += len(end.take(256, 1.0))
    done.set()
    time.sleep(0.5)
    end.close()
    journal.close()
