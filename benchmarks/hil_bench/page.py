"""The table and the picture of the bench."""

from __future__ import annotations

import statistics as median_of
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.hil_bench.score import Attention, History, Reached, attention, pareto, sustained
from benchmarks.hil_bench.statistics import interval, iqm, probability_of_improvement
from benchmarks.hil_bench.tasks import TASKS

LEVELS = (0.9, 0.95)
YARDSTICK = "hil_serl"
"""The method that others are compared with."""
ENOUGH = 3
"""Runs of a task from which on an interval says something: one run has none at all."""
COLUMNS = (
    "method", "success, median", "every seed", "IQM (95 %)", "cycle", "hands", "eyes", "steps to 90 %", "steps to 95 %",
    "robot to 90 %", "wall to 90 %", "attention to 90 %",
)  # fmt: skip
HEAD = f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|"
Result = Mapping[str, Any]


def attention_of(result: Result) -> Attention:
    """Of a whole run."""
    return attention(TASKS[result["task"]], History.of(result["training"]), History.of(result["demos"]))


def reached_by(result: Result, level: float) -> Reached | None:
    return sustained(TASKS[result["task"]], History.of(result["training"]), History.of(result["demos"]), level)


def success_of(result: Result) -> float:
    return float(result["tests"]["policy"]["success"])


def table(results: Iterable[Result]) -> str:
    """Markdown: a table a task, every seed's success shown, then tasks together."""
    by_task: dict[str, dict[str, list[Result]]] = defaultdict(lambda: defaultdict(list))
    for result in sorted(results, key=lambda r: (r["task"], r["seed"])):
        by_task[result["task"]][result["method"]].append(result)
    parts = []
    for task, methods in by_task.items():
        ranked = sorted(methods.items(), key=lambda item: -iqm(np.array([success_of(r) for r in item[1]])))
        steps = max(r["env_steps"] for runs in methods.values() for r in runs)
        blind = [r["tests"]["blind"]["success"] for runs in methods.values() for r in runs if "blind" in r["tests"]]
        floor = f"; blind script {median_of.median(blind):.0%}" if blind else ""
        rows = [_row(method, runs) for method, runs in ranked]
        parts.append("\n".join([f"**{task}**, {steps:,} steps{floor}", "", HEAD, *rows]))
    return "\n\n".join([*parts, overall(by_task)])


def overall(by_task: Mapping[str, Mapping[str, Sequence[Result]]]) -> str:
    """Interquartile mean over the tasks that the yardstick was run on (all, where it was on none), of the methods that
    were run on all of these, and how likely each beats the yardstick, where both have runs enough to say so. Tasks
    count alike: of each a method's first runs, as many as it has of all; else the best known task would be the mean."""
    by_task = {task: methods for task, methods in by_task.items() if YARDSTICK in methods} or by_task
    complete = set.intersection(*(set(methods) for methods in by_task.values()))
    scores = {}
    for method in complete:
        least = min(len(methods[method]) for methods in by_task.values())
        scores[method] = {task: [success_of(r) for r in runs[method][:least]] for task, runs in by_task.items()}
    rows = []
    for method, runs in scores.items():
        compared = method != YARDSTICK and YARDSTICK in scores and _enough(runs) and _enough(scores[YARDSTICK])
        shown = f"{probability_of_improvement(runs, scores[YARDSTICK]):.0%}" if compared else "–"
        rows.append((iqm(np.concatenate([*runs.values()])), f"{_interval(runs)} | {shown} |", method))
    lines = [f"| `{method}` | {mean:.1%} | {rest}" for mean, rest, method in sorted(rows)[::-1]]
    head = f"**Together** ({', '.join(by_task)}), success, interquartile mean, stratified bootstrap"
    return "\n".join([head, "", f"| method | IQM | 95 % | beats `{YARDSTICK}` |", "|---|---|---|---|", *lines])


def _row(method: str, runs: Sequence[Result]) -> str:
    success = [success_of(r) for r in runs]
    spent = [attention_of(r) for r in runs]
    cycles = [r["tests"]["policy"]["cycle_s"] for r in runs if r["tests"]["policy"]["cycle_s"] is not None]
    at_90, at_95 = ([reached_by(r, level) for r in runs] for level in LEVELS)
    cells = [
        f"`{method}`",
        f"{median_of.median(success):.1%}",
        " ".join(f"{s:.1%}" for s in success),
        f"{iqm(np.array(success)):.1%} ({_interval({'': success})})",
        f"{median_of.median(cycles):.1f} s" if cycles else "–",
        f"{median_of.median(a.hands_s for a in spent):.0f} s",
        f"{median_of.median(a.watching_s for a in spent):.0f} s",
        _reach([None if r is None else float(r.env_steps) for r in at_90], "{:,.0f}"),
        _reach([None if r is None else float(r.env_steps) for r in at_95], "{:,.0f}"),
        _reach([None if r is None else r.robot_s / 60.0 for r in at_90], "{:.0f} min"),
        _wall(at_90),
        _reach([None if r is None else r.attention.total_s for r in at_90], "{:.0f} s"),
    ]
    return f"| {' | '.join(cells)} |"


def _enough(runs: Mapping[str, Sequence[float]]) -> bool:
    return min(map(len, runs.values())) >= ENOUGH


def _interval(runs: Mapping[str, Sequence[float]]) -> str:
    if not _enough(runs):
        return "–"
    low, high = interval(runs)
    return f"{low:.1%} – {high:.1%}"


def _reach(values: Sequence[float | None], form: str) -> str:
    """The median run; in brackets how many got there, where not all did."""
    got = sorted(float("inf") if value is None else value for value in values)
    middle = got[(len(got) - 1) // 2]
    there = sum(value is not None for value in values)
    share = "" if there == len(values) else f" ({there} of {len(values)})"
    return ("–" if middle == float("inf") else form.format(middle)) + share


def _wall(reached: Sequence[Reached | None]) -> str:
    """As :func:`_reach`, of the runs that kept their wall times; results before 2026-11-30 did not."""
    kept = [run and run.wall_s for run in reached if run is None or run.wall_s is not None]
    shown = _reach([None if wall_s is None else wall_s / 60.0 for wall_s in kept], "{:.0f} min") if kept else "–"
    missing = len(reached) - len(kept)
    return f"{shown}, {missing} not kept" if missing else shown


def picture(results: Sequence[Result], path: Path) -> None:
    """A picture a task of attention against success, every run a point, with the front that none beats in both.
    ModuleNotFoundError naming the extra, where matplotlib is not installed."""
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
        from matplotlib.ticker import LogLocator, NullLocator
    except ModuleNotFoundError:
        raise ModuleNotFoundError("the picture needs matplotlib: pip install 'robot-rl[bench]'") from None
    tasks = sorted({r["task"] for r in results})
    methods = sorted({r["method"] for r in results})
    figure = Figure(figsize=(4.6 * len(tasks), 3.8), layout="constrained")
    for axes, task in zip(figure.subplots(1, len(tasks), squeeze=False)[0], tasks, strict=True):
        runs = [r for r in results if r["task"] == task]
        points = [(attention_of(r).total_s / 60.0, success_of(r)) for r in runs]
        for number, method in enumerate(methods):
            own = [point for point, r in zip(points, runs, strict=True) if r["method"] == method]
            if own:
                axes.scatter(*zip(*own, strict=True), label=method, color=f"C{number}", s=28, zorder=3)
        front = [points[n] for n in pareto(points)]
        axes.step(*zip(*front, strict=True), where="post", color="0.6", linewidth=1, zorder=1)
        axes.set(title=task, xlabel="attention, person-minutes", ylim=(-0.03, 1.03), xscale="log")
        axes.xaxis.set(major_locator=LogLocator(subs=(1.0, 2.0, 5.0)), minor_locator=NullLocator())
        axes.xaxis.set_major_formatter("{x:g}")
        axes.grid(alpha=0.2)
        axes.legend(fontsize=7, frameon=False)
    figure.axes[0].set_ylabel("success, locked out")
    with rc_context({"svg.hashsalt": path.stem}):  # the same runs, the same file
        figure.savefig(path, metadata={"Date": None})
