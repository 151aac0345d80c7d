"""A cell whose stops a person clears: no actor makes its arm move before the operator has engaged it (S11, S24)."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed; `make test-ros` runs this")

from hardware.cell import cell_file, load_cell
from hardware.interfaces import GuardMode, ResetError, ResetPlan
from robot_rl_nodes.ros_robot import RosRobot
from tests.ros.ros_cell import RosCell, ask_patiently, reset_patiently


def test_an_actor_does_not_engage_the_arm(tmp_path: Path) -> None:
    scripted, operated = "scripted_operator = true", "scripted_operator = false"
    text = cell_file("twin").read_text()
    assert scripted in text
    path = tmp_path / "operated.toml"
    path.write_text(text.replace(scripted, operated))
    nodes = RosCell(cell=str(path))
    robot = None
    try:
        robot = RosRobot(load_cell(path))
        here = ResetPlan(robot.observe().arm.T_base_ee)
        with pytest.raises(ResetError, match="DISARMED, and an actor does not engage it"):
            robot.reset(here)
        assert robot.observe().executed.mode is GuardMode.DISARMED
        ask_patiently(robot, "engage")
        assert reset_patiently(robot, here).executed.mode is GuardMode.ARMED
    finally:
        if robot is not None:
            robot.close()
        nodes.close()
