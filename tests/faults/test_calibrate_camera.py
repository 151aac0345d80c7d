"""`robot-rl calibrate-camera --sim`, the real command over a pipe: by words typed, interrupted, gone on with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from math import radians

import pytest

from hardware.cell import cell_file, load_cell
from hardware.cell_writer import write_cell
from hardware.geometry import pose_distance, pose_inverse, pose_multiply, quat_normalize
from hardware.interfaces import Pose
from hardware.toml_dataclass import read_toml
from robot_rl.cli import main
from sim.tasks import make_task

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


def until(process: subprocess.Popen[str], *marks: str) -> str:
    """What it says until one of ``marks`` is in a line."""
    said = ""
    while not any(mark in said for mark in marks):
        line = process.stderr.readline() if process.stderr is not None else ""
        assert line, said
        said += line
    return said


def test_a_camera_is_calibrated_and_ctrl_c_loses_nothing(tmp_path, capfd):
    cell = tmp_path / "bench.toml"
    write_cell({**read_toml(cell_file("twin")), "name": "bench"}, cell)
    given = [*COMMAND, "--sim", "--cell", str(cell), "--camera", "wrist", "--json"]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    process = subprocess.Popen(given, **pipes, text=True, start_new_session=True)
    assert process.stdin is not None
    said = ""
    process.stdin.write("\nhere\nx 10\nhere\n")
    for _ in range(5):  # A busy computer's guard may refuse to move (S25).
        process.stdin.write("roll 12\nhere\n")
        process.stdin.flush()
        said += until(process, "pose 2: ", "`clear`, then on")
        if "pose 2: " in said:
            break
    os.kill(process.pid, signal.SIGINT)
    out, rest = process.communicate(timeout=60)
    poses = cell.with_name("bench_wrist_poses")
    assert (process.returncode, out) == (130, ""), rest
    assert f"what was done is in {poses}; go on with: robot-rl calibrate-camera" in rest
    assert "against pose 1, 5° are needed" in said
    assert sorted(path.name for path in poses.iterdir()) == ["01.json", "01.png", "02.json", "02.png", "camera.json"]

    done = subprocess.run([*given, "--auto", "--yes"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert f"2 poses of before in {poses}" in done.stderr
    result = json.loads(done.stdout)
    found = load_cell(cell).cameras["wrist"].extrinsics
    assert (found.frame, list(found.position_m)) == ("ee", result["position_m"])
    error_m, error_rad = pose_distance(found.pose, true_wrist())
    print(f"{1e3 * error_m:.2f} mm, {error_rad:.5f} rad; {result}")
    assert error_m < 0.66e-3  # Half a pixel at the board's distance of 0.45 m; the focal length is 343 px.
    assert error_rad < radians(0.08)

    before = cell.read_text()
    assert main(["calibrate-camera", "--cell", str(cell), "--camera", "wrist", "--solve-only"]) == 0
    assert cell.read_text() == before
    assert (
        main(["calibrate-camera", "--cell", str(cell), "--camera", "wrist", "--solve-only", "--square-mm", "31"]) == 2
    )
    assert "squares are" in capfd.readouterr().err
    assert cell.read_text() == before
