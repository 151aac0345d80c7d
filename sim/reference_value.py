"""A person who knows from a critic that learned the task before when it is going wrong: RLIF's intervener (Luo et al.,
arXiv 2311.12996, sec. 5), as skilled in judging as the run that the critic is of."""

from __future__ import annotations

from pathlib import Path

from robot_rl.env import RobotEnv
from robot_rl.policy import load_policy
from robot_rl.rlpd import RLPD


class ReferenceValue:
    """What the critic of a finished run expects of the newest observation, would its own policy go on from there."""

    def __init__(self, folder: str) -> None:
        """Raises ValueError where there is no critic, or its policy cannot act by itself."""
        agent, self._interface = load_policy(Path(folder))
        if not isinstance(agent, RLPD) or agent.base is not None:
            raise ValueError(f"takeover 'value:{folder}' asks a critic: give a run of rlpd or hil_serl")
        self._agent, self._folder = agent, folder
        self._env: RobotEnv | None = None

    def watch(self, env: RobotEnv) -> None:
        """Judge what happens in ``env``. ValueError where that is another task, or is observed otherwise."""
        seen = env.observation_space["state"].shape
        if (env.task.spec.name, seen) != (self._interface.task, (self._interface.state_dim,)):
            raise ValueError(
                f"the critic of '{self._folder}' is of '{self._interface.task}' with {self._interface.state_dim} "
                f"observation entries, not of '{env.task.spec.name}' with {seen[0] if seen else 0}"
            )
        self._env = env

    def __call__(self) -> float:
        assert self._env is not None
        seen = self._env.seen
        return self._agent.value(seen, self._agent.act(seen, deterministic=True))
