"""The guard's tests, collected once, and whether they notice a mutant of its core in a forked process."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import signal
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from benchmarks.mutant_in_place import forget, put_in_place, replace_file
from benchmarks.mutants import Mutant

ROOT = Path(__file__).resolve().parent.parent
TESTS = ROOT / "tests" / "hardware"
"""Where the core's tests are."""
EXCLUDED = (
    *("black_box", "camera_geometry", "cell", "clock", "doctor", "full_disk", "hand_eye"),
    *("local_socket", "priority", "recording", "setup_cell"),
)
"""Test modules that run the core's lines but judge something else, some with processes of their own."""
_SLOWER = 20.0
"""A mutant whose tests take this many times longer does not end."""


@dataclass(frozen=True)
class Test:
    """A test that runs a line, and how long it takes."""

    node: str
    seconds: float


def path_of(module: str) -> Path:
    return ROOT / "hardware" / f"{module}.py"


def digest(*paths: Path) -> str:
    """Of the contents of ``paths``."""
    found = hashlib.sha256()
    for path in paths:
        found.update(path.read_bytes())
    return found.hexdigest()[:12]


def code_digest(module: str) -> str:
    """Of what a module of the core does: comments and layout change nothing."""
    return hashlib.sha256(ast.unparse(ast.parse(path_of(module).read_text())).encode()).hexdigest()[:12]


def test_files() -> list[Path]:
    """The modules of tests that judge mutants."""
    return [path for path in sorted(TESTS.glob("test_*.py")) if path.stem.removeprefix("test_") not in EXCLUDED]


def with_tests(body: Callable[[Sequence[pytest.Item]], None]) -> None:
    """Collect the guard's tests and call ``body`` with them; processes that it forks may run them.

    Raises what ``body`` raises, and SystemExit if the tests cannot be collected.
    """
    called: list[BaseException | None] = []

    class Plugin:
        @pytest.hookimpl(tryfirst=True)
        def pytest_runtestloop(self, session: pytest.Session) -> bool:
            try:
                body(session.items)
                called.append(None)
            except BaseException as failure:
                called.append(failure)
            return True

    _pytest([str(path) for path in test_files()], Plugin())
    if not called:
        raise SystemExit("the guard's tests cannot be collected: mend them first (pytest tests/hardware)")
    if called[0] is not None:
        raise called[0]


def tests_by_line(
    items: Sequence[pytest.Item], modules: Sequence[str], folder: Path
) -> tuple[list[Test], dict[tuple[str, int], list[Test]]]:
    """All tests, and which run which line of ``modules``, fastest first: one run under coverage, kept in ``folder``."""
    from coverage import CoverageData

    folder.mkdir(parents=True, exist_ok=True)
    data, told = folder / "data", folder / "measured.json"
    of = digest(*test_files(), *map(path_of, modules), Path(__file__))
    if not told.exists() or json.loads(told.read_text())["of"] != of:
        told.unlink(missing_ok=True)
        pid = os.fork()
        if pid == 0:
            os._exit(_measure_coverage(items, modules, data, told, of))
        _, status = os.waitpid(pid, 0)
        if os.waitstatus_to_exitcode(status) != 0:
            raise SystemExit("the guard's tests fail without any mutant: mend them first (pytest tests/hardware)")
    durations: dict[str, float] = json.loads(told.read_text())["seconds"]
    measured = CoverageData(str(data))
    measured.read()
    every = {node: Test(node, seconds) for node, seconds in durations.items()}
    lines: dict[tuple[str, int], list[Test]] = {}
    for module in modules:
        for line, contexts in measured.contexts_by_lineno(str(path_of(module))).items():
            tests = [every[node] for node in contexts if node]
            if tests:
                lines[module, line] = sorted(tests, key=lambda test: test.seconds)
    return list(every.values()), lines


def tests_of(module: str, mutant: Mutant, lines: Mapping[tuple[str, int], list[Test]]) -> list[Test]:
    """The tests that run the mutant's line or the beginning of its statement. What runs at import concerns all."""
    found = lines.get((module, mutant.line)) or lines.get((module, mutant.statement))
    if found:
        return found
    every = {test for (name, _), tests in lines.items() if name == module for test in tests}
    return sorted(every, key=lambda test: test.seconds)


def judge(items: Mapping[str, pytest.Item], module: str, mutant: Mutant, tests: Sequence[Test]) -> str:
    """In a forked process: the first test that the mutant fails, or nothing if it passes them all."""
    _be_quiet()
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    # Of the processor's time: on a busy machine the clock on the wall would kill mutants that live.
    budget_s = 60.0 + _SLOWER * sum(test.seconds for test in tests)
    signal.setitimer(signal.ITIMER_PROF, budget_s)
    signal.setitimer(signal.ITIMER_REAL, _SLOWER * budget_s)
    if put_in_place(f"hardware.{module}", mutant.source):
        return _first_failure([items[test.node] for test in tests])
    # What ran at import is in everybody's hands: import everything of ours anew, with the mutant in place of the file.
    forget()
    replace_file(f"hardware.{module}", mutant.source)
    failures = _Failures()
    code = _pytest(["-x", *(test.node for test in tests)], failures)
    return failures.nodes[0] if failures.nodes else "" if code == 0 else "(import)"


class _Failures:
    """A plugin of pytest that keeps the tests that failed."""

    def __init__(self) -> None:
        self.nodes: list[str] = []
        self.seconds: dict[str, float] = defaultdict(float)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] += report.duration
        if report.failed:
            self.nodes.append(report.nodeid)


def _first_failure(items: Sequence[pytest.Item], failures: _Failures | None = None) -> str:
    """Run tests that this process, or the one it was forked from, has collected, up to the first that fails."""
    failures = failures or _Failures()
    if items:
        items[0].config.pluginmanager.register(failures)
    for item, following in zip(items, [*items[1:], None], strict=True):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if failures.nodes:
            break
    return failures.nodes[0] if failures.nodes else ""


def _measure_coverage(items: Sequence[pytest.Item], modules: Sequence[str], data: Path, told: Path, of: str) -> int:
    from coverage import Coverage

    _be_quiet()
    coverage = Coverage(str(data), include=[str(path_of(module)) for module in modules], config_file=False)

    class Contexts(_Failures):
        @pytest.hookimpl(hookwrapper=True)
        def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
            coverage.switch_context(item.nodeid)
            yield
            coverage.switch_context("")

    contexts = Contexts()
    coverage.erase()
    coverage.start()
    failed = _first_failure(items, contexts)
    coverage.stop()
    coverage.save()
    if failed:
        return 1
    told.write_text(json.dumps({"of": of, "seconds": contexts.seconds}))
    return 0


def _be_quiet() -> None:
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)


def _pytest(arguments: Sequence[str], *plugins: Any) -> int:
    from hypothesis import Phase, settings

    settings.register_profile("mutation", phases=(Phase.explicit, Phase.generate), database=None, deadline=None)
    settings.load_profile("mutation")
    options = ["-q", "-s", "-p", "no:cacheprovider", "-p", "no:randomly", "-W", "ignore", "--no-header", "--tb=no"]
    return int(pytest.main([*options, *arguments], plugins=list(plugins)))
