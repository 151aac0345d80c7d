"""Real nodes, real topics: what a node refuses, and an episode over the processes of a twin."""

# ruff: noqa: E402 - what follows the skip needs rclpy

from __future__ import annotations

import os
import subprocess
import sys
import time
from threading import Event

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy", reason="rclpy is not installed; `make test-ros` runs this")

from hardware.interfaces import ArmCommand, GuardMode, Source
from robot_rl.rollout import EnvSpec
from robot_rl_nodes import topics
from robot_rl_nodes.topics import TOPICS
from tests.ros.ros_cell import HURRIED, RosCell, ask_patiently


@pytest.mark.parametrize(
    ("module", "parameters", "says"),
    [
        ("camera_node", ["camera:=frnt"], "did you mean 'front'"),
        ("camera_node", ["cel:=twin"], "no parameter 'cel'; did you mean 'cell'?"),
        ("teleop_node", ["rate_hz:=5000.0"], "must lie within 20 to 1000"),
        ("teleop_node", ["rate_hz:=fast"], "it must be a float such as 100.0"),
        ("arm_node", ["cell:=twinn"], "did you mean 'twin'"),
        ("arm_node", ["profile:=fast", "realtime:=false"], "no limits profile 'fast'"),
        ("twin_node", ["task:=reech", "folder:=/tmp/ros-none"], "did you mean 'reach'"),
    ],
)
def test_a_wrong_parameter_is_one_line_and_exit_code_2(module, parameters, says, tmp_path):
    given = [word for text in parameters for word in ("-p", text)]
    command = [sys.executable, "-m", f"robot_rl_nodes.{module}", "--ros-args", *given]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_every_topic_names_a_message_that_exists():
    for topic in TOPICS:
        package, _, name = topic.type.split("/")
        try:
            module = __import__(f"{package}.msg", fromlist=[name])
        except ImportError:
            assert package == "tf2_msgs"  # The wheels have none.
        else:
            assert hasattr(module, name)


@pytest.fixture(scope="module")
def cell():
    cell = RosCell(cameras=["front"], person="expert", takeover="never")
    yield cell
    cell.close()


@pytest.fixture(scope="module")
def env(cell):
    env = EnvSpec("robot_rl_nodes.envs:Cell-v0", {"folder": str(cell.folder), "cameras": ("front",)}).make()
    yield env
    env.close()


def late(env):
    """Whether the guard holds since this computer was too busy for it: no fault of what is tested."""
    return env.latest.executed.stop_limit in HURRIED


def test_an_episode_over_topics(env):
    for _ in range(5):
        observation, info = env.reset(seed=3)
        assert observation["front"].shape == (128, 128, 3)
        assert observation["front"].std() > 1.0  # A picture, not a colour.
        for _ in range(50):
            action = env.task.mirror.task.blind_action(env.latest)
            observation, reward, terminated, truncated, info = env.step(action)
            if terminated or truncated:
                break
        if not late(env):
            break
    assert (terminated, reward, info["source"]) == (True, 1.0, Source.POLICY)


def test_the_operator_holds_and_resumes(env):
    env.reset(seed=4)
    robot = env.robot
    assert robot.ask("hold")
    deadline = time.monotonic() + 5.0
    while robot.observe().executed.mode is not GuardMode.HOLD:
        assert time.monotonic() < deadline
    with pytest.raises(RuntimeError, match=r"S11|brakes"):
        robot.ask("resume")
    assert "ARMED" in ask_patiently(robot, "resume")


def test_a_second_guard_is_refused(cell):
    command = [sys.executable, "-m", "robot_rl_nodes.arm_node", "--ros-args", "-p", f"folder:='{cell.folder}'"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert f"process {cell.pid('arm')} is this cell's guard already" in done.stderr


def test_s21_garbage_on_the_command_topic_does_not_stop_the_node(env):
    from sensor_msgs.msg import JointState

    env.reset(seed=5)
    for _ in range(30):
        env.robot._commands.publish(JointState(name=["x"]))
    env.robot.command(ArmCommand(env.latest.executed.target))
    time.sleep(0.3)
    assert env.robot.observe().executed.mode is GuardMode.HOLD
    env.robot.ask("reset")
    for _ in range(5):
        env.reset(seed=6)
        if not late(env):
            break
    assert env.latest.executed.mode < GuardMode.HOLD


def test_standard_topics_and_health_are_there(env):
    from diagnostic_msgs.msg import DiagnosticArray
    from sensor_msgs.msg import JointState

    node, seen = rclpy.create_node("watcher"), {}
    node.create_subscription(JointState, "joint_states", lambda m: seen.update(joints=m), 1)
    node.create_subscription(DiagnosticArray, "/diagnostics", lambda m: seen.update({m.status[0].name: m}), 10)
    deadline = time.monotonic() + 15.0
    while len(seen) < 5 and time.monotonic() < deadline:
        rclpy.spin_once(node, timeout_sec=0.5)
    node.destroy_node()
    assert {"joints", "/arm", "/camera_front", "/teleop", "/twin"} <= set(seen)
    assert seen["joints"].name == [*(f"joint{i}" for i in range(1, 8)), "gripper_width"]
    assert np.isfinite(seen["joints"].position).all()


def test_the_profile_and_the_discovery_range_are_set(env):
    assert os.environ["ROS_PYTHON_CHECK_FIELDS"] == "1"
    assert any(name in os.environ for name in ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE"))
    assert topics.TICK.name in dict(env.robot.node.get_topic_names_and_types()).__str__()


def test_a_node_is_not_taken_away_under_a_callback_that_does_not_return(monkeypatch):
    """Python ended without a word where one was, on a busy machine."""
    from robot_rl_nodes import ros

    ros.start()
    entered, go_on = Event(), Event()
    node = rclpy.create_node("stuck")
    node.create_timer(0.01, lambda: (entered.set(), go_on.wait(60.0)))
    spinning = ros.Spinning(node)
    assert entered.wait(60.0)
    with monkeypatch.context() as hurried:
        hurried.setattr(ros, "_END_S", 0.1)
        spinning.close()
    assert node.count_publishers("anything") == 0
    go_on.set()
    spinning.close()
    with pytest.raises(RuntimeError, match="destruction"):  # rclpy's InvalidHandle.
        node.count_publishers("anything")
