"""The ``-v0`` tasks stay what the published results were taken with; ``python -m benchmarks.freeze`` writes the record.

Until the first results are published the record follows the tasks: refresh it last, when observations are settled.
"""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks.freeze import FILE, TOLERANCE, digest, fingerprint, fingerprints, model_numbers, rules
from robot_rl.env import RobotEnv
from robot_rl.rollout import EnvSpec

RECORD = json.loads(FILE.read_text())
HASHED = ("spec", "rules", "observation", "setups", "model")


@pytest.fixture(scope="module")
def now() -> dict[str, dict[str, object]]:
    return fingerprints()


def test_every_task_is_frozen(now: dict[str, dict[str, object]]) -> None:
    assert set(now) == set(RECORD)


@pytest.mark.parametrize("env_id", RECORD)
def test_a_task_is_what_it_was(env_id: str, now: dict[str, dict[str, object]]) -> None:
    changed = [part for part in HASHED if now[env_id][part] != RECORD[env_id][part]]
    assert not changed, f"{env_id}: {', '.join(changed)} changed; a changed task is a new one (-v1)"


@pytest.mark.parametrize("env_id", RECORD)
def test_a_task_moves_as_it_did(env_id: str, now: dict[str, dict[str, object]]) -> None:
    assert np.allclose(now[env_id]["motion"], RECORD[env_id]["motion"], rtol=0.0, atol=TOLERANCE)


# -- the fingerprint notices -------------------------------------------------------------------------------------------


@pytest.fixture
def env() -> RobotEnv:
    made = EnvSpec("sim:PegInsertion-v0").make()
    assert isinstance(made, RobotEnv)
    return made


def test_a_different_clearance_shows_in_the_model(env: RobotEnv) -> None:
    model = env.task.world.model  # type: ignore[attr-defined]
    before = digest(model_numbers(model))
    touching = np.flatnonzero((model.geom_contype != 0) | (model.geom_conaffinity != 0))
    model.geom_size[touching[-1], 0] += 1e-4
    assert digest(model_numbers(model)) != before


def test_paint_does_not_show(env: RobotEnv) -> None:
    model = env.task.world.model  # type: ignore[attr-defined]
    before = digest(model_numbers(model))
    model.geom_rgba[:] = 0.5
    model.geom_size[model.geom_group == 2] *= 1.1
    assert digest(model_numbers(model)) == before


def test_an_easier_success_shows(env: RobotEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    before = digest(rules(env.task))  # type: ignore[arg-type]
    monkeypatch.setattr(type(env.task), "success_depth_m", 0.9 * type(env.task).success_depth_m)  # type: ignore[attr-defined]
    assert digest(rules(env.task)) != before  # type: ignore[arg-type]


def test_a_stiffer_arm_shows_in_the_motion(env: RobotEnv) -> None:
    before = fingerprint(env)
    env.task.world.model.actuator_gainprm[:, 0] *= 1.01  # type: ignore[attr-defined]
    after = fingerprint(env)
    assert np.abs(np.subtract(after["motion"], before["motion"])).max() > TOLERANCE
    assert [part for part in HASHED if after[part] != before[part]] == ["model"]


def test_fingerprints_repeat(env: RobotEnv) -> None:
    first = fingerprint(env)
    assert fingerprint(env) == first


def test_digests_tell_small_and_negative_numbers_apart() -> None:
    assert len({digest(value) for value in (0.5, -0.5, 1e-5, 1e5, -1e-5, 0.0, "0.5x", [0.5])}) == 8
    assert digest(0.1 + 0.2) == digest(0.3) and digest(-0.0) == digest(0.0) == digest(1e-17)
    assert digest([1.0, 0.0, 0.0]) == digest(np.array([1.0])) and digest([0.0, 1.0]) != digest([1.0])
