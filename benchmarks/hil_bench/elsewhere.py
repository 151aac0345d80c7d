"""Our methods on a task that is not the twin's: what ``robot-rl demo`` does, less its blind script and its video."""

from __future__ import annotations

import dataclasses
import sys
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.hil_bench.methods import METHODS
from benchmarks.hil_bench.run import described, histories
from benchmarks.hil_bench.tasks import DEMOS, TASKS, person_of
from robot_rl.cli import jsonable
from robot_rl.commands import evaluation_summary
from robot_rl.demonstrations import clone_base, collect_demos
from robot_rl.evaluate import EvaluationProcesses
from robot_rl.run_folder import declare_test
from robot_rl.train import train


def run_elsewhere(
    task: str, method: str, seed: int, people: str, env_steps: int, tests: int, runs: Path
) -> dict[str, Any]:
    """Train and test ``method``; goes on with what is already in ``runs``. The run's result."""
    out, person, config = runs / f"{task}-{method}-{seed}", person_of(seed, people), METHODS[method].config
    out.mkdir(parents=True, exist_ok=True)
    declare_test(out, tests, seed)
    config = dataclasses.replace(config, env_steps=config.env_steps and env_steps, until_in_a_row=0)
    alone, watched = TASKS[task].spec(), partial(TASKS[task].spec, person=person.level, person_seed=person.seed)
    demos = collect_demos(out / "demos", watched(takeover="always"), DEMOS, seed)
    base = clone_base(out / "base", alone, config.cloning, demos, seed)
    spec = watched(takeover="no_progress") if config.person else alone
    say = partial(print, file=sys.stderr, flush=True)
    tally = train(out, spec, config, demos=demos, base=base, seed=seed, say=say)
    policies = {"base": out / "base", "policy": out / "policy"}
    if config.method == "rl":
        policies["policy_stochastic"] = out / "policy"
    found = {
        name: EvaluationProcesses(policy, alone, tests, seed, name != "policy_stochastic", workers=1).result()
        for name, policy in policies.items()
    }
    return {
        **described(task, method, seed, people, person),
        "env_steps": tally.env_steps,
        "wall_s": tally.wall_s,
        "tests": {name: jsonable(evaluation_summary(test)) for name, test in found.items()},
        **histories(out, config),
    }
