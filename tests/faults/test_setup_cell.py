"""`robot-rl setup-cell --sim`, the real command over a pipe, and the doctor's look at the file it wrote."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

from hardware.cell import load_cell
from robot_rl.cli import main
from tests.faults.transcript import ROOT, shown, without_numbers

TRIES = 10
"""On a machine with no time to spare the guard may refuse to jog (S25)."""
COMMAND = [sys.executable, "-c", "import sys; from robot_rl.cli import main; sys.exit(main())", "setup-cell", "--sim"]


def test_a_cell_is_set_up_by_answers_over_a_pipe(tmp_path, capsys):
    path = tmp_path / "bench.toml"
    answers = ["", "0.0", "none", "no such thing", "none", "here", "zero", "x 40", "around"]
    done = subprocess.run(
        [*COMMAND, "--out", str(path), "--json"],
        input="\n".join([*answers, ""]),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["cell"] == str(path)
    assert "no 'no such thing'" in done.stderr
    # On a machine with no time to spare the guard may refuse or stop; it says so, and the person is asked again.
    assert re.search(r"ARMED, end effector at 0\.49|reset refused|after \d+ s|\(S\d+: .*`clear`", done.stderr), (
        done.stderr
    )
    cell = load_cell(path)
    assert (cell.name, len(cell.home_joint_positions_rad)) == ("bench", 7)
    assert cell.workspace.excess((0.452, 0.063, 0.241)) == pytest.approx(-0.1, abs=0.002)
    main(["doctor", "--sim", "--cell", str(path), "--folder", str(tmp_path), "--json"])
    findings = {f["what"]: f for f in json.loads(capsys.readouterr().out)["findings"]}
    assert {findings[what]["level"] for what in ("teleop", "arm", "wrench")} <= {"PASS", "WARN"}
    assert re.match("without references the arm stood after|not tried: ", findings["watchdog"]["found"])


def test_it_goes_as_the_docs_show_it(tmp_path):
    """Pictures, crops, jogging and all: what the page shows typed is typed."""
    page = shown("fr3.md", "$ robot-rl setup-cell --sim --out bench.toml")
    jogs = [line.partition("]:")[2].strip() for line in page.splitlines() if line.startswith("home")]
    answers = ["name", "table", "cameras", "teleop", "front", "wrist", *jogs, "bias", "corners"]
    typed = "".join(f"{answer if answer in jogs else ''}\n" for answer in answers)
    assert "z -20\n" in typed
    for attempt in range(TRIES):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        done = subprocess.run(
            [*COMMAND, "--out", "bench.toml"],
            input=typed,
            capture_output=True,
            text=True,
            timeout=120,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
        )
        if "without camera" in done.stderr:
            pytest.skip("there is no renderer here")
        missing = without_numbers(page) - without_numbers(done.stderr)
        if done.returncode == 0 and not missing:
            return
    raise AssertionError((missing, done.stderr))


def test_answers_that_end_too_soon_leave_nothing(tmp_path):
    given = ["--out", str(tmp_path / "bench.toml"), "--cameras", "none"]
    done = subprocess.run([*COMMAND, *given], input="\n\n", capture_output=True, text=True, timeout=120)
    assert (done.returncode, list(tmp_path.iterdir())) == (2, [])
    assert "the answers ended before --teleop had one" in done.stderr


def test_a_table_over_the_hand_is_refused_at_once_and_no_picture_is_left(tmp_path):
    given = ["--out", str(tmp_path / "bench.toml"), "--table-m", "0.5", "--yes"]
    done = subprocess.run([*COMMAND, *given], capture_output=True, text=True, timeout=120)
    assert (done.returncode, list(tmp_path.iterdir())) == (2, []), done.stderr
    assert "still of" in done.stderr or "without camera" in done.stderr
    assert "m behind the plane 'table'" in done.stderr.splitlines()[-1]
