"""What a training run over topics begins with, while the learner works in the actor's own process."""

from __future__ import annotations

from dataclasses import replace

from robot_rl.config import TrainConfig
from robot_rl.rollout import EnvSpec
from robot_rl.types import Episode


def real_time(config: TrainConfig, env_steps: int, utd_ratio: int) -> TrainConfig:
    """``config`` for an environment that does not wait: updates must fit between two commands, or the guard holds (S2).
    Without a cloned base the first steps are random."""
    learner = replace(config.learner, utd_ratio=utd_ratio)
    collect = {"warmup": "random", "warmup_steps": 200, "critic_only_updates": 0}
    return replace(config, env_steps=env_steps, learner=learner, **collect)  # type: ignore[arg-type]


def demonstrations(path: str, spec: EnvSpec) -> list[Episode]:
    """Those recorded at ``path``, if any; raises ``ValueError`` where they do not fit the cell that runs."""
    from robot_rl.episodes import load_demos

    if not path:
        return []
    env = spec.make()
    try:
        return load_demos(path, env.task.spec.name, int(env.action_space.shape[0]))
    finally:
        env.close()
