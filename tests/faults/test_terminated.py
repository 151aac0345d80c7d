"""SIGTERM of a command that has an arm in hand: the arm is let go of at rest, and no process of its own outlives it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from threading import Timer

import pytest

ROBOT_RL = [sys.executable, "-c", "import sys; from robot_rl.cli import main; sys.exit(main())"]
ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 120.0


def children(pid: int) -> list[int]:
    """Processes that ``pid`` has started and that live."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            number, _, rest = stat.read_text().partition(" (")
        except OSError:  # It has ended meanwhile.
            continue
        state, parent = rest.rpartition(") ")[2].split()[:2]
        if int(parent) == pid and state != "Z":
            found.append(int(number))
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(
    "words",
    [
        ["setup-cell", "--out", "bench.toml", "--cameras", "none", "--teleop", "none", "--table-m", "0.0"],
        ["calibrate-camera", "--camera", "wrist", "--frame", "ee"],
    ],
)
def test_a_command_told_to_end_lets_go_of_the_arm_and_ends_the_twin(words, signum, tmp_path):
    if words[0] == "calibrate-camera":
        pytest.importorskip("cv2", reason="needs the extra 'calibration'")
    searched = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    pipes = dict.fromkeys(("stdin", "stderr"), subprocess.PIPE)
    process = subprocess.Popen(
        [*ROBOT_RL, *words, "--sim"],
        **pipes,
        text=True,
        cwd=tmp_path,
        env=searched,
        preexec_fn=lambda: signal.signal(signum, signal.SIG_DFL),  # Whoever runs this under nohup has it ignored.
    )
    patience = Timer(PATIENCE_S, process.kill)
    patience.start()
    assert process.stdin is not None and process.stderr is not None
    process.stdin.write("bench\n" if words[0] == "setup-cell" else "")
    process.stdin.flush()
    heard = ""
    while "Move the arm by hand" not in heard.rpartition("\n")[2]:
        character = process.stderr.read(1)
        assert character, heard
        heard += character
    process.stdin.write("z 100\n")
    process.stdin.flush()
    started = children(process.pid)
    assert started, "the twin is a process"
    process.send_signal(signum)
    _, said = process.communicate()
    patience.cancel()
    assert process.returncode == 130, said
    assert "robot-rl: interrupted" in said and "Traceback" not in said
    assert not any(Path(f"/proc/{pid}").exists() for pid in started)
    assert not (tmp_path / "bench.toml").exists()
