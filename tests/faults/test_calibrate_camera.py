"""`robot-rl calibrate-camera --sim`, the real command over a pipe: by words typed, interrupted, gone on with."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from math import degrees, radians
from pathlib import Path
from threading import Timer

import pytest

from hardware.cell import cell_file, load_cell
from hardware.cell_writer import write_cell
from hardware.geometry import pose_distance, pose_inverse, pose_multiply, quat_normalize
from hardware.interfaces import Pose
from hardware.toml_dataclass import read_toml
from robot_rl.cli import main
from sim.tasks import make_task
from tests.faults.transcript import ROOT, shown, without_numbers

COMMAND = [sys.executable, "-c", "import sys; from robot_rl.cli import main; sys.exit(main())", "calibrate-camera"]
pytest.importorskip("cv2", reason="needs the extra 'calibration'")


def true_wrist() -> Pose:
    """``T_ee_camera`` by the model; MuJoCo's cameras look along -z, y up."""
    world = make_task("board_on_table").world
    camera = world.model.camera("wrist")
    w, x, y, z = (float(value) for value in camera.quat)
    in_hand = Pose(tuple(camera.pos.tolist()), quat_normalize((x, y, z, w)))
    upright = pose_multiply(in_hand, Pose((0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0)))
    return pose_multiply(pose_inverse(Pose((0.0, 0.0, 0.1034), (0.0, 0.0, 0.0, 1.0))), upright)


class Person:
    """Types words into a process, and reads what it says."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process, self.heard = process, ""

    def types(self, words: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{words}\n")
        self.process.stdin.flush()

    def is_told(self, words: str) -> str:
        """The answer to ``words``: what comes next that is indented."""
        assert self.process.stderr is not None
        self.types(words)
        line = ""
        while not line.startswith("  "):
            line = self.process.stderr.readline()
            assert line, self.heard
            self.heard += line
        return line

    def insists(self, words: str, wanted: str) -> None:
        """Again until ``wanted`` is the answer: the guard of a busy computer may refuse (S25), which clears itself."""
        assert any(wanted in self.is_told(words) for _ in range(10)), self.heard


def test_a_camera_is_calibrated_and_ctrl_c_loses_nothing_and_the_docs_show_it(tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    cell = Path("bench.toml")
    write_cell({**read_toml(cell_file("twin")), "name": "bench"}, cell)
    given = [*COMMAND, "--sim", "--cell", "bench.toml", "--camera", "wrist"]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    process = subprocess.Popen(given, **pipes, text=True, start_new_session=True)
    person, patience = Person(process), Timer(240.0, process.kill)
    patience.start()
    person.types("")
    person.insists("here", "pose 1: ")
    person.insists("x 10", "end effector at")
    person.insists("here", "are needed: turns")
    person.insists("roll 12", "end effector at")
    person.insists("here", "pose 2: ")
    os.kill(process.pid, signal.SIGINT)
    out, rest = process.communicate(timeout=60)
    patience.cancel()
    assert (process.returncode, out) == (130, ""), rest
    kept = sorted(path.name for path in Path("bench_wrist_poses").iterdir())
    assert kept == ["01.json", "01.png", "02.json", "02.png", "camera.json"]

    for _ in range(10):
        done = subprocess.run([*given, "--auto", "--yes"], capture_output=True, text=True, timeout=300)
        person.heard += done.stderr
        if done.returncode == 0:
            break
        # A guard that missed ticks (S25) is a busy computer's; what was taken before is there, and a person goes on.
        assert "poses so far" in done.stderr and "S25" in done.stderr, done.stderr
    assert done.returncode == 0, done.stderr
    found = load_cell(cell).cameras["wrist"].extrinsics
    assert found is not None and found.frame == "ee"
    error_m, error_rad = pose_distance(found.pose, true_wrist())
    with capfd.disabled():
        print(f"\n{1e3 * error_m:.2f} mm, {degrees(error_rad):.3f}° off\n{done.stdout}")
    assert error_m < 0.66e-3  # Half a pixel at the board's distance of 0.45 m; the focal length is 343 px.
    assert error_rad < radians(0.08)

    before = cell.read_text()
    again = ["calibrate-camera", "--cell", "bench.toml", "--camera", "wrist", "--solve-only"]
    assert main(again) == 0
    assert cell.read_text() == before
    assert main([*again, "--square-mm", "31"]) == 2
    assert "squares are" in capfd.readouterr().err
    assert cell.read_text() == before

    lines = shown("new-camera.md", "$ robot-rl calibrate-camera --sim").splitlines()
    said = "\n".join(line for line in lines if not line.startswith(("$", "  ...")) and "^C" not in line)
    assert without_numbers(said) - without_numbers(person.heard + rest + done.stdout) == set()
