"""Rates and latencies of the nodes: real processes, two cameras of 640×480 at 30 Hz with synthetic pictures, a person
who takes over once a second, a policy at 10 Hz.

``python -m benchmarks.ros_latency``: from a frame's exposure to the observation, from a command to the tick that obeys,
from a takeover to the tick that obeys, the guard's period, and what share of images and ticks arrived.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tyro
from sensor_msgs.msg import JointState, Joy

from hardware.cell import Cell, load_cell
from hardware.clock import RealClock
from hardware.devices import Devices
from hardware.interfaces import (
    ZERO6,
    ArmCommand,
    Camera,
    CameraFrame,
    Clock,
    FrameStamp,
    GuardMode,
    Source,
    TeleopDevice,
    TeleopSample,
)
from hardware.step_log import StepLog
from robot_rl_nodes import topics
from robot_rl_nodes.conversions import Tick, from_tick
from robot_rl_nodes.node_table import NodeSpec
from robot_rl_nodes.ros import qos
from robot_rl_nodes.ros_robot import RosRobot
from robot_rl_nodes.standard_messages import from_joy
from sim import remote_arm
from tests.ros.ros_cell import RosCell

CAMERAS, HZ, HEIGHT, WIDTH = ("front", "wrist"), 10.0, 480, 640
TAKEOVER_PERIOD_S, TAKEOVER_S = 1.0371, 0.2
"""No multiple of the guard's period, so that takeovers come at any moment of it."""


@dataclass
class StripedCamera(Camera):
    """A camera at 30 Hz whose pictures cost nothing to make and differ each time."""

    name: str
    clock: Clock

    def connect(self) -> None:
        self._images = np.random.default_rng(0).integers(0, 256, (4, HEIGHT, WIDTH, 3), np.uint8)

    def newest(self) -> FrameStamp:
        sequence = int(self.clock.now() * 30.0)
        return FrameStamp(sequence / 30.0, sequence)

    def read_latest(self, max_age_s: float) -> CameraFrame:
        stamp_s, sequence, _ = self.newest()
        return CameraFrame(stamp_s, sequence, self._images[sequence % 4])

    def close(self) -> None: ...


class ImpatientPerson(TeleopDevice):
    """Takes over for a moment once a second."""

    def connect(self) -> None: ...

    def read(self, now: float) -> TeleopSample:
        return TeleopSample(now, ZERO6, takeover=now % TAKEOVER_PERIOD_S < TAKEOVER_S)

    def close(self) -> None: ...


def devices(cell: Cell, folder: Path) -> Devices:
    """The twin's arm; cameras and person of this file."""
    clock = RealClock()
    cameras = {name: StripedCamera(name, clock) for name in CAMERAS}
    return replace(remote_arm.devices(cell, folder), cameras=cameras, teleop=ImpatientPerson())


class MeasuredCell(RosCell):
    """The twin's nodes over these devices."""

    def changed(self, nodes: list[NodeSpec]) -> list[NodeSpec]:
        own = {"devices": "benchmarks.ros_latency:devices"}
        return [
            replace(node, parameters={**node.parameters, **own}) if "devices" in node.parameters else node
            for node in nodes
        ]


class Watcher:
    """Hears everything in the process of the robot, and keeps when it happened."""

    def __init__(self, robot: RosRobot) -> None:
        self.ticks: list[Tick] = []
        self.arrivals_s: list[float] = []
        self.takeovers_s: list[float] = []
        self.marks: dict[str, int] = dict.fromkeys(CAMERAS, 0)
        self._clock, self._taken = robot.clock, False
        node = robot.node
        node.create_subscription(JointState, topics.TICK.name, self._tick, qos(topics.TICK))
        node.create_subscription(Joy, topics.TELEOP.name, self._joy, qos(topics.TELEOP))

    def _tick(self, message: JointState) -> None:
        self.ticks.append(from_tick(message))
        self.arrivals_s.append(self._clock.now())

    def _joy(self, message: Joy) -> None:
        sample = from_joy(message)
        if sample.takeover and not self._taken:
            self.takeovers_s.append(sample.heartbeat_s)
        self._taken = sample.takeover


def run(robot: RosRobot, watcher: Watcher, seconds: float) -> dict[str, list[float]]:
    """Command at 10 Hz; what was measured, ms."""
    clock, ages, asked, rng = robot.clock, [], {}, np.random.default_rng(0)
    pose, due_s = robot.observe().executed.target, robot.clock.now()
    until_s, count = due_s + seconds, 0
    while clock.now() < until_s:
        observation = robot.observe()
        ages += [1000 * (observation.stamp_s - frame.stamp_s) for frame in observation.frames.values()]
        count += 1
        target = pose._replace(position_m=(*pose.position_m[:2], pose.position_m[2] + 1e-4 * (count % 50)))
        if observation.executed.mode >= GuardMode.HOLD:
            robot.ask("resume")
        asked[target] = clock.now()
        robot.command(ArmCommand(target))
        due_s += (1.0 + 0.1 * rng.random()) / HZ  # At any moment of the guard's period and of the cameras'.
        clock.sleep_until(due_s)
    obeyed, log = [], None
    for tick in watcher.ticks:
        if log is not None and tick.executed.target != log.newest.target and tick.executed.target in asked:
            delay = 1000 * (tick.executed.stamp_s - asked[tick.executed.target])
            if tick.executed.source is Source.POLICY and 0.0 <= delay < 1000.0 / HZ:
                obeyed.append(delay)
        log = StepLog(tick.executed)
    taken = [
        1000 * (next(t.executed.stamp_s for t in watcher.ticks if t.executed.stamp_s >= at and _human(t)) - at)
        for at in watcher.takeovers_s[:-1]
    ]
    heard = [1000 * (at - t.executed.stamp_s) for at, t in zip(watcher.arrivals_s, watcher.ticks, strict=True)]
    return {
        "frame age when observed": ages,
        "command to tick": obeyed,
        "takeover to tick": taken,
        "tick to actor": heard,
    }


def _human(tick: Tick) -> bool:
    return tick.executed.source is Source.HUMAN


def main(seconds: float = 60.0, out: Path | None = None) -> None:
    """Measure for ``seconds``; print p50, p99 and the worst, and write them to ``out``."""
    cell = MeasuredCell(cameras=CAMERAS)
    try:
        robot = RosRobot(load_cell("twin"), CAMERAS, name="watcher")
        while "engage" in robot.status.get("reason", "engage") or robot.status["mode"] == "DISARMED":
            try:
                robot.ask("engage")
                break
            except RuntimeError:
                robot.clock.sleep_until(robot.clock.now() + 0.2)
        watcher = Watcher(robot)
        before = robot.images_seen()
        measured = run(robot, watcher, seconds)
        after = robot.images_seen()
        robot.close()
    finally:
        cell.close(keep=True)
    quantiles = {"p50": 50, "p99": 99, "max": 100}
    rows = {
        name: {key: float(np.percentile(values, q)) for key, q in quantiles.items()}
        for name, values in measured.items()
    }
    rows["guard"] = json.loads(cell.words("arm").rpartition("ticks, ms: ")[2])
    came = {name: np.subtract(after[name], before[name]) for name in CAMERAS}
    rows["delivered"] = {name: 100 * seen / taken for name, (seen, taken) in came.items()}
    span = watcher.ticks[-1].executed.stamp_s - watcher.ticks[0].executed.stamp_s
    rows["delivered"]["ticks"] = 100 * (len(watcher.ticks) - 1) / (100.0 * span)
    rows["machine"] = {"cores": os.cpu_count(), "load": os.getloadavg()[0]}
    for name, row in rows.items():
        print(f"{name:<26}" + "  ".join(f"{key} {value:.2f}" for key, value in row.items()))
    if out is not None:
        out.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    tyro.cli(main)
