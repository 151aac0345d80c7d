"""One run of the bench: ``robot-rl demo``, and what its folder says of it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.hil_bench.methods import METHODS
from benchmarks.hil_bench.score import History
from benchmarks.hil_bench.tasks import Person, person_of
from benchmarks.runs import robot_rl, share
from robot_rl.config import TrainConfig
from robot_rl.episodes import EpisodeStore, read_episode
from robot_rl.manifest import EpisodeRow
from robot_rl.metrics import read_metrics, series


def run_method(
    task: str, method: str, seed: int, people: str, env_steps: int, tests: int, runs: Path
) -> dict[str, Any]:
    """Train and test ``method``; goes on with what is already in ``runs``. The run's result."""
    out, person, chosen = runs / f"{task}-{method}-{seed}", person_of(seed, people), METHODS[method]
    share(runs, f"{task}-*-{seed}", out, chosen.config.cloning)
    where = ("--task", task, "--seed", seed, "--out", out, "--no-video", "--test-episodes", tests)
    who = ("--skill", person.level, "--env-kwargs", json.dumps({"person_seed": person.seed}))
    config = chosen.config
    length = () if config.env_steps == 0 else ("--env-steps", env_steps)
    summary = robot_rl("demo", *where, *who, "--until-in-a-row", 0, *length, *chosen.arguments)
    return {
        **described(task, method, seed, people, person),
        "env_steps": summary["env_steps"],
        "wall_s": summary["wall_s"],
        "tests": summary["evaluations"],
        **histories(out, config),
    }


def described(task: str, method: str, seed: int, people: str, person: Person) -> dict[str, Any]:
    """What a result is of."""
    return {
        "task": task,
        "method": method,
        "seed": seed,
        "people": people,
        "person": {"level": person.level, "seed": person.seed},
    }


def histories(out: Path, config: TrainConfig) -> dict[str, Any]:
    """Demonstrations and training of a finished run."""
    shown, trained = rows_of(out / "demos"), rows_of(out / "episodes")
    hz = read_episode(out / "demos" / shown[0].path).header.control_hz
    wall = dict(series(read_metrics(out), "wall_s")) if (out / "metrics.jsonl").exists() else {}
    ends, done = [], 0
    for row in trained:
        done += row.steps
        ends.append(wall.get(done, float("nan")))
    kept = all(end == end for end in ends)
    training = history(trained, hz, config.person, tuple(ends) if kept else ())
    return {
        "demos": history(shown, hz, watched=True).saved(),
        "training": replace(training, watched_steps=config.watched_steps).saved(),
    }


def rows_of(folder: Path) -> list[EpisodeRow]:
    """All episodes of a folder in order, failed attempts and broken-off ones included: they cost time too."""
    if not folder.exists():
        return []
    store = EpisodeStore(folder)
    rows = sorted(store.list(), key=lambda row: (row.episode, row.path))
    store.close()
    return rows


def history(rows: Iterable[EpisodeRow], hz: float, watched: bool, wall_s: tuple[float, ...] = ()) -> History:
    rows = list(rows)
    return History(
        steps=tuple(row.steps for row in rows),
        driven=tuple(sum(end - start for start, end in row.intervention_spans) for row in rows),
        success=tuple(row.success for row in rows),
        hz=hz,
        watched=watched,
        wall_s=wall_s,
    )
