"""``make bench-link``: what the link carries, what it costs the control loop, how soon weights arrive and a learner is
back. Two processes on this machine; a measurement, not a test."""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
import time
from collections.abc import Callable
from math import nan
from pathlib import Path
from string import Formatter
from typing import Any

import numpy as np

from benchmarks.link_resume import actor_resume, resume
from benchmarks.link_rig import EPISODE, PERIOD_S, SIDE, make_step, start_receiver
from benchmarks.page import put
from robot_rl.collectors import RandomPolicy
from robot_rl.episodes import EpisodeStore
from robot_rl.journal import Journal
from robot_rl.link import InProcessLink, Weights, deliver, digest_of
from robot_rl.link_actor import ZmqActorEnd
from robot_rl.link_learner import ZmqLearnerEnd
from robot_rl.rollout import EnvSpec, Rollout
from robot_rl.spool import Spool
from robot_rl.wire import encode_record

RESULTS = Path(__file__).resolve().parent / "results" / "link" / "figures.json"


def throughput(count: int) -> dict[str, float]:
    """Steps with two cameras, from the actor's hand to the learner's, spool and journal included."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        endpoint = f"ipc://{folder}/link"
        process, done = start_receiver(folder, endpoint, count)
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


class Loop:
    """A control loop with two cameras, with or without a link to a learner's process and a recorder."""

    def __init__(self, folder: Path, link: bool, recorder: bool) -> None:
        spec = EnvSpec("benchmarks.link_rig:LinkCameras-v0")
        self.name = f"step_ms{'_link' * link}{'_recorder' * recorder}"
        self.env, self.times = spec.make(), list[float]()
        store = EpisodeStore(folder / "episodes") if recorder else None
        self.rollout = Rollout(self.env, spec, "bench", 0, store=store)
        self.policy = RandomPolicy(np.random.default_rng(0), 7)
        self.end: Any = InProcessLink()
        self._close: list[Callable[[], object]] = []
        if link:
            process, self._never = start_receiver(folder, f"ipc://{folder}/link", 1 << 40)
            spool = Spool(folder / "spool")
            self.end = ZmqActorEnd(f"ipc://{folder}/link", spool)
            self._close = [self.end.close, spool.close, process.kill, process.join]

    def run(self, steps: int) -> None:
        """What steps take beyond their period."""
        for _ in range(steps):
            began = time.monotonic()
            deliver(self.end, *self.rollout.step(self.policy))
            self.times.append(time.monotonic() - began - PERIOD_S)
            if isinstance(self.end, InProcessLink):
                self.end.take()

    def close(self) -> None:
        self.rollout.abort()
        for call in self._close:
            call()


def step_cost(steps: int) -> dict[str, float]:
    """What an actor's step takes beyond its period: loops of four kinds in turn, an episode each, so that what else the
    machine does falls on all."""
    with tempfile.TemporaryDirectory() as name:
        kinds = [(False, False), (True, False), (False, True), (True, True)]
        for number in range(len(kinds)):
            (Path(name) / str(number)).mkdir()
        loops = [Loop(Path(name) / str(number), *kind) for number, kind in enumerate(kinds)]
        for _ in range(max(1, steps // EPISODE)):
            for loop in loops:
                loop.run(EPISODE)
        for loop in loops:
            loop.close()
        return {key: value for loop in loops for key, value in _percentiles(loop.name, loop.times).items()}


def _percentiles(name: str, seconds: list[float]) -> dict[str, float]:
    return {f"{name}_p{q}": float(np.percentile(seconds, q)) * 1e3 for q in (50, 99)}


def keep(values: dict[str, float]) -> None:
    """Add or replace figures of the results, and write the table."""
    for name, value in values.items():
        print(f"{name:32} {value:10.2f}", flush=True)
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    found |= {name: round(value, 3) for name, value in values.items()}
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    put("link", table(found))


def table(found: dict[str, float]) -> str:
    """The figures as Markdown."""
    said = lambda text: text.format_map({**dict.fromkeys(_names(text), nan), **found})  # noqa: E731
    rows = [f"| {what} | {said(text)} |" for what, text in ROWS.items()]
    return "\n".join(["| what | figure |", "|---|---|", *rows])


def _names(text: str) -> list[str]:
    return [name for _, name, _, _ in Formatter().parse(text) if name]


ROWS = {
    "steps with two 128² cameras through spool, link and journal": "{link_steps_s:.0f} steps/s, {link_mb_s:.0f} MB/s",
    "weights of 1 MB, from publishing to the actor's hand": "p50 {weights_ms_p50:.0f} ms, p99 {weights_ms_p99:.0f} ms",
    "a control step beyond its period, without link and recorder": "p50 {step_ms_p50:.2f} ms, p99 {step_ms_p99:.2f} ms",
    "with link": "p50 {step_ms_link_p50:.2f} ms, p99 {step_ms_link_p99:.2f} ms",
    "with recorder": "p50 {step_ms_recorder_p50:.2f} ms, p99 {step_ms_recorder_p99:.2f} ms",
    "with both": "p50 {step_ms_link_recorder_p50:.2f} ms, p99 {step_ms_link_recorder_p99:.2f} ms",
    "a checkpoint with 100,000 stored steps": "{checkpoint_s_at_100000:.1f} s",
    "a learner's process goes on from it, libraries included": "{resume_s_at_100000:.1f} s",
    "its replay filled again from 2,000 recorded episodes": "{rebuild_s_at_100000:.1f} s",
    "a killed actor's next episode begins, from `robot-rl actor` on": "{actor_resume_s_median:.1f} s, worst "
    "{actor_resume_s_worst:.1f} s",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=2_000, help="steps through the link")
    parser.add_argument("--only", default="", help="one of throughput, weights, control, resume, actor")
    parser.add_argument("--control-steps", type=int, default=600, help="control steps of each kind")
    parser.add_argument("--stored", type=int, default=100_000, help="stored steps of the learner that resumes")
    given = parser.parse_args()
    measurements: dict[str, Callable[[], dict[str, float]]] = {
        "throughput": lambda: throughput(given.steps),
        "weights": lambda: weights_latency(100),
        "control": lambda: step_cost(given.control_steps),
        "resume": lambda: resume(given.stored),
        "actor": lambda: actor_resume(5),
    }
    for kind, measure in measurements.items():
        if given.only in kind:
            keep(measure())


if __name__ == "__main__":
    main()
