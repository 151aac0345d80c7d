"""What the arm does when the learner dies or freezes (S22): the twin's nodes over ROS 2, an actor that trains `reach`.

Part of ``python -m benchmarks.ros_faults``. The actor should act on with the weights it has: judged by the commands and
ticks on the topics, and by the steps that the learner has in the end.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from sensor_msgs.msg import JointState

from hardware.cell import load_cell
from hardware.interfaces import GuardMode
from robot_rl.demonstrations import collect_demos
from robot_rl.env import FAILURES
from robot_rl.episodes import EpisodeStore, read_episode
from robot_rl.metrics import METRICS_FILE, read_metrics
from robot_rl.rollout import EnvSpec
from robot_rl_nodes import topics
from robot_rl_nodes.conversions import from_proposal, from_tick
from robot_rl_nodes.node_table import ACTOR, LEARNER, NodeSpec, ProcessSpec, learning
from robot_rl_nodes.ros import qos
from robot_rl_nodes.ros_robot import RosRobot
from tests.ros.ros_cell import RosCell

WINDOW_S, PATIENCE_S = 10.0, 240.0
FAULTS = {
    "kill -9 learner": signal.SIGKILL,
    f"freeze learner for {WINDOW_S:g} s": signal.SIGSTOP,
}
DEMOS, STEPS = 10, 100_000


class LearningCell(RosCell):
    """The twin's nodes, a learner that works on `reach`, and its actor."""

    def changed(self, nodes: list[NodeSpec]) -> Sequence[ProcessSpec]:
        demos = self.folder / "demos"
        collect_demos(demos, EnvSpec("sim:Reach-v0", {"person": "expert", "takeover": "always"}), DEMOS, seed=0)
        where = {"demos": str(demos), "out": str(self.run), "endpoint": f"ipc://{self.folder}/learner"}
        return [*nodes, *learning("twin", self.folder, env_steps=STEPS, **where)]

    @property
    def run(self) -> Path:
        return self.folder / "run"

    def rows(self) -> list[dict[str, float]]:
        """What the learner has reported."""
        return read_metrics(self.run / METRICS_FILE) if (self.run / METRICS_FILE).exists() else []

    def starts(self) -> int:
        """How often the learner has come to serve."""
        return self.words(LEARNER).count("learning; actors come to")

    def wait_for(self, happened: Callable[[], bool], what: str) -> float:
        """How long it took, s."""
        began = time.monotonic()
        while not happened():
            if time.monotonic() - began > PATIENCE_S:
                raise TimeoutError(f"{what} did not happen in {PATIENCE_S:g} s: {self.folder / 'logs'} may say why")
            time.sleep(0.05)
        return time.monotonic() - began


@dataclass
class Listener:
    """Hears every command and every tick in the operator's process."""

    robot: RosRobot
    commands: list[tuple[float, int]] = field(default_factory=list)
    """When each came, and its session: an episode's, a reset begins another."""
    held: list[tuple[float, str]] = field(default_factory=list)
    """When the guard held, and why, other than by the motion's own doing."""

    def __post_init__(self) -> None:
        node = self.robot.node
        node.create_subscription(JointState, topics.COMMAND.name, self._command, qos(topics.COMMAND))
        node.create_subscription(JointState, topics.TICK.name, self._tick, qos(topics.TICK))

    def _command(self, message: JointState) -> None:
        self.commands.append((time.monotonic(), from_proposal(message).command.session))

    def _tick(self, message: JointState) -> None:
        executed = from_tick(message).executed
        if executed.mode in (GuardMode.HOLD, GuardMode.FAULT) and not executed.reason.startswith(FAILURES):
            self.held.append((time.monotonic(), executed.reason.partition(" (over")[0]))

    def between(self, since_s: float, until_s: float) -> dict[str, Any]:
        """Commands a second, the longest pause between two of an episode, and why the guard held."""
        here = [(at, session) for at, session in self.commands if since_s <= at < until_s]
        pauses = [b - a for (a, one), (b, other) in pairwise(here) if one == other]
        reasons = {reason for at, reason in self.held if since_s <= at < until_s}
        return {
            "commands": len(here),
            "longest_pause_s": max(pauses, default=float("inf")),
            "held_by": " / ".join(sorted(reasons)) or "nobody",
        }


def strike(cell: LearningCell, listener: Listener, name: str) -> dict[str, Any]:
    """Once: what the actor and the guard did in the time before, in the fault, and until the learner is back: a killed
    one once it serves, a frozen one once it reports."""
    began = time.monotonic()
    time.sleep(WINDOW_S)
    struck, killed = time.monotonic(), FAULTS[name] is signal.SIGKILL
    signs = cell.starts if killed else lambda: len(cell.rows())
    cell.supervisor.processes[LEARNER].send_signal(FAULTS[name])
    if not killed:
        time.sleep(WINDOW_S)
        cell.supervisor.processes[LEARNER].send_signal(signal.SIGCONT)
    seen = signs()
    back_s = cell.wait_for(lambda: signs() != seen, "the learner's return")
    time.sleep(max(0.0, struck + WINDOW_S - time.monotonic()))
    after = listener.between(struck, time.monotonic())
    before = {f"before_{key}": value for key, value in listener.between(began, struck).items()}
    print(f"{name}: {after}; back after {back_s:.1f} s", file=sys.stderr, flush=True)
    return {"fault": name, **after, **before, "seconds": time.monotonic() - struck, "back_s": back_s}


def lost_steps(cell: LearningCell) -> tuple[int, int]:
    """Of the steps in the actor's files, how many the learner lacks in the end, and how many there are. It may have one
    more: the last of the episode under way is whole in no file."""
    for name in (ACTOR, LEARNER):  # The actor first: it delivers what it still has.
        cell.supervisor.processes[name].send_signal(signal.SIGTERM)
        cell.supervisor.processes[name].wait(PATIENCE_S)
    store = EpisodeStore(cell.run / "episodes")
    taken = sum(len(read_episode(cell.run / "episodes" / row.path).steps) for row in store.list())
    store.close()
    return max(0, taken - json.loads((cell.run / "policy" / "policy.json").read_text())["step"]), taken


def measure(repeats: int, only: str = "") -> dict[str, Any]:
    """Each fault ``repeats`` times, once the learner updates."""
    names = [name for name in FAULTS if only in name]
    if not names:
        return {}
    cell = LearningCell()
    try:
        robot = RosRobot(load_cell("twin"), name="listener")
        listener = Listener(robot)
        cell.wait_for(lambda: bool(cell.rows()) and cell.rows()[-1]["updates"] > 0, "an update")
        events = [strike(cell, listener, name) for name in names for _ in range(repeats)]
        robot.close()
        cell.stop_watching()
        lost, taken = lost_steps(cell)
    finally:
        cell.close(keep=True)
    for name in names:
        of = [event for event in events if event["fault"] == name]
        pauses = [max(event[f"{when}longest_pause_s"] for event in of) for when in ("before_", "")]
        print(
            f"{name:<32} × {len(of)}  longest pause between commands {pauses[0]:.3f} s before, {pauses[1]:.3f} s in it"
            f"  held by {' / '.join(sorted({event['held_by'] for event in of}))}  "
            f"→ learner back after at most {max(event['back_s'] for event in of):.1f} s"
        )
    print(f"{taken} steps taken, {lost} lost to the learner")
    return {"events": events, "steps": taken, "lost": lost}
