"""``make train-franka-sim``: demonstrations, training and a test of a real cell whose Franka is simulated.

The commands are those for an arm, each a process of its own: what they drive is `FrankaArm`, franky and libfranka. Only
at the other end of the network does franky-sim stand in for the controller, and a scripted person for the operator.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from benchmarks.runs import PROGRAM
from hardware.interfaces import GuardMode, Source
from robot_rl.episodes import EpisodeStore
from robot_rl.types import Episode
from tests.hardware.arms.rig import FrankaSimulator

HERE = Path(__file__).resolve().parent
SMALL = (
    *("--learner.width", "64", "--learner.batch-size", "64", "--learner.utd-ratio", "2"),
    *("--cloning.width", "64", "--cloning.steps", "500", "--warmup-steps", "100", "--critic-only-updates", "100"),
)
"""Updates that a control step has time for: the guard lives in the same process."""
TICKS = re.compile(r"guard: (\d+) ticks, (\d+) missed, the latest (\S+) ms late")


@dataclass
class FrankaSim:
    """Record, train and test on the simulated Franka; print what came of it as JSON."""

    demos: int = 10
    """Demonstrations."""
    env_steps: int = 600
    """Steps of training."""
    episodes: int = 10
    """Of the test, nobody helping."""
    preset: str = "hil_serl"
    """What learns."""
    out: Path = Path("runs/franka_sim")
    """What is there is removed first."""


@dataclass
class Done:
    """What one command did: its result, and the guard's ticks and refused presses by its own word."""

    result: dict[str, Any]
    seconds: float
    ticks: int = 0
    missed: int = 0
    latest_ms: float = 0.0
    said: Counter[str] = field(default_factory=Counter)


def run(*arguments: object) -> Done:
    """A command of ``robot-rl``, its progress on our stderr; SystemExit where it fails."""
    began_s = time.monotonic()
    command = [*PROGRAM, *map(str, arguments), "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stderr is not None
    done = Done({}, 0.0)
    for line in process.stderr:
        print(line, end="", file=sys.stderr)
        if told := TICKS.search(line):
            done.ticks, done.missed = done.ticks + int(told[1]), done.missed + int(told[2])
            done.latest_ms = max(done.latest_ms, float(told[3]))
        for words in ("not at the start", "not yet"):
            done.said[words] += line.startswith(words)
    answer = process.stdout.read()
    if process.wait() != 0:
        sys.exit(f"robot-rl {arguments[0]} stopped with code {process.returncode}")
    done.result, done.seconds = json.loads(answer), time.monotonic() - began_s
    return done


def figures(folder: Path) -> dict[str, Any]:
    """What the episodes recorded in ``folder`` say."""
    store = EpisodeStore(folder)
    episodes = [store.read(row) for row in store.list()]
    store.close()
    steps = [step for episode in episodes for step in episode.steps]
    periods_ms = [1e3 * gap for episode in episodes for gap in np.diff([step.stamp_s for step in episode.steps])]
    refused = Counter(refusal.limit for step in steps for refusal in step.raw.executed.refusals)
    return {
        "episodes": len(episodes),
        "succeeded": sum(episode.success for episode in episodes),
        "steps": len(steps),
        "person_steps": sum(step.source in (Source.HUMAN, Source.DEMO) for step in steps),
        "robot_s": sum(periods_ms) / 1e3,
        "period_p50_ms": float(np.percentile(periods_ms, 50)),
        "period_p99_ms": float(np.percentile(periods_ms, 99)),
        "refusals": dict(refused),
        "stops": dict(Counter(reason for episode in episodes if (reason := _stopped(episode)))),
    }


def _stopped(episode: Episode) -> str:
    """Why the guard ended an episode; empty where it did not."""
    last = episode.steps[-1].raw.executed
    return (last.reason or "held") if last.mode >= GuardMode.HOLD else ""


def cell_for(person: str, address: str, out: Path) -> Path:
    """The cell's file, with the simulator's address and what the person does."""
    text = (HERE / "franka_sim.toml").read_text(encoding="utf-8")
    path = out / f"franka_sim_{person}.toml"
    path.write_text(text.replace("person:watching", f"person:{person}").replace("127.0.0.1", address), encoding="utf-8")
    return path


def main(options: FrankaSim) -> None:
    shutil.rmtree(options.out, ignore_errors=True)
    options.out.mkdir(parents=True)
    demos, trained = options.out / "demos", options.out / "run"
    simulator, began_s = FrankaSimulator(), time.monotonic()
    try:

        def here(person: str) -> list[object]:
            cell = cell_for(person, simulator.address, options.out)
            return ["--cell", cell, "--task", HERE / "touch.toml"]

        shown = run("record", *here("showing"), "--episodes", options.demos, "--out", demos)
        learning = ["--preset", options.preset, *SMALL, "--demos", demos, "--env-steps", options.env_steps]
        taught = run("train", *here("watching"), *learning, "--out", trained)
        tested = run("eval", trained, *here("judging"), "--episodes", options.episodes)
        simulator.do("time")
        speed = float(simulator.hear("simulated").split()[1]) / (time.monotonic() - began_s)
    finally:
        simulator.close()
    found = {"record": {**figures(demos), **_of(shown)}, "train": {**figures(trained / "episodes"), **_of(taught)}}
    found["eval"] = {**tested.result, **_of(tested)}
    found["simulator_speed"] = speed
    print(json.dumps(found, indent=1))


def _of(done: Done) -> dict[str, Any]:
    ticks = {"ticks": done.ticks, "missed_ticks": done.missed, "latest_tick_ms": done.latest_ms}
    return {"wall_s": done.seconds, **ticks, "presses_refused": done.said.total()}


if __name__ == "__main__":
    main(tyro.cli(FrankaSim))
