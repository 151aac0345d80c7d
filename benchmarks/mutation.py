"""``make mutation``: do the guard's tests notice when its core is wrong?

Every mutant (:mod:`benchmarks.mutants`) of the core's modules meets the tests that run its line, fastest first, in a
forked process that takes the mutated source instead of the file; nothing on disk is touched. A failing test, an error
and a test that does not end kill it. Survivors are listed in ``benchmarks/mutation.md`` with their explanations, kept
in ``benchmarks/mutation.toml``. Results are kept as they come, so that an interrupted run goes on; a module that
changed starts anew, and survivors meet the tests again when those changed.

Why not mutmut or cosmic-ray: both start pytest, numpy, scipy and hypothesis anew for every mutant, which costs several
times what the tests do.
"""

from __future__ import annotations

import configparser
import importlib
import json
import os
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tyro

from benchmarks.mutants import Mutant, mutants
from benchmarks.mutation_tests import PRELOADED, ROOT, Test, digest, judge, path_of, test_files, tests_by_line, tests_of
from benchmarks.page import put
from hardware.toml_dataclass import read_toml

COVERAGE = ROOT / "tests" / "hardware" / "core.coveragerc"
"""Says which modules of ``hardware`` are the core."""
RESULTS = ROOT / "benchmarks" / "results" / "mutation.jsonl"
SURVIVORS = ROOT / "benchmarks" / "mutation.md"
EXPLANATIONS = ROOT / "benchmarks" / "mutation.toml"
_KILLED, _SURVIVED, _TIMED_OUT = "killed", "survived", "timeout"


def core() -> tuple[str, ...]:
    """The core's modules, by name."""
    config = configparser.ConfigParser()
    config.read(COVERAGE)
    return tuple(Path(path).stem for path in config["run"]["include"].split())


@dataclass
class Options:
    """Mutate the guard's core and run its tests."""

    modules: tuple[str, ...] = field(default_factory=core)
    """Which of the core's modules."""
    workers: int = os.cpu_count() or 2
    """Processes."""
    sample: int = 0
    """Only this many mutants a module, drawn evenly; 0 for all."""
    page: bool = True
    """Write the score into RESULTS.md and the survivors into mutation.md."""


class Run:
    """Mutants not judged yet, judged in parallel."""

    def __init__(self, options: Options):
        self.options = options
        self.modules = options.modules
        self.tests_digest = digest(*test_files(), *sorted((ROOT / "tests/hardware").glob("rig*.py")))
        self.sources = {module: digest(path_of(module)) for module in self.modules}
        self.results = self._known()
        self._running: dict[int, tuple[str, Mutant, float]] = {}

    def all(self) -> None:
        """Judge what is left."""
        waiting = list(self._waiting())
        if not waiting:
            return
        print(f"{len(waiting)} mutants to judge", file=sys.stderr, flush=True)
        lines = tests_by_line(self.modules)
        begin, done = time.monotonic(), 0
        for module, mutant in waiting:
            while len(self._running) >= self.options.workers:
                done += self._reap()
                self._say(done, len(waiting), begin)
            self._start(module, mutant, tests_of(module, mutant, lines))
        while self._running:
            done += self._reap()
        self._say(done, len(waiting), begin, always=True)

    def _known(self) -> dict[tuple[str, int], dict[str, Any]]:
        """What earlier runs found that still counts."""
        known = {}
        for line in RESULTS.read_text().splitlines() if RESULTS.exists() else ():
            row = json.loads(line)
            if self.sources.get(row["module"]) != row["source"]:
                continue
            if row["outcome"] == _SURVIVED and row["tests"] != self.tests_digest:
                known.pop((row["module"], row["index"]), None)
                continue
            known[row["module"], row["index"]] = row
        return known

    def _waiting(self) -> Iterator[tuple[str, Mutant]]:
        for module in self.modules:
            found = list(mutants(path_of(module).read_text()))
            step = max(1, len(found) // self.options.sample) if self.options.sample else 1
            yield from ((module, m) for m in found[::step] if (module, m.index) not in self.results)

    def _start(self, module: str, mutant: Mutant, tests: Sequence[Test]) -> None:
        if not tests:  # No test runs the line.
            self._note(module, mutant, _SURVIVED, 0.0)
            return
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                code = judge(module, mutant, tests)
            finally:
                os._exit(min(code, 1))
        self._running[pid] = (module, mutant, time.monotonic())

    def _reap(self) -> int:
        pid, status = os.wait()
        module, mutant, begin = self._running.pop(pid)
        code = os.waitstatus_to_exitcode(status)
        outcome = _SURVIVED if code == 0 else _TIMED_OUT if -code in (signal.SIGPROF, signal.SIGALRM) else _KILLED
        self._note(module, mutant, outcome, time.monotonic() - begin)
        return 1

    def _note(self, module: str, mutant: Mutant, outcome: str, seconds: float) -> None:
        row = {
            "module": module,
            "index": mutant.index,
            "line": mutant.line,
            "change": mutant.change,
            "outcome": outcome,
            "seconds": round(seconds, 1),
            "source": self.sources[module],
            "tests": self.tests_digest,
        }
        self.results[module, mutant.index] = row
        RESULTS.parent.mkdir(exist_ok=True)
        with RESULTS.open("a") as file:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")

    def _say(self, done: int, wanted: int, begin: float, always: bool = False) -> None:
        if always or done % 50 == 0:
            left = (time.monotonic() - begin) / max(done, 1) * (wanted - done)
            print(f"{done}/{wanted}, about {left / 60:.0f} min left", file=sys.stderr, flush=True)


def explanations() -> dict[str, str]:
    """Why a survivor is no fault, or not worth a test: ``module: change`` → reason."""
    if not EXPLANATIONS.exists():
        return {}
    return {str(key): str(value) for key, value in read_toml(EXPLANATIONS).items()}


def score_table(results: Sequence[Mapping[str, Any]]) -> str:
    """Mutants, survivors and the share noticed, a module a row, in Markdown."""
    lines = ["| module | mutants | survived | noticed |", "|---|---|---|---|"]
    by_module: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in results:
        by_module[row["module"]].append(row)
    for module, rows in [*sorted(by_module.items()), ("**all**", list(results))]:
        survived = sum(row["outcome"] == _SURVIVED for row in rows)
        lines.append(f"| {module} | {len(rows)} | {survived} | {100 * (1 - survived / max(len(rows), 1)):.1f} % |")
    return "\n".join(lines)


def survivors_page(results: Sequence[Mapping[str, Any]]) -> str:
    """The list of survivors with their explanations, in Markdown."""
    reasons = explanations()
    lines = ["# Mutants of the guard's core that its tests let live", "", "`make mutation` writes this page.", ""]
    lines += ["| module | line | change | why |", "|---|---|---|---|"]
    for row in sorted(results, key=lambda row: (row["module"], row["index"])):
        if row["outcome"] == _SURVIVED:
            why = reasons.get(f"{row['module']}: {row['change']}", "not looked at yet")
            change = row["change"].replace("|", "\\|")
            lines.append(f"| {row['module']} | {row['line']} | `{change}` | {why} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    options = tyro.cli(Options)
    os.chdir(ROOT)
    os.environ["OMP_NUM_THREADS"] = "1"
    sys.path.insert(0, str(ROOT))
    for module in PRELOADED:
        importlib.import_module(module)
    run = Run(options)
    try:
        run.all()
    finally:
        rows = list(run.results.values())
        table = score_table(rows)
        print(table)
        if options.page:
            put("mutation", table)
            SURVIVORS.write_text(survivors_page(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
