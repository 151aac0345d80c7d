"""A policy that reaches, learned in seconds, for tests of whatever acts with policies."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from hardware.interfaces import Source
from robot_rl.bc import train_cloned_policy
from robot_rl.config import CloningConfig
from robot_rl.env import RobotEnv
from robot_rl.evaluate import BlindPolicy
from robot_rl.foreign import ForeignEnv
from robot_rl.perceptrons import MlpPolicy
from robot_rl.policy import Interface, save_policy
from robot_rl.rollout import DEMO_SEEDS, EnvSpec, Rollout

REACH = EnvSpec("sim:Reach-v0")


class Wobbling(BlindPolicy):
    """The blind script with an unsteady hand; what it meant to do is kept, as the label of where it strayed to."""

    def __init__(self, env: RobotEnv | ForeignEnv):
        super().__init__(env)
        self.meant: list[np.ndarray] = []
        self.rng = np.random.default_rng(0)

    def act(self, observation: object, deterministic: bool = True) -> np.ndarray:
        self.meant.append(super().act(observation))
        return self.meant[-1] + self.rng.normal(0.0, 0.6, 6).astype(np.float32)


def save_clone(folder: Path) -> MlpPolicy:
    """A clone of the blind script that arrives mostly; into ``folder`` too."""
    env = REACH.make()
    wobbling = Wobbling(env)
    episodes = list(Rollout(env, REACH, "show", 0, DEMO_SEEDS).episodes(wobbling, 12, label=Source.DEMO))
    meant = iter(wobbling.meant)
    for episode in episodes:
        episode.steps = [replace(step, executed_action=next(meant)) for step in episode.steps]
    interface = Interface.of(env)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = CloningConfig(width=64, depth=2, batch_size=128, steps=600)
        policy = MlpPolicy(config, interface.state_dim, interface.action_dim, interface.gripper_index)
    train_cloned_policy(policy, policy.shown_in(episodes), 0)
    save_policy(folder, policy, interface)
    return policy
