"""One run of the bench: ``robot-rl demo``, and what its folder says of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Any

from benchmarks.hil_bench.methods import METHODS
from benchmarks.hil_bench.score import History
from benchmarks.hil_bench.tasks import DEMOS, SEEN, Person, people_name, person_of
from benchmarks.runs import robot_rl, share
from robot_rl.config import TrainConfig
from robot_rl.episodes import EpisodeStore, read_episode
from robot_rl.manifest import EpisodeRow
from robot_rl.metrics import read_metrics, series


@dataclass(frozen=True)
class Run:
    """One run of the bench, and its folder ``out``."""

    task: str
    method: str
    seed: int
    people: str
    """As :func:`~benchmarks.hil_bench.tasks.person_of` has it."""
    env_steps: int
    tests: int
    out: Path

    @property
    def person(self) -> Person:
        return person_of(self.seed, self.people)

    def described(self) -> dict[str, Any]:
        """What a result is of."""
        return {
            "task": self.task,
            "method": self.method,
            "seed": self.seed,
            "people": people_name(self.people),
            "person": {"level": self.person.level, "seed": self.seed},
        }


def run_method(run: Run) -> dict[str, Any]:
    """Train and test its method; goes on with what is already in its folder. The run's result."""
    task, seed, out, person, chosen = run.task, run.seed, run.out, run.person, METHODS[run.method]
    share(out.parent, f"{task}-*-{seed}", out, chosen.config.cloning)
    where = ("--task", task, "--seed", seed, "--out", out, "--no-video", "--test-episodes", run.tests)
    who = ("--skill", person.level, "--env-kwargs", json.dumps({**SEEN, "person_seed": person.seed}))
    config = chosen.config
    length = () if config.env_steps == 0 else ("--env-steps", run.env_steps)
    summary = robot_rl("demo", *where, *who, "--until-in-a-row", 0, *length, *chosen.arguments)
    return {
        **run.described(),
        "env_steps": summary["env_steps"],
        "wall_s": summary["wall_s"],
        "tests": summary["evaluations"],
        **histories(out, config),
    }


def lay_out_demos(run: Run) -> None:
    """Give a new run the first :data:`DEMOS` successful demonstrations that a real person has of its task (as
    `robot-rl record` or `console` leaves them), if they have any. ValueError where these are too few."""
    folder, demos = run.person.folder, run.out / "demos"
    if folder is None or demos.exists():
        return
    shown = found if (found := folder / run.task / "episodes").is_dir() else folder / run.task
    if not shown.is_dir():
        return
    store = EpisodeStore(shown)
    labels = {"success": True, "failure": False, "discard": False}
    good = [row.path for row in store.list() if row.complete and labels.get(row.label or "", row.success)]
    store.close()
    if len(good) < DEMOS:
        raise ValueError(f"{len(good)} successful demonstrations in '{shown}': a run begins with {DEMOS}")
    part = demos.with_name("demos.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for name in sorted(good)[:DEMOS]:
        shutil.copy2(shown / name, part / name)
    part.rename(demos)


def histories(out: Path, config: TrainConfig) -> dict[str, Any]:
    """Demonstrations and training of a finished run."""
    shown, trained = rows_of(out / "demos"), rows_of(out / "episodes")
    hz = read_episode(out / "demos" / shown[0].path).header.control_hz
    metrics = read_metrics(out) if (out / "metrics.jsonl").exists() else []
    training = history(trained, hz, config.person, ends(trained, series(metrics, "wall_s")))
    return {
        "demos": history(shown, hz, watched=True).saved(),
        "training": replace(training, watched_steps=config.watched_steps).saved(),
    }


def ends(rows: Sequence[EpisodeRow], wall_s: Iterable[tuple[int | float, float]]) -> tuple[float, ...]:
    """When each episode ended, by the wall times known after so many steps; () where one is not known. An episode that
    the end of the run broke off has none: it ends with the one before it."""
    known, done = dict(wall_s), list(accumulate(row.steps for row in rows))
    if len(rows) > 1 and not rows[-1].complete:
        done[-1] = done[-2]
    return tuple(known[n] for n in done) if all(n in known for n in done) else ()


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
