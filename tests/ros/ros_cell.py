"""A twin's nodes as processes, as ``robot-rl up`` starts them, on a ROS domain of their own; and their end."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread

from hardware.cell import load_cell
from hardware.interfaces import ResetError, ResetPlan, RobotObservation
from hardware.timekeeping import take_priority
from robot_rl_nodes.node_table import NodeSpec, ProcessSpec, twin_nodes
from robot_rl_nodes.ros import PRIORITY
from robot_rl_nodes.ros_robot import RosRobot
from robot_rl_nodes.supervisor import NodeDied, Supervisor

DOMAINS = 100
HURRIED = ("S2", "S10", "S13", "S16", "S25")
"""What the guard stops the arm for where a computer had no time for its nodes: a test tries again."""
os.environ.setdefault("OMP_NUM_THREADS", "1")


def domain() -> str:
    """This process's own, so that what others run does not meddle."""
    return str(1 + os.getpid() % DOMAINS)


class RosCell:
    """Starts ``nodes`` (those of the twin by default) in a folder of their own and keeps them running."""

    def __init__(
        self, cameras: Sequence[str] = (), person: str = "none", takeover: str = "watchful", cell: str = "twin"
    ):
        os.environ["ROS_DOMAIN_ID"] = domain()
        self.folder = Path(tempfile.mkdtemp(prefix="ros-"))  # pytest's folders are too long for a socket's name
        self.log = self.folder / "steps.log"
        nodes = twin_nodes(cell, "reach", cameras, self.folder, person, takeover, log=str(self.log))
        self.said: list[str] = []
        self.supervisor = Supervisor(self.changed(nodes), self.folder / "logs", self.said.append)
        self._stop = Event()
        self.supervisor.start()
        take_priority(PRIORITY)  # Whoever measures or tests here keeps time as an actor does.
        self._watch = Thread(target=self._run, daemon=True)
        self._watch.start()

    def changed(self, nodes: list[NodeSpec]) -> Sequence[ProcessSpec]:
        """For those who start others."""
        return nodes

    def pid(self, name: str) -> int:
        return self.supervisor.processes[name].pid

    def words(self, name: str) -> str:
        """All that a node has logged."""
        return (self.folder / "logs" / f"{name}.log").read_text()

    def stop_watching(self) -> None:
        """Nothing that ends is started again."""
        self._stop.set()
        self._watch.join(5.0)

    def close(self, keep: bool = False) -> None:
        """End everything; ``keep`` the folder."""
        self.stop_watching()
        self.supervisor.stop()
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self) -> None:
        """Go on when the guard dies: a test that killed it starts it again."""
        while not self._stop.wait(0.1):
            with suppress(NodeDied):
                self.supervisor.run(self._stop)


def ask_patiently(robot: RosRobot, do: str, limit_s: float = 20.0) -> str:
    """As an operator does, who is told to wait (S10, S11): ask again until it is granted. Raises the last refusal."""
    deadline_s = robot.clock.now() + limit_s
    while True:
        try:
            return robot.ask(do)
        except RuntimeError:
            if robot.clock.now() > deadline_s:
                raise
        robot.clock.sleep_until(robot.clock.now() + 0.1)


def reset_patiently(robot: RosRobot, plan: ResetPlan, limit_s: float = 20.0) -> RobotObservation:
    """As an operator does whose computer is busy (:data:`HURRIED`): clear the stop, go on. Raises the last one."""
    deadline_s = robot.clock.now() + limit_s
    while True:
        try:
            return robot.reset(plan)
        except ResetError as error:
            if not any(f" {limit}: " in str(error) for limit in HURRIED) or robot.clock.now() > deadline_s:
                raise
        ask_patiently(robot, "resume")


class RobotOfItsOwnCell(RosRobot):
    """A robot over topics that ends its cell's processes with itself."""

    def __init__(self) -> None:
        self._cell = RosCell()
        try:
            super().__init__(load_cell("twin"))
        except ConnectionError:
            self._cell.close()
            raise

    def close(self) -> None:
        super().close()
        self._cell.close()
