"""The commands end to end on an environment that is not ours: record, clone, train, interrupt, resume, evaluate."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from robot_rl import cli
from robot_rl.failures import SHOWN
from robot_rl.metrics import read_metrics
from robot_rl.run_folder import DECLARED

ROOT = Path(__file__).resolve().parents[2]
MODULE = "tests.robot_rl.point_env"
ENV = f"{MODULE}:PointReach-v0"
SMALL = ("--learner.width", "32", "--learner.batch-size", "64", "--learner.critics", "2", "--cloning.steps", "200")
SHORT = (*SMALL, "--warmup-steps", "50", "--critic-only-updates", "20")
QUICK = (*SHORT, "--no-person")


def result(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    code = cli.main([*map(str, arguments), "--json"])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    loaded: dict[str, Any] = json.loads(captured.out)
    return loaded


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demos")
    policy = f"{MODULE}:demonstrate"
    assert cli.main(["record", "--env", ENV, "--demo-policy", policy, "--episodes", "6", "--out", str(folder)]) == 0
    return folder


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Evaluation runs in processes of its own: they must find the environment as well."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def test_recorded_demos_make_a_base_that_is_evaluated_on_its_own_environment(
    demos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = result(capsys, "train-bc", "--env", ENV, "--demos", demos, "--out", tmp_path / "bc", "--cloning.steps", 500)
    assert made["demos"] == 6
    tested = result(capsys, "eval", tmp_path / "bc", "--env", ENV, "--episodes", 20, "--workers", 1)
    assert tested["task"] == ENV and tested["episodes"] == 20
    assert tested["success_low"] <= tested["success"] <= tested["success_high"]
    assert tested["success"] >= 0.5, "a clone of a straight line should mostly arrive"
    again = result(capsys, "eval", tmp_path / "bc", "--env", ENV, "--episodes", 20, "--workers", 2)
    assert again == tested, "deterministic results must not depend on how the episodes are shared out"
    assert cli.main(["eval", str(tmp_path / "bc"), "--env", "Pendulum-v1"]) == 2
    err = capsys.readouterr().err
    assert ENV in err and "'Pendulum-v1' here has 3 and 1" in err and err.count("\n") == 1


def test_recording_goes_on_where_it_stopped(demos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policy = f"{MODULE}:demonstrate"
    before = sorted(demos.glob("*.mcap"))
    made = result(capsys, "record", "--env", ENV, "--demo-policy", policy, "--episodes", 6, "--out", demos)
    assert made["demos"] == 6 and sorted(demos.glob("*.mcap")) == before


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (f"{MODULE}:give_up", "only 0 of 10 demonstrations"),
        (f"{MODULE}:nobody", "is not a function: give it as module:function"),
        ("no_such_module:f", "is not a function: give it as module:function"),
    ],
)
def test_a_bad_demonstrator_is_refused(
    policy: str, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["record", "--env", ENV, "--demo-policy", policy, "--episodes", "2", "--out", str(tmp_path / "demos")]
    assert cli.main(arguments) == 2
    assert expected in capsys.readouterr().err


def test_demos_of_another_task_are_refused(demos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "--task", "reach", "--demos", str(demos), "--out", str(tmp_path / "run")]) == 2
    err = capsys.readouterr().err
    assert ENV in err and "reach" in err and err.count("\n") == 1


@pytest.mark.parametrize(
    ("preset", "options"),
    [
        ("residual", ("--warmup", "random")),
        ("latent_noise", ("--cloning.flow.width", 32, "--cloning.flow.distill-steps", 100)),
    ],
)
def test_a_policy_over_a_base_is_trained_and_evaluated_as_one(
    preset: str, options: tuple[object, ...], demos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever collects the first steps, the base is cloned; and what is evaluated is the whole, from its own folder."""
    out = tmp_path / "run"
    arguments = ("train", "--env", ENV, "--demos", demos, "--out", out, "--preset", preset, *SHORT, *options)
    made = result(capsys, *arguments, "--env-steps", 90)
    assert made["updates"] == 41 and (out / "policy" / "base" / "policy.json").exists()
    moved = out.rename(tmp_path / "moved")
    assert "Training" in (moved / "report.html").read_text()
    tested = result(capsys, "eval", moved, "--env", ENV, "--episodes", 10, "--workers", 1, "--out", moved)
    assert tested["task"] == ENV and tested["episodes"] == 10
    assert len(tested["failures"]) == min(10 - tested["successes"], SHOWN)
    page = (moved / "report.html").read_text()
    assert "Training" in page and "Final test" in page and f"{tested['successes']}/10" in page
    (moved / DECLARED).write_text("{}")
    assert cli.main(["eval", str(moved), "--env", ENV, "--out", str(moved)]) == 2
    assert "declared before training: give another --out" in capsys.readouterr().err


def test_a_policy_over_a_base_without_demonstrations_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", "--env", ENV, "--preset", "residual", "--out", str(tmp_path / "run")]) == 2
    err = capsys.readouterr().err
    mistakes = [line for line in err.splitlines() if not line.startswith("replay: ")]
    assert len(mistakes) == 1 and "give demonstrations to clone one from" in mistakes[0]


def test_ctrl_c_leaves_a_run_that_goes_on(demos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    arguments = ["train", "--env", ENV, "--demos", str(demos), "--out", str(out), *QUICK]
    command = [sys.executable, "-c", "import sys; from robot_rl.cli import main; sys.exit(main())", *arguments]
    process = subprocess.Popen(
        [*command, "--env-steps", "100000"], cwd=ROOT, stderr=subprocess.PIPE, text=True, env={**os.environ}
    )
    deadline = time.monotonic() + 60
    while not ((out / "metrics.jsonl").exists() and read_metrics(out)) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert f"go on with: robot-rl train --env {ENV}" in err and "Traceback" not in err
    reached = json.loads((out / "policy" / "policy.json").read_text())["step"]
    finished = result(capsys, *arguments, "--env-steps", reached + 60)
    assert finished["env_steps"] == reached + 60
    assert read_metrics(out)[-1]["env_steps"] >= reached
