"""Our methods on a task that is not the twin's: what ``robot-rl demo`` does, less its blind script and its video."""

from __future__ import annotations

import dataclasses
import sys
from functools import partial
from typing import Any

from benchmarks.hil_bench.methods import METHODS
from benchmarks.hil_bench.run import Run, histories
from benchmarks.hil_bench.tasks import DEMOS, TASKS
from robot_rl.cli import jsonable
from robot_rl.commands import evaluation_summary
from robot_rl.demonstrations import clone_base, collect_demos
from robot_rl.evaluate import EvaluationProcesses
from robot_rl.run_folder import declare_test
from robot_rl.train import train


def run_elsewhere(run: Run) -> dict[str, Any]:
    """Train and test its method; goes on with what is already in its folder. The run's result."""
    out, seed, tests, config, alone = run.out, run.seed, run.tests, METHODS[run.method].config, TASKS[run.task].spec()
    out.mkdir(parents=True, exist_ok=True)
    declare_test(out, tests, seed)
    config = dataclasses.replace(config, env_steps=config.env_steps and run.env_steps, until_in_a_row=0)
    watched = partial(TASKS[run.task].spec, person=run.person.level, person_seed=run.person.seed)
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
        **run.described(),
        "env_steps": tally.env_steps,
        "wall_s": tally.wall_s,
        "tests": {name: jsonable(evaluation_summary(test)) for name, test in found.items()},
        **histories(out, config),
    }
