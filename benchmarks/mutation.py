"""``make mutation``: do the guard's tests notice when its core is wrong?

Every mutant (:mod:`benchmarks.mutants`) of the core's modules meets the tests that run its line, first those that
noticed others in its module, then the fastest, in a forked process whose functions get the mutated code
(:mod:`benchmarks.mutant_in_place`); nothing on disk is touched. A failing test, an error and a test that does not end
kill it. Survivors are listed in ``benchmarks/mutation.md`` with their explanations, kept in
``benchmarks/mutation.toml``. Results are kept as they come, so that an interrupted run goes on; a module that changed
starts anew, and survivors without an explanation meet the tests again when those changed, or more of them with more
``--seconds``.

Why not mutmut or cosmic-ray: both start pytest, numpy, scipy and hypothesis anew for every mutant, which costs a
hundred times what the first test to notice it does.
"""

from __future__ import annotations

import configparser
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

import pytest
import tyro

from benchmarks.mutant_in_place import live_functions
from benchmarks.mutants import Mutant, mutants
from benchmarks.mutation_page import SURVIVED, Explanations, score_table, survivors_page
from benchmarks.mutation_tests import (
    ROOT,
    Test,
    code_digest,
    digest,
    judge,
    path_of,
    test_files,
    tests_by_line,
    tests_of,
    with_tests,
)
from benchmarks.page import put

COVERAGE = ROOT / "tests" / "hardware" / "core.coveragerc"
"""Says which modules of ``hardware`` are the core."""
RESULTS = ROOT / "benchmarks" / "results" / "mutation.jsonl"
SURVIVORS = ROOT / "benchmarks" / "mutation.md"
_KILLED, _TIMED_OUT = "killed", "timeout"


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
    seconds: float = 60.0
    """Of tests beyond the module's own a mutant meets at most, the fastest: what only slower ones would notice counts
    as a survivor."""
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
        self.sources = {module: code_digest(module) for module in self.modules}
        self.explained = Explanations()
        self.results = self._known()
        self._running: dict[int, tuple[str, Mutant, float, int]] = {}
        self._noticed: dict[str, list[str]] = defaultdict(list)
        self._tests: list[Test] = []

    def all(self) -> None:
        """Judge what is left."""
        waiting = list(self._waiting())
        if waiting:
            print(f"{len(waiting)} mutants to judge", file=sys.stderr, flush=True)
            with_tests(lambda items: self._judge(waiting, items))

    def _judge(self, waiting: Sequence[tuple[str, Mutant]], items: Sequence[pytest.Item]) -> None:
        self._tests, lines = tests_by_line(items, self.modules, RESULTS.parent / "mutation_coverage")
        for module in {module for module, _ in waiting}:
            live_functions(f"hardware.{module}")
        by_node = {item.nodeid: item for item in items}
        begin, done = time.monotonic(), 0
        for module, mutant in waiting:
            while len(self._running) >= self.options.workers:
                done += self._reap()
                self._say(done, len(waiting), begin)
            self._start(by_node, module, mutant, self._first(module, tests_of(module, mutant, lines)))
        while self._running:
            done += self._reap()
        self._say(done, len(waiting), begin, always=True)

    def _first(self, module: str, tests: Sequence[Test]) -> list[Test]:
        """Those that noticed the last mutants and those of the module's own file (what their fixtures run is seen to be
        run by the first of them alone), then the fastest that there is time for."""
        lately, left = self._noticed[module][-20:], self.options.seconds
        chosen = [test for test in self._tests if f"/test_{module}" in test.node]
        chosen += [test for test in tests if test.node in lately and test not in chosen]
        for test in sorted(set(tests).difference(chosen), key=lambda test: test.seconds):
            left -= test.seconds
            if left < 0:
                break
            chosen.append(test)
        return sorted(chosen, key=lambda test: (test.node not in lately, test.seconds))

    def _known(self) -> dict[tuple[str, int], dict[str, Any]]:
        """What earlier runs found that still counts."""
        known = {}
        for line in RESULTS.read_text().splitlines() if RESULTS.exists() else ():
            row = json.loads(line)
            if self.sources.get(row["module"]) != row["source"]:
                continue
            if row["outcome"] == SURVIVED and not self._met_enough(row):
                known.pop((row["module"], row["index"]), None)
                continue
            known[row["module"], row["index"]] = row
        return known

    def _met_enough(self, row: Mapping[str, Any]) -> bool:
        met = row["tests"] == self.tests_digest and row["met_s"] >= self.options.seconds
        return met or bool(self.explained.of(row))

    def _waiting(self) -> Iterator[tuple[str, Mutant]]:
        for module in self.modules:
            found = list(mutants(path_of(module).read_text()))
            step = max(1, len(found) // self.options.sample) if self.options.sample else 1
            yield from ((module, m) for m in found[::step] if (module, m.index) not in self.results)

    def _start(self, items: Mapping[str, pytest.Item], module: str, mutant: Mutant, tests: Sequence[Test]) -> None:
        if not tests:  # No test runs the line.
            self._note(module, mutant, SURVIVED, 0.0, "")
            return
        sys.stdout.flush()
        answer, told = os.pipe()
        pid = os.fork()
        if pid == 0:
            by = "(error)"
            try:
                by = judge(items, module, mutant, tests)
            finally:
                os.write(told, by.encode())
                os._exit(1 if by else 0)
        os.close(told)
        self._running[pid] = (module, mutant, time.monotonic(), answer)

    def _reap(self) -> int:
        pid, status = os.wait()
        module, mutant, begin, answer = self._running.pop(pid)
        with os.fdopen(answer, "rb") as file:
            by = file.read().decode()
        code = os.waitstatus_to_exitcode(status)
        outcome = SURVIVED if code == 0 else _TIMED_OUT if -code in (signal.SIGPROF, signal.SIGALRM) else _KILLED
        if by:
            self._noticed[module].append(by)
        self._note(module, mutant, outcome, time.monotonic() - begin, by)
        return 1

    def _note(self, module: str, mutant: Mutant, outcome: str, seconds: float, by: str) -> None:
        row = {
            "module": module,
            "index": mutant.index,
            "line": mutant.line,
            "change": mutant.change,
            "outcome": outcome,
            "by": by,
            "seconds": round(seconds, 1),
            "met_s": self.options.seconds,
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


def main() -> None:
    options = tyro.cli(Options)
    os.chdir(ROOT)
    os.environ["OMP_NUM_THREADS"] = "1"
    sys.path.insert(0, str(ROOT))
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
