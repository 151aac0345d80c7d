"""The actor: steps an environment over the cell's topics for a learner at the other end of a link
(:mod:`robot_rl.actor`), which is another process and may be gone.

The operator starts, stops and labels episodes by services (:data:`robot_rl_nodes.topics.EPISODE_SERVICES`).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from robot_rl.actor import act
from robot_rl.command import Command
from robot_rl.keys import actor_keys, default_endpoint
from robot_rl.rollout import EnvSpec
from robot_rl.stopping import Stopping
from robot_rl_nodes.operator_desk import OperatorDesk
from robot_rl_nodes.parameters import declare, parameter
from robot_rl_nodes.ros import Spinning, run_node


@dataclass(frozen=True)
class ActorParameters:
    """What the node is started with."""

    cell: str = parameter("twin", "cell by name, or the path of its .toml file")
    folder: str = parameter("", "where the processes of the cell meet; the cell's own by default")
    task: str = parameter("", "a real cell's task, a .toml file; by default the twin's that runs")
    env: str = parameter("robot_rl_nodes.envs:Cell-v0", "gymnasium id of the environment over the topics")
    env_kwargs: str = parameter("{}", "further keyword arguments of the environment, as a JSON object")
    endpoint: str = parameter("", "where the learner listens; by default this machine's own")
    keys: str = parameter("", "folder with this actor's key pair and the learner's public key")
    key_name: str = parameter("actor", "name of this actor's key pair in that folder")
    actor: int = parameter(0, "number of this actor, where several feed one learner", 0, 1_000)
    out: str = parameter("runs/ros", "folder for episodes and for steps that the learner does not have yet")
    seed: int = parameter(0, "seed of everything random", 0, 2**31 - 1)
    wait_for_start: bool = parameter(False, "each episode begins when the operator calls episode/start")


def run(node: Any, stop: Event) -> None:
    """Act until the learner has enough, or SIGTERM or SIGINT."""
    given = declare(node, ActorParameters)
    with Stopping() as stopping:
        stopping.asked = stop.is_set()
        keys = actor_keys(Path(given.keys), given.key_name) if given.keys else None
        desk, say = OperatorDesk(node, given.wait_for_start, stopping), node.get_logger().info
        own = {"cell": given.cell, "folder": given.folder} | ({"task": given.task} if given.task else {})
        spec, spinning = EnvSpec(given.env, own | Command(env_kwargs=given.env_kwargs).further), Spinning(node)
        try:
            env = spec.make()
            env.task = desk.over(env.task)  # type: ignore[arg-type]
            endpoint, whose = given.endpoint or default_endpoint(), {"seed": given.seed, "actor": given.actor}
            done = act(Path(given.out), env, spec, endpoint, stopping, keys, say=say, **whose)
            say("  ".join(f"{key} {value}" for key, value in done.items()))
        except KeyboardInterrupt:
            say("stopped while waiting for the operator")
        finally:
            spinning.close()


def main() -> int:
    return run_node("actor", run)


if __name__ == "__main__":
    sys.exit(main())
