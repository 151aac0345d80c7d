"""How soon a learner and an actor are back: the half of `make bench-link` that is not about the link itself."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import DEVNULL

import numpy as np

from benchmarks.link_rig import CAMERAS, make_step
from robot_rl.actor import COUNTER
from robot_rl.config import LearnerConfig, TrainConfig
from robot_rl.description import Description
from robot_rl.episodes import EpisodeStore
from robot_rl.learners import RLLearner
from robot_rl.policy import Interface
from robot_rl.rollout import EnvSpec
from robot_rl.types import EpisodeHeader
from robot_rl.wire import Final


def come_back(folder: Path) -> RLLearner:
    """The learner of ``folder``, where it left off."""
    frame = ((16, 16, 3), np.dtype(np.uint8))
    layout = {"state": ((50,), np.dtype(np.float32)), **dict.fromkeys(CAMERAS, frame)}
    about = Description(Interface("bench", 50, 7), layout, EnvSpec("bench"))
    config = TrainConfig(warmup="random", env_steps=10**6, warmup_steps=10**6, learner=LearnerConfig())
    return RLLearner(folder, about, config)


def resume(steps: int) -> dict[str, float]:
    """A learner with ``steps`` stored: its checkpoint, how long the next takes to go on from it, and to fill its replay
    again from the recorded episodes."""
    frames = tuple(np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8))
    with tempfile.TemporaryDirectory() as name:
        folder, store = Path(name) / "learner", EpisodeStore(Path(name) / "episodes")
        learner = come_back(folder)
        for number in range(steps):
            step = make_step(number, frames)
            if step.id.step == 0:
                writer = store.writer(EpisodeHeader(*step.id[:3], "bench", 0, 10.0, 7, (1.0,) * 7))
            writer.add(step)
            learner.take(step)
            if step.is_last:
                writer.close(step.observation)
                learner.take(Final(step.id, step.observation))
        timed: dict[str, float] = {}
        learner.off_policy.agent.optimizers()  # what makes them is loaded once, by the first update
        timed[f"checkpoint_s_at_{steps}"] = _seconds(learner.save)
        learner.close()
        code = f"from benchmarks.link_resume import *; come_back(Path({str(folder)!r}))"
        timed[f"resume_s_at_{steps}"] = _seconds(lambda: subprocess.run([sys.executable, "-c", code], check=True))
        again, recorded = come_back(folder), (store.read(row) for row in store.list())
        timed[f"rebuild_s_at_{steps}"] = _seconds(lambda: again.rebuild(recorded))
        assert again.tally.env_steps == again.off_policy.online.steps == steps
        again.close()
        store.close()
        return timed


def actor_resume(repeats: int) -> dict[str, float]:
    """From the start of an actor's process, after a kill, to the beginning of its next episode: libraries, the twin and
    the newest weights included."""
    with tempfile.TemporaryDirectory() as name:
        folder, times = Path(name), list[float]()
        where = ["--endpoint", f"ipc://{folder}/link", "--preset", "hil_serl"]
        learner = ["learner", "--out", f"{folder}/learner", "--demos", f"{folder}/demos", "--env-steps", "100000"]
        actor = ["actor", "--out", f"{folder}/actor", "--task", "peg_insertion", "--min-free-gb", "0"]
        _robot_rl("record", "--task", "peg_insertion", "--episodes", "2", "--out", f"{folder}/demos").wait()
        served, counter = _robot_rl(*learner, *where), folder / "actor" / COUNTER
        for _ in range(repeats + 1):  # the first also waits for the learner to begin
            before, began = counter.exists() and counter.read_text(), time.monotonic()
            process = _robot_rl(*actor, *where)
            while not counter.exists() or counter.read_text() in ("", before):
                time.sleep(0.01)
            times.append(time.monotonic() - began)
            time.sleep(1.0)
            process.kill()
            process.wait()
        served.kill()
        served.wait()
    return {"actor_resume_s_median": statistics.median(times[1:]), "actor_resume_s_worst": max(times[1:])}


def _robot_rl(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([f"{Path(sys.executable).parent}/robot-rl", *arguments], stdout=DEVNULL, stderr=DEVNULL)


def _seconds(call: Callable[[], object]) -> float:
    began = time.monotonic()
    call()
    return time.monotonic() - began
