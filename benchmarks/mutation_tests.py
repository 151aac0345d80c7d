"""Which of the guard's tests run a line of its core, and whether they notice a mutant of it, in a forked process."""

from __future__ import annotations

import hashlib
import importlib.abc
import importlib.util
import json
import os
import signal
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.mutants import Mutant

ROOT = Path(__file__).resolve().parent.parent
TESTS = ("tests/hardware",)
"""Where the core's tests are."""
EXCLUDED = ("recording", "black_box", "clock", "cell", "guard_process", "guard_socket", "devices")
"""Test modules that run the core's lines but judge something else."""
PRELOADED = (
    "numpy",
    "scipy.spatial.transform",
    "hypothesis",
    "hypothesis.strategies",
    "pytest",
    "ruckig",
    "mcap.writer",
)
"""What the parent imports once for all of its children."""
_OURS = ("hardware", "sim", "robot_rl", "tests", "benchmarks.fuzz", "benchmarks.fuzz_judge")
_SLOWER = 20.0
"""A mutant whose tests take this many times longer does not end."""


@dataclass(frozen=True)
class Test:
    """A test that runs a line, and how long it takes."""

    node: str
    seconds: float


class _Replacement(importlib.abc.MetaPathFinder, importlib.abc.SourceLoader):
    """Loads one module from given source."""

    def __init__(self, module: str, source: str):
        self.module, self.source = module, source

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> Any:
        return importlib.util.spec_from_loader(fullname, self) if fullname == self.module else None

    def get_filename(self, fullname: str) -> str:
        return f"<mutant of {self.module}>"

    def get_data(self, path: Any) -> bytes:
        return self.source.encode()


def path_of(module: str) -> Path:
    return ROOT / "hardware" / f"{module}.py"


def digest(*paths: Path) -> str:
    """Of the contents of ``paths``."""
    found = hashlib.sha256()
    for path in paths:
        found.update(path.read_bytes())
    return found.hexdigest()[:12]


def test_files() -> list[Path]:
    found = [path for folder in TESTS for path in sorted((ROOT / folder).glob("test_*.py"))]
    return [path for path in found if not any(path.stem == f"test_{name}" for name in EXCLUDED)]


def tests_by_line(modules: Sequence[str]) -> dict[tuple[str, int], list[Test]]:
    """Which tests run which line of ``modules``, fastest first: one run of the tests under coverage."""
    pid = os.fork()
    folder = ROOT / "benchmarks" / "results" / "mutation_coverage"
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / "data"
    if pid == 0:
        os._exit(_measure_coverage(modules, data))
    _, status = os.waitpid(pid, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit("the guard's tests fail without any mutant: mend them first (pytest tests/hardware)")
    durations: dict[str, float] = json.loads((folder / "durations.json").read_text())
    from coverage import CoverageData

    measured = CoverageData(str(data))
    measured.read()
    lines: dict[tuple[str, int], list[Test]] = {}
    for module in modules:
        for line, contexts in measured.contexts_by_lineno(str(path_of(module))).items():
            nodes = {context.partition("|")[0] for context in contexts if context}
            tests = [Test(node, durations.get(node, 1.0)) for node in nodes]
            lines[module, line] = sorted(tests, key=lambda test: test.seconds)
    return lines


def tests_of(module: str, mutant: Mutant, lines: Mapping[tuple[str, int], list[Test]]) -> list[Test]:
    """The tests that run the mutant's line or the beginning of its statement. What runs at import concerns all."""
    found = lines.get((module, mutant.line)) or lines.get((module, mutant.statement))
    if found:
        return found
    every = {test for (name, _), tests in lines.items() if name == module for test in tests}
    return sorted(every, key=lambda test: test.seconds)


def _measure_coverage(modules: Sequence[str], data: Path) -> int:
    import pytest
    from coverage import Coverage

    coverage = Coverage(str(data), include=[str(path_of(module)) for module in modules], config_file=False)
    durations: dict[str, float] = defaultdict(float)

    class Plugin:
        @pytest.hookimpl(hookwrapper=True)
        def pytest_runtest_protocol(self, item: Any) -> Iterator[None]:
            coverage.switch_context(item.nodeid)
            yield
            coverage.switch_context("")

        def pytest_runtest_logreport(self, report: Any) -> None:
            durations[report.nodeid] += report.duration

    coverage.start()
    code = _pytest([str(path) for path in test_files()], Plugin())
    coverage.stop()
    coverage.save()
    (data.parent / "durations.json").write_text(json.dumps(durations))
    return int(code)


def _pytest(arguments: Sequence[str], *plugins: object) -> int:
    import pytest
    from hypothesis import Phase, settings

    settings.register_profile("mutation", phases=(Phase.explicit, Phase.generate), database=None, deadline=None)
    settings.load_profile("mutation")
    options = ["-q", "-x", "-p", "no:cacheprovider", "-p", "no:randomly", "-W", "ignore", "--no-header", "--tb=no"]
    return int(pytest.main([*options, *arguments], plugins=list(plugins)))


def judge(module: str, mutant: Mutant, tests: Sequence[Test]) -> int:
    """In a forked process: 0 if every test passes with the mutant in place."""
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    # Of the processor's time: on a busy machine the clock on the wall would kill mutants that live.
    budget_s = 60.0 + _SLOWER * sum(test.seconds for test in tests)
    signal.setitimer(signal.ITIMER_PROF, budget_s)
    signal.setitimer(signal.ITIMER_REAL, _SLOWER * budget_s)
    for name in [name for name in sys.modules if name.split(".")[0] in _OURS or name in _OURS]:
        del sys.modules[name]
    sys.meta_path.insert(0, _Replacement(f"hardware.{module}", mutant.source))
    return _pytest([test.node for test in tests])
