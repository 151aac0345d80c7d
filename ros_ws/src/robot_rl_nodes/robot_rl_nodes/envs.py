"""The environment over ROS 2: ``robot_rl_nodes.envs:Cell-v0`` drives a cell, or its twin, that runs (``robot-rl up``).

Importing it registers the environment with gymnasium: the same :class:`robot_rl.env.RobotEnv`, the same tasks.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium

from hardware.cell import Cell, load_cell
from hardware.clock import RealClock
from hardware.devices import devices_of, runtime_folder
from hardware.guard import EngageError
from hardware.interfaces import GuardMode
from hardware.timekeeping import take_priority
from robot_rl.env import EnvOptions, RobotEnv
from robot_rl_nodes import topics
from robot_rl_nodes.cell_devices import patiently

if TYPE_CHECKING:
    from robot_rl_nodes.ros_robot import RosRobot

_PATIENCE_S, _RETRY_S = 5.0, 0.1

gymnasium.register("Cell-v0", entry_point="robot_rl_nodes.envs:make", disable_env_checker=True)


def make(
    *,
    cell: str = "twin",
    task: str = "",
    folder: str = "",
    cameras: tuple[str, ...] = (),
    image_size: int = 128,
    teleport: bool = True,
    max_steps: int | None = None,
    patience_s: float = 60.0,
    render_mode: str | None = None,
    **options: Any,
) -> RobotEnv:
    """The task of the twin that runs in ``folder`` (the cell's own by default), or that of the file ``task`` in a real
    cell, its robot over topics; this process has a node's priority from here on.

    In the twin ``teleport`` False moves the arm to each start through the guard, as on a real robot, and ``patience_s``
    is how long a reset waits for an operator to clear a stop. In a real cell the person at the teleop device has the
    word, as in :mod:`robot_rl.cell_env`. Raises ``ValueError`` for files that make no sense, ``ConnectionError`` naming
    what does not run, and ``ImportError`` without rclpy.
    """
    from robot_rl_nodes.ros import PRIORITY, start

    settings = load_cell(cell)
    place = Path(folder) if folder else runtime_folder(settings.name)
    chosen = EnvOptions(
        cameras=tuple(cameras), image_size=image_size, teleport=teleport and not task, max_steps=max_steps, **options
    )
    start()
    env = _real(settings, task, place, chosen) if task else _twin(settings, place, chosen, patience_s)
    env.render_mode = render_mode
    take_priority(PRIORITY)
    return env


def _twin(settings: Cell, place: Path, chosen: EnvOptions, patience_s: float) -> RobotEnv:
    from robot_rl_nodes.ros_robot import RosRobot
    from sim.mirror_task import MirrorTask
    from sim.scene_server import SOCKET

    task = patiently(lambda: MirrorTask(place / SOCKET), RealClock())
    robot = RosRobot(settings, chosen.cameras, task.spec.limits_profile, patience_s)
    robot.teleop = task  # It tells the twin's person when an episode begins.
    return RobotEnv(robot, task, chosen)


def _real(settings: Cell, path: str, place: Path, chosen: EnvOptions) -> RobotEnv:
    from robot_rl.cell_env import CellEnv, require
    from robot_rl.cell_person import CellPerson
    from robot_rl.cell_task import CellTask, load_task
    from robot_rl_nodes.ros_robot import RosRobot
    from robot_rl_nodes.topic_devices import TopicTeleop

    file = load_task(path)
    require(settings, file, devices_of(settings, place).teleop, chosen.cameras, chosen.image_size)
    robot = RosRobot(settings, chosen.cameras, file.spec.limits_profile)
    with ExitStack() as held:
        held.callback(robot.close)
        person = robot.teleop = CellPerson(TopicTeleop(robot.node, robot.clock, lambda: None), robot.clock)
        person.permit = partial(_clear_stop, robot)

        def listen(now: float) -> None:  # All the time: a press may be shorter than a step.
            person.read(now)

        robot.clock.every(1.0 / topics.TELEOP.hz, listen)
        return CellEnv(held.pop_all(), robot, CellTask(file, lambda: robot.tick.arm.T_base_ee), chosen)


def _clear_stop(robot: RosRobot) -> None:
    """And engage the guard. Raises :class:`hardware.guard.EngageError` where that is not granted in time (S10, S11)."""
    mode, deadline_s = robot.tick.executed.mode, robot.clock.now() + _PATIENCE_S
    if mode is GuardMode.FAULT:
        if robot.tick.arm.stopped:
            robot.ask("recover")
        robot.ask("reset")
    while mode in (GuardMode.DISARMED, GuardMode.HOLD, GuardMode.FAULT):
        try:
            robot.ask("resume" if mode is GuardMode.HOLD else "engage")
            return
        except EngageError:
            if robot.clock.now() > deadline_s:
                raise
        robot.clock.sleep_until(robot.clock.now() + _RETRY_S)
