"""``make bench-link``: what the link carries, what it costs the control loop, how soon weights arrive and a learner is
back. Two processes on this machine; a measurement, not a test."""

from __future__ import annotations

import argparse
import dataclasses
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from hardware.interfaces import Source
from robot_rl.collectors import RandomPolicy
from robot_rl.config import LearnerConfig, TrainConfig
from robot_rl.description import Description
from robot_rl.episodes import EpisodeStore
from robot_rl.journal import Journal
from robot_rl.learners import make_learner
from robot_rl.link import InProcessLink, Weights, deliver, digest_of
from robot_rl.link_actor import ZmqActorEnd
from robot_rl.link_learner import ZmqLearnerEnd
from robot_rl.policy import Interface
from robot_rl.rollout import EnvSpec, Rollout
from robot_rl.spool import Spool
from robot_rl.types import Step, StepId
from robot_rl.wire import encode_record

SIDE = 128
CAMERAS = ("front", "wrist")


class Cameras(gymnasium.Env[dict[str, np.ndarray], np.ndarray]):
    """Two pictures and a state at a fixed rate: nothing but time and data."""

    def __init__(self, period_s: float = 0.05) -> None:
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


gymnasium.register("LinkCameras-v0", entry_point=f"{__name__}:Cameras", max_episode_steps=50)


def make_step(number: int, frames: tuple[np.ndarray, ...]) -> Step:
    seen = {"state": np.full(50, number, np.float32), **dict(zip(CAMERAS, frames, strict=False))}
    action = np.zeros(7, np.float32)
    flags = {"intervention_start": False, "terminated": False, "truncated": number % 50 == 49, "success": False}
    return Step(
        StepId("bench", 0, number // 50, number % 50), seen, action, action, action, Source.POLICY, 0.0,
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


def throughput(count: int) -> dict[str, float]:
    """Steps with two cameras, from the actor's hand to the learner's, spool and journal included."""
    with tempfile.TemporaryDirectory() as name:
        folder, spawn = Path(name), multiprocessing.get_context("spawn")
        endpoint, done = f"ipc://{folder}/link", spawn.Event()
        process = spawn.Process(target=_receive, args=(folder, endpoint, count, done))
        process.start()
        spool = Spool(folder / "spool")
        actor = ZmqActorEnd(endpoint, spool)
        while not actor.state().alive:
            time.sleep(0.01)
        frames = tuple(np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3), np.uint8))
        size, began = len(encode_record(make_step(0, frames))), time.monotonic()
        for number in range(count):
            while actor.state().backlog > 256:
                time.sleep(0.001)
            actor.post(make_step(number, frames))
        done.wait()
        seconds = time.monotonic() - began
        actor.close()
        spool.close()
        process.join()
    return {"link_steps_s": count / seconds, "link_mb_s": count * size / seconds / 1e6, "step_kb": size / 1e3}


def weights_latency(repeats: int) -> dict[str, float]:
    """From ``publish`` to the actor having them, 1 MB."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        journal, spool = Journal(folder / "journal"), Spool(folder / "spool")
        learner = ZmqLearnerEnd(f"ipc://{folder}/link", journal)
        actor = ZmqActorEnd(f"ipc://{folder}/link", spool)
        times = []
        for version in range(1, repeats + 1):
            weights = Weights(version, "{}", {"actor.w": np.full(250_000, version, np.float32)})
            weights = dataclasses.replace(weights, digest=digest_of(weights))
            began = time.monotonic()
            learner.publish(weights)
            while (got := actor.weights()) is None or got.version < version:
                time.sleep(0.0005)
            times.append(time.monotonic() - began)
        actor.close(0.0)
        learner.close()
        journal.close()
        spool.close()
    return _percentiles("weights_ms", times[1:])


def step_cost(steps: int, link: bool, recorder: bool) -> dict[str, float]:
    """What an actor's step takes beyond its period, with two cameras."""
    spec = EnvSpec(f"{__name__}:LinkCameras-v0")
    with tempfile.TemporaryDirectory() as name:
        folder, env = Path(name), spec.make()
        store = EpisodeStore(folder / "episodes") if recorder else None
        rollout, policy = Rollout(env, spec, "bench", 0, store=store), RandomPolicy(np.random.default_rng(0), 7)
        close: list[Callable[[], object]] = []
        end: Any = InProcessLink()
        if link:
            journal, spool = Journal(folder / "journal"), Spool(folder / "spool")
            learner = ZmqLearnerEnd(f"ipc://{folder}/link", journal)
            end = ZmqActorEnd(f"ipc://{folder}/link", spool)
            close = [end.close, learner.close, journal.close, spool.close]
        times = []
        for _ in range(steps):
            began = time.monotonic()
            deliver(end, *rollout.step(policy))
            times.append(time.monotonic() - began - 0.05)
            if not link:
                end.take()
        rollout.abort()
        for call in close:
            call()
    return _percentiles(f"step_ms{'_link' * link}{'_recorder' * recorder}", times)


def resume(steps: int) -> dict[str, float]:
    """A learner with ``steps`` stored: its checkpoint, and how long the next process takes to go on from it."""
    frame = ((16, 16, 3), np.dtype(np.uint8))
    layout = {"state": ((50,), np.dtype(np.float32)), **dict.fromkeys(CAMERAS, frame)}
    about = Description(Interface("bench", 50, 7), layout, EnvSpec("bench"))
    config = TrainConfig(warmup="random", env_steps=10**6, warmup_steps=10**6, learner=LearnerConfig())
    frames = (np.zeros((16, 16, 3), np.uint8),) * 2
    with tempfile.TemporaryDirectory() as name:
        learner = make_learner(Path(name), about, config)
        for number in range(steps):
            learner.take(make_step(number, frames))
        began = time.monotonic()
        learner.save()
        saved_s = time.monotonic() - began
        learner.close()
        began = time.monotonic()
        again = make_learner(Path(name), about, config)
        assert again.tally.env_steps == steps
        again.close()
        return {f"checkpoint_s_at_{steps}": saved_s, f"resume_s_at_{steps}": time.monotonic() - began}


def _percentiles(name: str, seconds: list[float]) -> dict[str, float]:
    return {f"{name}_p{q}": float(np.percentile(seconds, q)) * 1e3 for q in (50, 99)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=2_000, help="steps through the link")
    parser.add_argument("--control-steps", type=int, default=300, help="control steps of each kind")
    parser.add_argument("--stored", type=int, default=100_000, help="stored steps of the learner that resumes")
    given = parser.parse_args()
    measurements: list[Callable[[], dict[str, float]]] = [
        lambda: throughput(given.steps),
        lambda: weights_latency(100),
        *(lambda on=on: step_cost(given.control_steps, *on) for on in ((0, 0), (1, 0), (0, 1), (1, 1))),
        lambda: resume(given.stored),
    ]
    for measure in measurements:
        for name, value in measure().items():
            print(f"{name:32} {value:10.2f}", flush=True)


if __name__ == "__main__":
    main()
