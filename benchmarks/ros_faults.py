"""What the arm does when processes die or freeze: the twin's nodes over ROS 2, judged by its log of every physics step.

``python -m benchmarks.ros_faults``: each fault several times at random moments of a sweep at 120 mm/s.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tyro

from benchmarks.ros_judge import Event, judge, table
from benchmarks.ros_learner_faults import measure
from hardware.cell import Cell, load_cell
from hardware.devices import Devices
from hardware.interfaces import CameraFrame, GuardMode
from robot_rl_nodes.node_table import GUARD, NodeSpec
from robot_rl_nodes.ros_robot import RosRobot
from sim import remote_scene
from sim.arm_server import read_log
from tests.ros.ros_cell import RosCell

WINDOW_S, FAST_M_S = 1.5, 0.09
WALL_CLOCK = "wall_clock"
"""The nodes' wall clock is ahead by the number in this file of the cell's folder, s (``wall_clock.c``)."""
FREEZE = "freeze"
"""While a file of this name is in the cell's folder, cameras repeat their pixels, counter and stamp going on."""


class FreezingCamera(remote_scene.MirrorCamera):
    """The twin's camera, whose sensor can get stuck."""

    stuck: np.ndarray | None = None
    folder: Path

    def read_latest(self, max_age_s: float) -> CameraFrame:
        frame = super().read_latest(max_age_s)
        if not (self.folder / FREEZE).exists():
            self.stuck = frame.image
        return frame if self.stuck is None else replace(frame, image=self.stuck)


def devices(cell: Cell, folder: Path) -> Devices:
    """Those of the twin with cameras that can get stuck."""
    twin = remote_scene.devices(cell, folder)
    for camera in twin.cameras.values():
        camera.__class__, camera.folder = FreezingCamera, folder  # type: ignore[attr-defined]
    return twin


@dataclass(frozen=True)
class Driver(NodeSpec):
    """The policy's process."""

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-m", "benchmarks.ros_driver"]


class FaultCell(RosCell):
    """The twin's nodes with cameras that can get stuck, and a policy that sweeps."""

    def changed(self, nodes: list[NodeSpec]) -> list[NodeSpec]:
        if shutil.which("cc"):
            library, source = self.folder / "wall_clock.so", Path(__file__).with_name("wall_clock.c")
            subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", library, source], check=True)
            (self.folder / WALL_CLOCK).write_bytes(struct.pack("d", 0.0))
            os.environ.update(LD_PRELOAD=str(library), WALL_CLOCK=str(self.folder / WALL_CLOCK))
        own = {"devices": "benchmarks.ros_faults:devices"}
        changed = [
            replace(node, parameters={**node.parameters, **own}) if "devices" in node.parameters else node
            for node in nodes
        ]
        return [*changed, Driver("driver", "", restarts=True)]

    def set_clock(self, ahead_s: float) -> None:
        """Set the nodes' wall clock to the machine's and ``ahead_s``."""
        with (self.folder / WALL_CLOCK).open("r+b") as file:
            file.write(struct.pack("d", ahead_s))

    def signal(self, name: str, signum: int) -> None:
        os.kill(self.pid(name), signum)


class Fault(NamedTuple):
    """What is done, and how it is undone."""

    name: str
    inject: Callable[[FaultCell], None]
    undo: Callable[[FaultCell], None]


def _kill(node: str) -> Fault:
    return Fault(f"kill -9 {node}", lambda cell: cell.signal(node, signal.SIGKILL), lambda cell: None)


def _freeze(node: str) -> Fault:
    return Fault(
        f"freeze {node} for {WINDOW_S:g} s",
        lambda cell: cell.signal(node, signal.SIGSTOP),
        lambda cell: cell.signal(node, signal.SIGCONT),
    )


def _jump(ahead_s: float) -> Fault:
    return Fault(f"wall clock {ahead_s:+g} s", lambda cell: cell.set_clock(ahead_s), lambda cell: cell.set_clock(0.0))


def _second_guard(cell: FaultCell) -> None:
    """Start one, and wait until it is refused. At ordinary priority: this process's own would be its from the start."""
    node = next(node for node in cell.supervisor.nodes if node.name == GUARD)
    ordinary = partial(os.sched_setscheduler, 0, os.SCHED_OTHER, os.sched_param(0))
    refused = subprocess.run(node.command, preexec_fn=ordinary, timeout=60.0, check=False)
    assert refused.returncode == 2


def _restart_guard(cell: FaultCell) -> None:
    """What a person does after the supervisor has given up: look, and start the guard again."""
    node = next(node for node in cell.supervisor.nodes if node.name == GUARD)
    cell.supervisor.processes[GUARD].wait()
    cell.supervisor._start(node)


FAULTS = (
    _kill("camera_front"),
    _freeze("camera_front"),
    Fault(
        "frozen pixels, moving counter",
        lambda cell: (cell.folder / FREEZE).touch(),
        lambda cell: (cell.folder / FREEZE).unlink(),
    ),
    _kill("teleop"),
    _freeze("teleop"),
    _kill("driver"),
    _freeze("driver"),
    _freeze(GUARD),
    Fault("second guard", _second_guard, lambda cell: None),
    *map(_jump, (3600.0, -3600.0, 0.1, -0.1)),
    Fault(f"kill -9 {GUARD}", lambda cell: cell.signal(GUARD, signal.SIGKILL), _restart_guard),
)


def set_off(robot: RosRobot, patience_s: float = 40.0) -> str:
    """Do as an operator until the arm sweeps; what it took."""
    took, deadline = "nothing", time.monotonic() + patience_s
    while time.monotonic() < deadline:
        mode = robot.status.get("mode", "")
        do = {"HOLD": "resume", "FAULT": "reset", "DISARMED": "engage"}.get(mode, "")
        try:
            if do:
                robot.ask(do)
                took = do
            elif abs(robot.observe().arm.ee_twist[1]) > FAST_M_S:
                return took
        except (RuntimeError, ConnectionError):
            pass  # Refused, or starting: ask again.
        time.sleep(0.1)
    raise TimeoutError(f"the arm does not sweep: {robot.status}")


def run_fault(cell: FaultCell, robot: RosRobot, fault: Fault, rng: np.random.Generator) -> Event:
    """Inject it once, at a random moment in which the arm is fast."""
    time.sleep(rng.uniform(0.5, 1.5))
    while abs(robot.observe().arm.ee_twist[1]) < FAST_M_S:
        time.sleep(0.005)
    at = time.monotonic()
    fault.inject(cell)
    time.sleep(WINDOW_S)
    status = dict(robot.status)
    gone = cell.supervisor.processes[GUARD].poll() is not None
    stopped = status.get("mode") in (GuardMode.HOLD.name, GuardMode.FAULT.name)
    held = "the arm's own watchdog" if gone else status["reason"] if stopped else "nobody"
    fault.undo(cell)
    undone = time.monotonic()
    time.sleep(1.0)
    if not stopped and not gone:  # A guard that was away says afterwards why it holds.
        stopped = robot.status.get("mode") == GuardMode.HOLD.name
        held = f"the arm's own watchdog, then {robot.status['reason']}" if stopped else held
    return Event(fault.name, at, held, set_off(robot), undone)


def sweep(repeats: int, only: str, seed: int) -> tuple[list[dict[str, Any]], list[Event]]:
    """All faults of :data:`FAULTS`, or those whose name contains ``only``: the table, and what it is made of."""
    faults = [fault for fault in FAULTS if only in fault.name]
    if not shutil.which("cc"):
        print("the wall clock is not set: there is no C compiler (apt install gcc)", file=sys.stderr)
        faults = [fault for fault in faults if not fault.name.startswith("wall clock")]
    if not faults:
        return [], []
    rng, cell, events = np.random.default_rng(seed), FaultCell(cameras=["front"]), []
    try:
        robot = RosRobot(load_cell("twin"), name="operator")
        set_off(robot)
        for fault in faults:
            for _ in range(repeats):
                event = run_fault(cell, robot, fault, rng)
                events.append(event)
                print(f"{fault.name}: held by {event.held_by}; {event.recovered}", file=sys.stderr, flush=True)
        robot.close()
    finally:
        cell.close(keep=True)
        os.environ.pop("LD_PRELOAD", None)
    log = read_log(cell.log)
    for event in events:
        judge(log, event)
    return table(events), events


def main(repeats: int = 3, only: str = "", seed: int = 0, out: Path | None = None) -> None:
    """Run all faults, or those whose name contains ``only``; print the table, and write events and table to ``out``."""
    rows, events = sweep(repeats, only, seed)
    for row in rows:
        print(
            f"{row['fault']:<32} × {row['repeats']}  {row['worst_travel_mm']:6.1f} mm  {row['worst_stop_s']:6.3f} s  "
            f"after {row['worst_travel_after_mm']:5.1f} mm  {row['held_by']}  → {row['recovered']}"
        )
    learner = measure(repeats, only)
    if out is not None:
        about = {"table": rows, "events": [asdict(event) for event in events], "learner": learner}
        out.write_text(json.dumps(about, indent=1))


if __name__ == "__main__":
    tyro.cli(main)
