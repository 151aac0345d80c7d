"""``make bench-presets``: presets against one another, every seed shown, person-seconds beside success.

Each run is one ``robot-rl demo`` and leaves one file in ``benchmarks/results``; a run whose file exists is skipped, so
the command can be stopped and started at will. The table goes into ``benchmarks/RESULTS.md`` between its markers.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from benchmarks.page import put
from benchmarks.runs import robot_rl, share
from robot_rl.presets import preset as preset_named

HERE = Path(__file__).resolve().parent


@dataclass
class Presets:
    """Run presets on tasks with several seeds, and write the table."""

    tasks: tuple[str, ...] = ("peg_insertion", "pick_and_insert")
    """Tasks by name."""
    presets: tuple[str, ...] = ("bc", "hg_dagger", "rlpd", "hil_serl")
    """Presets by name."""
    seeds: int = 3
    """Seeds 0 … of each."""
    runs: Path = Path("runs/presets")
    """Where the runs themselves go."""
    env_steps: int | None = None
    """Environment steps of a run; None as the preset has it."""
    table_only: bool = False
    """Only write the table of what has been run."""


def run_one(task: str, preset: str, seed: int, runs: Path, env_steps: int | None = None) -> None:
    """One run; its summary is the result file, written when all is done."""
    result = HERE / "results" / f"{task}-{preset}-{seed}.json"
    if result.exists():
        return
    out = runs / result.stem
    share(runs, f"{task}-*-{seed}", out, preset_named(preset).cloning)
    print(f"running {result.stem}", file=sys.stderr, flush=True)
    length = () if env_steps is None else ("--env-steps", env_steps)
    what = ("--task", task, "--preset", preset, "--seed", seed, "--out", out)
    summary = robot_rl("demo", *what, "--no-video", "--until-in-a-row", 0, *length)
    result.parent.mkdir(exist_ok=True)
    result.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")


def table(results: Iterable[dict[str, Any]]) -> str:
    """A Markdown table: one row a task and preset, every seed's success shown beside the median."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for result in results:
        groups.setdefault((result["task"], result["preset"]), []).append(result)
    head = "| task | preset | env steps | success, median | every seed | stochastic, median | cycle | person drives |\n"
    rows = [head + "|---|---|---|---|---|---|---|---|"]
    for (task, preset), group in sorted(groups.items()):
        group.sort(key=lambda r: r["seed"])
        every = " ".join(f"{r['success']:.1%}" for r in group)
        cycles = [r["cycle_s"] for r in group if r["cycle_s"] is not None]
        cycle = f"{statistics.median(cycles):.1f} s" if cycles else "–"
        median, stochastic, person = (
            statistics.median(r[name] for r in group) for name in ("success", "success_stochastic", "person_seconds")
        )
        steps = max(r["env_steps"] for r in group)
        shown_rates = f"{median:.1%} | {every} | {stochastic:.1%}"
        rows.append(f"| {task} | `{preset}` | {steps:,} | {shown_rates} | {cycle} | {person:.0f} s |")
    shown = [result for group in groups.values() for result in group]
    floors = sorted({(r["task"], r["seed"], r["base_success"], r["blind_success"]) for r in shown})
    lines = [f"- {task}, seed {seed}: base {base:.1%}, blind script {blind:.1%}" for task, seed, base, blind in floors]
    return "\n".join([*rows, "", "Behaviour-cloned base and blind script in the same tests:", "", *lines])


def write_table() -> None:
    """Put the table of all result files between the markers of RESULTS.md."""
    results = [json.loads(path.read_text()) for path in sorted((HERE / "results").glob("*.json"))]
    put("presets", table(results) if results else "Not run yet.")


def main() -> None:
    options = tyro.cli(Presets, config=(tyro.conf.FlagCreatePairsOff,))
    for seed in range(0 if options.table_only else options.seeds):
        for task in options.tasks:
            for preset in options.presets:
                run_one(task, preset, seed, options.runs, options.env_steps)
                write_table()
    write_table()


if __name__ == "__main__":
    main()
