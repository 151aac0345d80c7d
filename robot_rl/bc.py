"""Behaviour cloning: the choice among architectures, and the training of any of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from robot_rl.act import ActPolicy
from robot_rl.cloned_policy import ClonedPolicy, Stage
from robot_rl.cloning_config import CloningConfig
from robot_rl.fitting import fit
from robot_rl.flow import FlowPolicy
from robot_rl.perceptrons import EnsemblePolicy, MlpPolicy, PerceptronPolicy
from robot_rl.shown import Shown, shown_in
from robot_rl.types import Episode

ARCHITECTURES: dict[str, type[ClonedPolicy]] = {
    "mlp": MlpPolicy,
    "ensemble": EnsemblePolicy,
    "act": ActPolicy,
    "flow": FlowPolicy,
}


def make_cloned_policy(
    config: CloningConfig, state_dim: int, action_dim: int, gripper_index: int | None = None, seed: int = 0
) -> ClonedPolicy:
    """An untrained policy of ``config.arch``. ``seed`` is that of its weights, and no other generator is touched.
    Raises ValueError for an unknown architecture, and for one that cannot do what ``config`` asks."""
    if config.arch not in ARCHITECTURES:
        raise ValueError(f"no architecture '{config.arch}' to clone into: there are {', '.join(ARCHITECTURES)}")
    if config.feel and not issubclass(ARCHITECTURES[config.arch], PerceptronPolicy):
        raise ValueError(f"--cloning.feel is {config.feel}, but chunks of '{config.arch}' do not feel around: give 0")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ARCHITECTURES[config.arch](config, state_dim, action_dim, gripper_index)


def shown_by_person(episodes: Sequence[Episode]) -> tuple[np.ndarray, np.ndarray]:
    """States (n, state_dim) and executed actions (n, action_dim) of all steps that a person drove."""
    shown = Shown.concatenate(shown_in(episodes))
    return shown.observation["state"].numpy(), shown.action[:, 0].numpy()


def train_cloned_policy(
    policy: ClonedPolicy, shown: Sequence[Shown], seed: int, steps: int | None = None
) -> dict[str, float]:
    """Fit ``policy`` in place to what people showed, one part an episode (:meth:`ClonedPolicy.shown_in`), keep the
    weights of the lowest validation loss, and return the losses. Deterministic by ``seed``; ``steps`` overrides the
    lengths in the policy's settings. Validation holds out whole episodes, so neighbouring steps cannot leak."""
    config = policy.config
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    order = rng.permutation(len(shown))
    held_out = min(max(1, round(config.validation_fraction * len(shown))), len(shown) - 1)
    train = Shown.concatenate([shown[i] for i in order[held_out:]])
    valid = Shown.concatenate([shown[i] for i in order[:held_out]]) if held_out else train
    policy.fit_normalizers(train)
    losses: dict[str, float] = {}
    for stage in policy.stages():

        def loss(rows: Tensor, stage: Stage = stage) -> Tensor:
            batch = train.rows(rows)
            return stage.loss(batch.augmented(config.noise, policy.normalize.std, generator), batch, generator)

        validation = partial(stage.validation_loss, valid)
        found = fit(policy, loss, validation, len(train), config, steps or stage.steps, rng, stage.parameters)
        losses |= {stage.prefix + name: value for name, value in found.items()}
    return losses
