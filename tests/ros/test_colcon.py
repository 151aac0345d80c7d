"""The package builds with colcon, and a node that it installed runs."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

SOURCES = Path(__file__).resolve().parents[2] / "ros_ws" / "src"


@pytest.mark.skipif(find_spec("colcon_ros") is None, reason="colcon is not installed; `make test-ros` runs this")
def test_the_package_builds_and_its_installed_node_runs(tmp_path):
    pytest.importorskip("rclpy", reason="rclpy is not installed; `make test-ros` runs this")
    path = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    places = ["--base-paths", SOURCES, "--build-base", tmp_path / "build", "--install-base", tmp_path / "install"]
    build = [sys.executable, "-m", "colcon", "--log-base", tmp_path / "log", "build", *places]
    subprocess.run(build, check=True, capture_output=True, timeout=300, env=path)
    node = tmp_path / "install" / "robot_rl_nodes" / "lib" / "robot_rl_nodes" / "camera_node"
    setup = tmp_path / "install" / "local_setup.bash"
    command = ["bash", "-c", f"source {setup} && {node} --ros-args -p camera:=frnt"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=path)
    assert done.returncode == 2, done.stderr
    assert "did you mean 'front'" in done.stderr
