"""What a training run over topics begins with, while the learner works in the actor's own process."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from robot_rl.demonstrations import clone_base
from robot_rl.episodes import load_demos
from robot_rl.learner import Progress
from robot_rl.policy import Interface
from robot_rl.presets import preset
from robot_rl.rollout import EnvSpec
from robot_rl.train import Trainer

WARMUP_STEPS = 200
"""A cell has no time to waste: the base collects as long as updates need something to begin with."""


def trainer(
    out: Path,
    spec: EnvSpec,
    preset_name: str,
    demos: str,
    env_steps: int,
    utd_ratio: int,
    seed: int,
    progress: Progress,
) -> Trainer:
    """Everything ready to run: demonstrations from the folder ``demos`` (if any) cloned into a base, the preset with
    updates that fit between two commands (while it updates the actor commands nothing, and the guard holds: S2). Raises
    ``ValueError`` for an unknown preset, and for demonstrations that do not fit the cell that runs."""
    config = preset(preset_name)
    learner = replace(config.learner, utd_ratio=utd_ratio)
    config = replace(config, env_steps=env_steps, learner=learner, warmup_steps=WARMUP_STEPS)
    config = replace(config, critic_only_updates=min(config.critic_only_updates, WARMUP_STEPS))
    if not demos:
        return Trainer(out, spec, replace(config, warmup="random"), seed=seed, progress=progress)
    env = spec.make()
    interface = Interface.of(env)
    env.close()
    shown = load_demos(demos, interface.task, interface.action_dim)
    base = clone_base(out / "base", spec, config.cloning, shown, seed) if config.method == "rl" else None
    return Trainer(out, spec, config, demos=shown, base=base, seed=seed, progress=progress)
