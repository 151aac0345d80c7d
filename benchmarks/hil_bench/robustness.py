"""Final policies in twins that are not the one they learned in. Nobody helps."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.hil_bench.tasks import TASKS
from hardware.interfaces import ResetError
from robot_rl.evaluate import EvaluationProcesses
from robot_rl.policy import load_policy
from robot_rl.rollout import EVALUATION_SEEDS, Rollout

CHANGES: dict[str, dict[str, Any]] = {
    "as trained": {},
    "commands 0 ms late": {"command_delay_s": 0.0},
    "50 ms": {"command_delay_s": 0.05},
    "100 ms": {"command_delay_s": 0.10},
    "150 ms": {"command_delay_s": 0.15},
    "friction × 0.5": {"twin": {"contact_friction": 0.5}},
    "friction × 2": {"twin": {"contact_friction": 2.0}},
    "stiffness × 0.7": {"twin": {"stiffness": 0.7}},
    "stiffness × 1.4": {"twin": {"stiffness": 1.4}},
    "joints rub, 1 N m": {"twin": {"joint_friction_nm": 1.0}},
    "0.2 mm less play": {"twin": {"clearance_m": -0.0002}},
    "pushed, 10 N": {"twin": {"push_n": 10.0}},
}
"""What differs from the twin of the training, whose commands are 20 ms late."""
LATER, WORKED_S = "an hour later", 3600.0
COLUMNS = (*CHANGES, LATER)


def changes_of(task: str) -> dict[str, dict[str, Any]]:
    """Those of :data:`CHANGES` that mean something in ``task``."""
    inserts = TASKS[task].inserts
    return {name: what for name, what in CHANGES.items() if inserts or "clearance_m" not in what.get("twin", {})}


def success_in(changes: Mapping[str, Any], policy: Path, task: str, seed: int, episodes: int) -> float:
    """Share of ``episodes`` of the test that ``policy`` does by itself in the changed twin."""
    return EvaluationProcesses(policy, TASKS[task].spec(**changes), episodes, seed, workers=1).result().success


def success_later(policy: Path, task: str, seed: int, episodes: int, worked_s: float = WORKED_S) -> float:
    """Share of ``episodes`` that ``policy`` does by itself after ``worked_s`` of robot time without a stop. Nothing is
    placed anew: the arm drives to each start, and what it left stays there, unless an operator can put it back. 0 where
    the guard stops the arm on its way to a start: it works no further by itself."""
    spec = TASKS[task].spec(reset="scripted")
    acting, _ = load_policy(policy)
    env = spec.make()
    try:
        rollout, steps = Rollout(env, spec, "robustness", seed, EVALUATION_SEEDS), 0
        while rollout.reset_s + steps / env.task.spec.control_hz < worked_s:
            for episode in rollout.episodes(acting, 1, deterministic=True):
                steps += len(episode.steps)
        later = [episode.success for episode in rollout.episodes(acting, episodes, deterministic=True)]
    except ResetError:
        return 0.0
    finally:
        env.close()
    return statistics.mean(later)


def table(results: Iterable[Mapping[str, Any]]) -> str:
    """Markdown: a row a task and method, medians over seeds."""
    groups: dict[tuple[str, str], list[Mapping[str, float]]] = defaultdict(list)
    for result in results:
        groups[result["task"], result["method"]].append(result["success"])
    rows = [f"| task | method | runs | {' | '.join(COLUMNS)} |", "|---" * (3 + len(COLUMNS)) + "|"]
    for (task, method), runs in sorted(groups.items()):
        shared = {name for name in COLUMNS if all(name in run for run in runs)}
        shares = {name: f"{statistics.median(run[name] for run in runs):.0%}" for name in shared}
        cells = [shares.get(name, "–") for name in COLUMNS]
        rows.append(f"| {task} | `{method}` | {len(runs)} | {' | '.join(cells)} |")
    return "\n".join(rows)
