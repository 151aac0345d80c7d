"""The command line: fast to answer, one line for every mistake, one JSON object when asked, resumable after Ctrl-C."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from robot_rl import cli
from robot_rl.command import Command, preset_named_in, task_ids
from robot_rl.commands import Train

COMMANDS = (
    "demo",
    "record",
    "train-bc",
    "train",
    "eval",
    "replay",
    "tasks",
    "bench",
    "record-success",
    "train-classifier",
)


@dataclass(kw_only=True)
class Probe(Command):
    """A command for tests."""

    fail: str = ""
    """How to fail."""

    def run(self) -> Mapping[str, Any]:
        if self.fail == "value":
            raise ValueError("no cheese\nat all; have some")
        if self.fail == "missing":
            (Path("/nonexistent") / "file").read_text()
        if self.fail == "runtime":
            raise RuntimeError("the arm is gone")
        if self.fail == "interrupt":
            self.folder("probe")
            raise KeyboardInterrupt
        return {"seed": self.seed, "rate": float("nan"), "out": Path("a/b"), "rows": [{"a": 1, "b": 2}]}


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("probe", f"{__name__}:Probe", cli.GROUP)
    monkeypatch.setattr(EntryPoint, "load", lambda self: Probe if self.name == "probe" else None)
    monkeypatch.setattr(cli, "entry_points", lambda group: [point])


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = cli.main(arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_every_command_is_installed_and_listed_with_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--help")
    assert code == 0
    lines = {line.split()[0]: line for line in out.splitlines() if line.startswith("  ")}
    assert set(COMMANDS) <= set(lines)
    assert all(len(line.split()) > 3 and "not available" not in line for line in lines.values())


def test_help_needs_no_torch_nor_mujoco() -> None:
    loaded = "print('torch' in sys.modules, 'mujoco' in sys.modules)"
    code = f"import sys; from robot_rl.cli import main; main(['--help']); {loaded}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False False"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("trian",), "no command 'trian'; did you mean 'train'?"),
        (("train", "--preset", "hil_sirl"), "no preset 'hil_sirl'; did you mean 'hil_serl'?"),
        (("train", "--preset=hil_sirl"), "no preset 'hil_sirl'; did you mean 'hil_serl'?"),
        (("train", "--task", "peg_insrtion"), "no task 'peg_insrtion'; did you mean 'peg_insertion'?"),
        (("demo", "--task", "peg_insrtion"), "no task 'peg_insrtion'; did you mean 'peg_insertion'?"),
        (("eval", "no/such/run"), "no policy in 'no/such/run'"),
        (("record", "--env", "Pendulum-v1"), "'Pendulum-v1' has no person to demonstrate"),
        (("train", "--env", "NoSuch-v7", "--demos", "x"), "no environment 'NoSuch-v7'"),
        (("replay", "no/such/episode.mcap"), "no/such/episode.mcap"),
        (("train", "--cameras", "front", "--image-size", "50"), "--image-size is 50: give a multiple of 16"),
        (("train", "--preset", "rlpd", "--watched-steps", "5"), "'rlpd' has no person who could go"),
        (("train", "--takeover", "value:no/such/run"), "no policy in 'no/such/run'"),
        (("record", "--episodes", "0"), "--episodes is 0: give 1 or more"),
        (("train", "--seed", "-1"), "--seed is -1: give 0 or more"),
        (("demo", "--test-episodes", "-5"), "--test-episodes is -5: give 1 or more"),
        (("train", "--takeover", "wacthful"), "did you mean 'watchful'"),
        (("train", "--env-kwargs", '{"persn": "expert"}'), "no option 'persn'; did you mean 'person'?"),
    ],
)
def test_a_mistake_gets_one_line_and_code_2(
    arguments: Sequence[str],
    expected: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1 and expected in err
    assert not list(tmp_path.iterdir()), "a mistake must leave nothing behind"


@pytest.mark.usefixtures("probe")
def test_json_is_one_object_with_nulls_for_nan(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "probe", "--seed", "3", "--json")
    assert code == 0
    assert json.loads(out) == {"seed": 3, "rate": None, "out": "a/b", "rows": [{"a": 1, "b": 2}]}


@pytest.mark.usefixtures("probe")
@pytest.mark.parametrize(
    ("fail", "expected"), [("value", "no cheese at all; have some"), ("missing", "/nonexistent/file")]
)
def test_our_errors_become_one_line(fail: str, expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "probe", "--fail", fail)
    assert code == 2 and err.count("\n") == 1 and expected in err


@pytest.mark.usefixtures("probe")
def test_a_failure_that_is_nobodys_mistake_has_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "probe", "--fail", "runtime")
    assert code == 1 and err.count("\n") == 1 and "the arm is gone" in err


@pytest.mark.usefixtures("probe")
def test_ctrl_c_says_how_to_go_on(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = run(capsys, "probe", "--fail", "interrupt", "--seed", "4")
    assert code == 130
    assert "go on with: robot-rl probe --fail interrupt --seed 4 --out runs/probe-1" in err
    (tmp_path / "runs" / "probe-7").mkdir(parents=True)
    assert "--out runs/probe-8" in run(capsys, "probe", "--fail", "interrupt")[2]
    assert run(capsys, "probe", "--fail", "interrupt", "--out", "mine")[2].count("--out mine") == 1


def test_a_preset_sets_defaults_that_options_override() -> None:
    def parsed(*arguments: str) -> Train:
        command = cli.parse("train", EntryPoint("train", "robot_rl.commands:Train", cli.GROUP), arguments)
        assert isinstance(command, Train)
        return command

    rlpd = parsed("--preset", "rlpd_paper", "--learner.gamma", "0.5", "--env-steps", "7")
    assert rlpd.preset == "rlpd_paper" and not rlpd.config.person and rlpd.config.warmup_steps == 5_000
    assert (rlpd.config.learner.gamma, rlpd.config.env_steps) == (0.5, 7)
    assert parsed().config.person


@pytest.mark.parametrize(
    ("arguments", "name"),
    [(("--preset", "a"), "a"), (("--preset=b", "--seed", "1"), "b"), (("--preset",), None), ((), None)],
)
def test_preset_is_found_wherever_it_stands(arguments: Sequence[str], name: str | None) -> None:
    assert preset_named_in(arguments) == name


def test_tasks_are_reached_by_the_names_the_twin_registers() -> None:
    ids = task_ids()
    assert ids["peg_insertion"].startswith("sim:") and ids["peg_insertion"].endswith("PegInsertion-v0")


def test_lists_are_shown_as_people_write_them() -> None:
    assert cli.describe({"made": [Path("a"), Path("b")], "none": [], "rate": 0.12345}) == (
        "made  a, b\nnone  –\nrate  0.1235"
    )
