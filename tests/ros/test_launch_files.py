"""The launch files: as far as they read without a ROS installation, and where there is one, by ``ros2 launch``."""

from __future__ import annotations

import ast
import inspect
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from robot_rl_nodes import node_table
from robot_rl_nodes.launching import ends_all
from robot_rl_nodes.topics import PER_CAMERA, TOPICS, recorded

LAUNCH = Path(__file__).resolve().parents[2] / "launch"


def arguments(name: str) -> dict[str, tuple[str, str]]:
    for node in ast.parse((LAUNCH / f"{name}.launch.py").read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "ARGUMENTS":
            return ast.literal_eval(node.value)
    raise AssertionError(f"{name}.launch.py has no ARGUMENTS")


TABLES = {
    "robot": node_table.robot_nodes,
    "twin": node_table.twin_nodes,
    "actor": node_table.learning,
    "record": node_table.recording,
}


@pytest.mark.parametrize(("name", "takes"), TABLES.items())
def test_every_argument_is_one_of_the_table_with_its_default(name, takes):
    parameters = inspect.signature(takes).parameters
    for key, (default, says) in arguments(name).items():
        own = parameters[key].default
        assert says
        assert own is inspect.Parameter.empty or str(own).lower() == default


def test_launch_is_no_package_of_ours():
    assert not (LAUNCH / "__init__.py").exists()  # It would hide ROS's own `launch`.


def test_all_topics_are_recorded():
    names = [topic.name for topic in recorded(["front", "wrist"])]
    assert len(names) == len(TOPICS) + len(PER_CAMERA)
    assert "camera/wrist/image_raw" in names


@pytest.mark.parametrize(
    ("name", "code", "all_ends"),
    [("arm", 0, True), ("actor", 0, False), ("actor", 1, True), ("learner", 0, True), ("learner", -9, False)],
)
def test_a_launch_ends_with_its_guard_with_a_failed_actor_and_with_the_learner_that_is_done(name, code, all_ends):
    assert ends_all(name, code) == all_ends


def test_a_launch_goes_on_without_a_camera():
    assert not ends_all("camera_front", 1)


@pytest.mark.skipif(shutil.which("ros2") is None, reason="ros2 is not installed: source a ROS 2 installation")
def test_ros2_launch_starts_a_camera_again_and_ends_with_the_guard(tmp_path):
    from tests.ros.ros_cell import domain

    said = tmp_path / "said"

    def started(name: str, times: int) -> int:
        """The number of the process, once it has been started so often."""
        deadline = time.monotonic() + 120.0
        while len(found := re.findall(rf"\[{name}-\d\]: process started with pid \[(\d+)\]", said.read_text())) < times:
            assert time.monotonic() < deadline and launch.poll() is None, said.read_text()
            time.sleep(0.1)
        return int(found[-1])

    command = ["ros2", "launch", str(LAUNCH / "twin.launch.py"), "task:=reach"]
    with said.open("w") as log:
        environment = {**os.environ, "ROS_DOMAIN_ID": domain()}
        launch = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        try:
            for name in ("twin", "camera_front", "camera_wrist", "teleop", "arm"):
                started(name, 1)
            os.kill(started("camera_front", 1), signal.SIGKILL)
            started("camera_front", 2)
            os.kill(started("arm", 1), signal.SIGKILL)
            launch.wait(60.0)
        finally:
            launch.send_signal(signal.SIGINT)
            launch.wait(60.0)
    assert "process[arm-5] was required: shutting down" in said.read_text()
