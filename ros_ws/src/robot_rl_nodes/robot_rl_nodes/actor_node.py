"""The actor: an environment over the cell's topics, a policy, and, until it has a process of its own, the learner.

The operator starts, stops and labels episodes by services (:data:`robot_rl_nodes.topics.EPISODE_SERVICES`).
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from robot_rl_nodes.operator_desk import OperatorDesk
from robot_rl_nodes.parameters import declare, parameter
from robot_rl_nodes.ros import Spinning, run_node


@dataclass(frozen=True)
class ActorParameters:
    """What the node is started with."""

    cell: str = parameter("twin", "cell by name, or the path of its .toml file")
    folder: str = parameter("", "where the processes of the cell meet; the cell's own by default")
    env: str = parameter("robot_rl_nodes.envs:Cell-v0", "gymnasium id of the environment over the topics")
    preset: str = parameter("hil_serl", "what learns and how")
    env_steps: int = parameter(2_500, "steps to train for", 1, 10_000_000)
    demos: str = parameter("", "folder of recorded demonstrations")
    out: str = parameter("runs/ros", "folder of the run; one that was begun goes on")
    seed: int = parameter(0, "seed of everything random", 0, 2**31 - 1)
    utd_ratio: int = parameter(8, "updates a step; they share the step's time with the policy", 1, 64)
    wait_for_start: bool = parameter(False, "each episode begins when the operator calls episode/start")


def run(node: Any, stop: Event) -> None:
    """Train until done; SIGTERM and SIGINT leave a checkpoint, as Ctrl-C does everywhere."""
    from robot_rl.rollout import EnvSpec
    from robot_rl_nodes.run_plan import trainer

    given = declare(node, ActorParameters)
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, signal.default_int_handler)
    spec = EnvSpec(given.env, {"cell": given.cell, "folder": given.folder})
    desk = OperatorDesk(node, given.wait_for_start)
    spinning = Spinning(node)

    def progress(row: Mapping[str, float]) -> None:
        shown = {key: row[key] for key in ("env_steps", "success", "intervention_rate", "episodes")}
        node.get_logger().info("  ".join(f"{key} {value:.3g}" for key, value in shown.items()))

    try:
        numbers = (given.env_steps, given.utd_ratio, given.seed)
        training = trainer(Path(given.out), spec, given.preset, given.demos, *numbers, progress)
        training.env.task = desk.over(training.env.task)  # type: ignore[arg-type]
        training.run()
    except KeyboardInterrupt:
        node.get_logger().info(f"stopped; {given.out} goes on from its checkpoint")
    finally:
        spinning.close()


def main() -> int:
    return run_node("actor", run)


if __name__ == "__main__":
    sys.exit(main())
