"""`robot-rl up twin --with-learner`: the actor acts for a learner that is another process, and that may die."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed; `make test-ros` runs this")

from robot_rl.episodes import EpisodeStore, read_episode
from robot_rl.metrics import METRICS_FILE, read_metrics
from tests.ros.ros_cell import domain

STEPS = 120


def wait_for(happened, seconds: float = 60.0):
    deadline = time.monotonic() + seconds
    while not (seen := happened()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return seen


def test_s22_a_learner_that_dies_is_started_again_and_the_actor_acts_on(tmp_path):
    out, folder = tmp_path / "run", Path(tempfile.mkdtemp(prefix="ros-"))  # pytest's is too long for a socket's name
    words = ["up", "twin", "--task", "reach", "--cameras", "none", "--with-learner", "--preset", "rlpd_paper", "--json"]
    where = ["--env-steps", STEPS, "--out", out, "--folder", folder, "--endpoint", f"ipc://{folder}/learner"]
    with (tmp_path / "said").open("w+") as said:
        up = subprocess.Popen(
            [sys.executable, "-m", "robot_rl", *words, *map(str, where)],
            env={**os.environ, "ROS_DOMAIN_ID": domain()},
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
        )
        try:
            began = re.compile(r"learner (\d+)")
            learner = int(wait_for(lambda: began.search((tmp_path / "said").read_text()))[1])
            wait_for(lambda: (out / METRICS_FILE).exists() and read_metrics(out / METRICS_FILE))
            os.kill(learner, signal.SIGKILL)
            result = json.loads(up.communicate(timeout=120)[0])
        finally:
            up.send_signal(signal.SIGTERM)
            up.wait(30)
    words = (tmp_path / "said").read_text()
    assert (up.returncode, result["restarted"]) == (0, "learner × 1"), words
    assert "SIGKILL" in words
    assert json.loads((out / "policy" / "policy.json").read_text())["step"] == STEPS
    store = EpisodeStore(out / "episodes")
    episodes = [read_episode(out / "episodes" / row.path) for row in store.list()]
    store.close()
    assert sum(len(episode.steps) for episode in episodes) >= STEPS, "every step is in a file, whoever lived"
    gaps = [np.diff([step.stamp_s for step in episode.steps]).max(initial=0.0) for episode in episodes]
    assert max(gaps) < 1.0, "no step waited for the learner, which took longer to come back"
