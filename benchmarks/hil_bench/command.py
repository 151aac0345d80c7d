"""``robot-rl bench hil``: methods with a person in the loop, compared at equal cost; resumable, a result file a run."""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.hil_bench.methods import METHODS
from benchmarks.hil_bench.tasks import DRAWN, TASKS, TUNING_SEEDS, people_name, person_of
from benchmarks.page import PAGE, put
from robot_rl.cli import jsonable

RESULTS = PAGE.parent / "results" / "hil_bench"
PICTURE = PAGE.parent / "hil_bench.svg"


@dataclass(kw_only=True)
class HilBench:
    """HIL-Bench: success against the person's attention, method by method, task by task; hours, resumable."""

    methods: tuple[str, ...] = ("bc", "hg_dagger", "rlpd", "hil_serl", "rlif", "residual", "res_hil")
    """Presets, and additions to them; with --learner the name to report it by."""
    tasks: tuple[str, ...] = ("peg_insertion", "connector_insertion", "pick_and_insert")
    """Tasks by name."""
    seeds: int = 5
    """Seeds from --first-seed on; each also draws the person."""
    first_seed: int = 0
    """From 100 on seeds are for tuning: they are never reported."""
    people: str = DRAWN
    """drawn from a stated distribution of skill, or all expert, intermediate or novice, or a real person's folder
    (docs/hil-bench.md)."""
    env_steps: int | None = None
    """Environment steps of a run; None as the task has it."""
    test_episodes: int = 300
    """Of the final test, declared before training."""
    learner: str | None = None
    """Another project's learner as module:function; docs/hil-bench.md says what it is called with."""
    jobs: int = 1
    """Runs at a time."""
    runs: Path = Path("runs/hil_bench")
    """Where the runs themselves go."""
    results: Path = RESULTS
    """Where their results go; page and picture are written only from the usual place."""
    robustness: int = 0
    """Also try each run's policy in changed twins, for so many episodes in each."""
    table_only: bool = False
    """Only write table and picture of what has been run."""
    json: bool = False
    """Print one JSON object on stdout and nothing else; progress goes to stderr in any case."""

    @classmethod
    def defaults(cls, arguments: Sequence[str]) -> HilBench:
        return cls()

    @property
    def out(self) -> Path:
        """Where an interrupted bench goes on."""
        return self.results

    started_in = out

    def run(self) -> Mapping[str, Any]:
        self._require_names()
        self.results.mkdir(parents=True, exist_ok=True)
        seeds = range(self.first_seed, self.first_seed + self.seeds)
        todo = [(t, m, s) for s in seeds for t in self.tasks for m in self.methods if not self._file(t, m, s).exists()]
        if not self.table_only:
            self._do(self._run_one, todo)
            if self.robustness:
                self._do(self._try_elsewhere, [(t, m, s) for s in seeds for t in self.tasks for m in self.methods])
        return self._publish()

    def _do(self, work: Callable[[str, str, int], None], runs: Iterable[tuple[str, str, int]]) -> None:
        """``jobs`` at a time; what is done is published as it comes."""
        pool = ThreadPoolExecutor(self.jobs)
        try:
            for _ in pool.map(lambda run: work(*run), runs):
                self._publish()
        finally:
            pool.shutdown(cancel_futures=True)

    def _run_one(self, task: str, method: str, seed: int) -> None:
        from benchmarks.hil_bench.elsewhere import run_elsewhere
        from benchmarks.hil_bench.run import Run, lay_out_demos, run_method

        print(f"running {self._file(task, method, seed).stem}", file=sys.stderr, flush=True)
        steps = self.env_steps or TASKS[task].env_steps
        run = Run(task, method, seed, self.people, steps, self.test_episodes, self._folder(task, method, seed))
        lay_out_demos(run)
        if self.learner is None:
            result = (run_elsewhere if TASKS[task].env else run_method)(run)
        else:
            from benchmarks.hil_bench.outside import run_learner

            result = run_learner(run, self.learner)
        _keep(self._file(task, method, seed), result)

    def _try_elsewhere(self, task: str, method: str, seed: int) -> None:
        from benchmarks.hil_bench.robustness import LATER, changes_of, success_in, success_later

        path = self._file(task, method, seed)
        path, policy = path.parent / "robustness" / path.name, self._folder(task, method, seed) / "policy"
        # Another project's learner leaves no policy, and its task is not the twin's to change.
        if path.exists() or TASKS[task].env or not policy.exists():
            return
        print(f"trying {path.stem} elsewhere", file=sys.stderr, flush=True)
        changed = changes_of(task).items()
        found = {name: success_in(changes, policy, task, seed, self.robustness) for name, changes in changed}
        found[LATER] = success_later(policy, task, seed, self.robustness)
        path.parent.mkdir(exist_ok=True)
        what = {"task": task, "method": method, "seed": seed, "people": people_name(self.people)}
        _keep(path, {**what, "episodes": self.robustness, "success": found})

    def _file(self, task: str, method: str, seed: int) -> Path:
        people = "" if self.people == DRAWN else f"-{people_name(self.people)}"
        return self.results / f"{task}-{method}{people}-{seed}.json"

    def _folder(self, task: str, method: str, seed: int) -> Path:
        """Where a run goes."""
        return self.runs / people_name(self.people) / f"{task}-{method}-{seed}"

    def _publish(self) -> dict[str, Any]:
        """Tables and picture of all results of these people, of seeds that are reported or for tuning."""
        from benchmarks.hil_bench.page import picture, table
        from benchmarks.hil_bench.robustness import table as robustness_table

        found, elsewhere = self._found(self.results), self._found(self.results / "robustness")
        if self.results == RESULTS and self.people == DRAWN and self.first_seed < TUNING_SEEDS and found:
            picture(found, PICTURE)
            put("hil-bench", table(found))
            put("hil-bench-robustness", robustness_table(elsewhere) if elsewhere else "Not run yet.")
        elif found and not self.json:
            print(table(found), *([robustness_table(elsewhere)] if elsewhere else []), sep="\n\n", file=sys.stderr)
        return {"runs": len(found), "results": self.results}

    def _found(self, folder: Path) -> list[dict[str, Any]]:
        results = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
        same_kind = (people_name(self.people), self.first_seed < TUNING_SEEDS)
        return [r for r in results if (r["people"], r["seed"] < TUNING_SEEDS) == same_kind]

    def _require_names(self) -> None:
        _require("task", self.tasks, TASKS)
        if self.learner is None:
            _require("method", self.methods, METHODS)
        elif len(self.methods) != 1:
            raise ValueError("--learner is one method: name it with --methods NAME")
        person_of(0, self.people)
        if self.jobs < 1 or self.seeds < 1:
            raise ValueError("--jobs and --seeds must be at least 1")
        if self.first_seed < TUNING_SEEDS < self.first_seed + self.seeds:
            raise ValueError(
                f"seeds below {TUNING_SEEDS} are reported, those from it on are for tuning: not both at once"
            )


def _keep(path: Path, result: Mapping[str, Any]) -> None:
    """Whole, or not at all."""
    fresh = path.with_suffix(".part")
    fresh.write_text(json.dumps(jsonable(result)) + "\n", encoding="utf-8")
    fresh.rename(path)


def _require(what: str, given: Iterable[str], known: Iterable[str]) -> None:
    for name in given:
        if name not in known:
            close = difflib.get_close_matches(name, list(known), 1, cutoff=0.0)
            raise ValueError(f"no {what} '{name}'; did you mean '{close[0]}'? (there are {', '.join(known)})")
