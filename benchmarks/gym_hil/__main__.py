"""``make bench-gym-hil``: PandaPickCube of gym-hil from 20 scripted demonstrations, each seed shown.

Each run is one ``robot-rl train`` and leaves one file in ``benchmarks/results/gym_hil``; a run whose file exists is
skipped, and an interrupted one goes on, so the command can be stopped and started at will.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import tyro

from benchmarks.page import put
from benchmarks.runs import robot_rl

RESULTS = Path(__file__).resolve().parent.parent / "results" / "gym_hil"
DEMONSTRATOR = "benchmarks.gym_hil.scripted:pick_cube"
VARIANTS = {
    "fixed": ("gym_hil/PandaPickCube-v0", "cube always in one place, as the id has it"),
    "random": ("benchmarks.gym_hil.random_cube:PandaPickCubeRandom-v0", "cube anywhere in 20 × 30 cm"),
}
LEROBOT = "| LeRobot 0.6 (SAC of its HIL-SERL), as we measured it, 10 evaluations a run | 0–30% | | | | 3,000–3,500 |"


@dataclass
class GymHil:
    """Train and evaluate on gym-hil's PandaPickCube, and write the table."""

    variants: tuple[str, ...] = ("fixed", "random")
    """fixed: the id's own cube. random: the cube anywhere."""
    seeds: int = 3
    """Seeds 0 … of each."""
    first_seed: int = 0
    """Where the seeds begin."""
    preset: str = "rlpd"
    """What learns: without a person, since gym-hil has none that could be asked."""
    env_steps: int = 3_500
    """Environment steps of training."""
    demos: int = 20
    """Scripted demonstrations."""
    episodes: int = 50
    """Episodes of the evaluation, deterministic, on seeds that no training sees."""
    runs: Path = Path("runs/gym_hil")
    """Where the runs themselves go."""
    results: Path = RESULTS
    """Where their results go; the table is written only from the usual place."""
    table_only: bool = False
    """Only write the table of what has been run."""


def run_one(options: GymHil, variant: str, seed: int) -> None:
    """One run; its result file is written when all is done."""
    name = f"{variant}-{seed}"
    result = options.results / f"{name}.json"
    if result.exists():
        return
    print(f"running {name}", file=sys.stderr, flush=True)
    env, _ = VARIANTS[variant]
    out = options.runs / name
    environment = ("--env", env, "--env-kwargs", json.dumps({"reset_delay_seconds": 0}))
    shown = ("--demo-policy", DEMONSTRATOR, "--episodes", options.demos)
    learning = ("--preset", options.preset, "--env-steps", options.env_steps)
    trained = robot_rl("train", *environment, *shown, *learning, "--seed", seed, "--out", out)
    test = ("--env", env, "--episodes", options.episodes, "--seed", seed)
    outcome = {
        "variant": variant,
        "env": env,
        "preset": options.preset,
        "seed": seed,
        "demos": options.demos,
        "env_steps": trained["env_steps"],
        "updates": trained["updates"],
        "wall_s": trained["wall_s"],
        "policy": robot_rl("eval", out, *test),
        "base": robot_rl("eval", out / "base", *test) if (out / "base").exists() else None,
        "gym_hil": version("gym-hil"),
        "mujoco": version("mujoco"),
    }
    result.parent.mkdir(parents=True, exist_ok=True)
    result.write_text(json.dumps(outcome, indent=1) + "\n", encoding="utf-8")


def table(results: Iterable[dict[str, Any]]) -> str:
    """A Markdown table: one row a variant, every seed's success beside the median."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for result in results:
        groups.setdefault(result["variant"], []).append(result)
    head = "| PandaPickCube | success, median | every seed | lower ends of 95 % | base | environment steps |\n"
    rows = [head + "|---|---|---|---|---|---|"]
    for variant in sorted(groups):
        group = sorted(groups[variant], key=lambda r: r["seed"])
        success = [r["policy"]["success"] for r in group]
        bases = " ".join(f"{r['base']['success']:.0%}" for r in group if r["base"]) or "–"
        cells = [
            f"{variant}: {VARIANTS[variant][1]}",
            f"{statistics.median(success):.0%}",
            " ".join(f"{s:.0%}" for s in success),
            " ".join(f"{r['policy']['success_low']:.0%}" for r in group),
            bases,
            " ".join(str(r["env_steps"]) for r in group),
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join([*rows, LEROBOT])


def write_table(results: Path) -> None:
    """Put the table of all result files into RESULTS.md."""
    found = [json.loads(path.read_text()) for path in sorted(results.glob("*.json"))]
    put("gym-hil", table(found) if found else "Not run yet.")


def main() -> None:
    options = tyro.cli(GymHil, config=(tyro.conf.FlagCreatePairsOff,))
    unknown = set(options.variants) - set(VARIANTS)
    if unknown:
        sys.exit(f"no variant '{unknown.pop()}'; there are {', '.join(VARIANTS)}")
    seeds = range(options.first_seed, options.first_seed + (0 if options.table_only else options.seeds))
    for seed in seeds:
        for variant in options.variants:
            run_one(options, variant, seed)
            if options.results == RESULTS:
                write_table(RESULTS)
    if options.table_only:
        write_table(options.results)


if __name__ == "__main__":
    main()
