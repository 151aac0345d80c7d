"""``python -m benchmarks.freeze``: fingerprints of the twin's ``-v0`` tasks, kept in ``benchmarks/frozen_tasks.json``.

Results are comparable only while a task stays what it was, so ``tests/sim/test_frozen_tasks.py`` compares every task
with its fingerprint. Whoever changes a task on purpose, before its results are published, runs this again; afterwards a
changed task is a new one, ``-v1``.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from robot_rl.command import task_ids
from robot_rl.env import RobotEnv
from robot_rl.rollout import EnvSpec
from sim.tasks.base import TwinTask

FILE = Path(__file__).resolve().parent / "frozen_tasks.json"
SEEDS = range(5)
STEPS = 20
TOLERANCE = 1e-6
"""Of the motion's numbers, about unit scale; MuJoCo 3.8 and 4.0 agree to 2e-8."""
MODEL_ARRAYS = (
    "body_pos", "body_quat", "body_mass", "body_inertia", "body_ipos", "jnt_type", "jnt_axis", "jnt_range",
    "jnt_actfrcrange", "dof_damping", "dof_armature", "dof_frictionloss", "actuator_gainprm", "actuator_biasprm",
    "actuator_ctrlrange", "actuator_forcerange", "eq_data", "eq_solref", "eq_solimp", "site_pos", "site_quat",
)  # fmt: skip
GEOM_ARRAYS = ("type", "size", "pos", "quat", "friction", "solref", "solimp", "contype", "conaffinity", "margin")
"""Of geoms that touch; what is only drawn may change."""
OPTIONS = ("timestep", "integrator", "cone", "impratio", "iterations", "noslip_iterations", "gravity", "wind")


def fingerprint(env: RobotEnv) -> dict[str, Any]:
    """What a task is, part by part: hashes, and the numbers that a short motion ends with."""
    task = env.task
    assert isinstance(task, TwinTask)
    # First: how the tool is held in the last of these scenes is part of the model.
    setups = [env.reset(seed=seed)[1]["setup"] for seed in SEEDS]
    return {
        "spec": digest(dataclasses.asdict(task.spec)),
        "rules": digest(rules(task)),
        "observation": digest(list(env.state_names)),
        "setups": digest(setups),
        "model": digest(model_numbers(task.world.model)),
        "motion": motion(env),
    }


def rules(task: TwinTask) -> dict[str, Any]:
    """The numbers of the task's class, and those that its success reads."""
    method = type(task).success
    named = {name: getattr(type(task), name) for name in dir(type(task)) if not name.startswith("_")}
    read = {name: method.__globals__.get(name) for name in method.__code__.co_names}
    return {name: value for name, value in (read | named).items() if isinstance(value, (int, float, str))}


def model_numbers(model: mujoco.MjModel) -> dict[str, Any]:
    """All that the scene's dynamics depend on."""
    touching = (model.geom_contype != 0) | (model.geom_conaffinity != 0)
    numbers = {name: getattr(model, name) for name in MODEL_ARRAYS}
    numbers |= {name: getattr(model, f"geom_{name}")[touching] for name in GEOM_ARRAYS}
    return numbers | {name: getattr(model.opt, name) for name in OPTIONS}


def motion(env: RobotEnv) -> list[float]:
    """The observation after some fixed actions that touch nothing: contacts would make it differ between machines."""
    observation, _ = env.reset(seed=0)
    phases = np.arange(env.task.spec.action_dim)
    for step in range(STEPS):
        action = 0.3 * np.sin(0.6 * step + phases)
        action[2] = -0.1
        observation, *_ = env.step(action.astype(np.float32))
    return [round(float(value), 9) for value in observation["state"]]


def digest(value: Any) -> str:
    """SHA-256 of ``value``. Numbers count to six figures and 1e-9, and zeros at the end of a row not at all: MuJoCo's
    versions differ in how many parameters they keep room for."""
    return hashlib.sha256(json.dumps(_plain(value), sort_keys=True).encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        items = [_plain(item) for item in value]
        while items and items[-1] == "0":
            items.pop()
        return items
    return f"{round(float(value), 9) + 0.0:.6g}" if isinstance(value, (int, float)) else value


def fingerprints() -> dict[str, dict[str, Any]]:
    """Of every task, by its gymnasium id."""
    prints = {}
    for env_id in task_ids().values():
        env = EnvSpec(env_id).make()
        assert isinstance(env, RobotEnv)
        prints[env_id] = fingerprint(env)
        env.close()
    return prints


def main() -> None:
    frozen = fingerprints()
    FILE.write_text(json.dumps(frozen, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {FILE.name}: {', '.join(frozen)}")


if __name__ == "__main__":
    main()
