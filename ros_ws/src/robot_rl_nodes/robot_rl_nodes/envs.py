"""The environment over ROS 2: ``robot_rl_nodes.envs:Cell-v0`` drives a cell, or its twin, that runs (``robot-rl up``).

Importing it registers the environment with gymnasium: the same :class:`robot_rl.env.RobotEnv`, the same tasks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium

from hardware.cell import load_cell
from hardware.clock import RealClock
from hardware.devices import runtime_folder
from robot_rl.env import EnvOptions, RobotEnv
from robot_rl_nodes.cell_devices import patiently

gymnasium.register("Cell-v0", entry_point="robot_rl_nodes.envs:make", disable_env_checker=True)


def make(
    *,
    cell: str = "twin",
    folder: str = "",
    cameras: tuple[str, ...] = (),
    image_size: int = 128,
    teleport: bool = True,
    max_steps: int | None = None,
    patience_s: float = 60.0,
    render_mode: str | None = None,
    **options: Any,
) -> RobotEnv:
    """The task of the twin that runs in ``folder`` (the cell's own by default), its robot over topics. ``teleport``
    False moves the arm to each start through the guard, as on a real robot. Raises ``ConnectionError`` naming what does
    not run, and ``ImportError`` without rclpy."""
    from robot_rl_nodes.ros import start

    start()
    from robot_rl_nodes.ros_robot import RosRobot
    from sim.mirror_task import MirrorTask
    from sim.scene_server import SOCKET

    settings = load_cell(cell)
    path = (Path(folder) if folder else runtime_folder(settings.name)) / SOCKET
    task = patiently(lambda: MirrorTask(path), RealClock())
    robot = RosRobot(settings, cameras, task.spec.limits_profile, patience_s)
    robot.teleop = task  # It tells the twin's person when an episode begins.
    env_options = EnvOptions(
        cameras=tuple(cameras), image_size=image_size, teleport=teleport, max_steps=max_steps, **options
    )
    return RobotEnv(robot, task, env_options, render_mode)
