"""Supervised training: AdamW along a cosine, best weights by a validation loss, early stopping, exact resume."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from robot_rl.checkpoint import LATEST, Tensors, load_checkpoint, restore_rng, rng_state, save_checkpoint


@dataclass(frozen=True)
class FitConfig:
    """How long and how fast."""

    steps: int
    """Gradient steps at most; the learning rate reaches zero there."""
    batch_size: int
    """Samples a gradient step."""
    learning_rate: float
    """AdamW's at the start."""
    weight_decay: float = 1e-4
    """AdamW's."""
    patience: int = 1_500
    """Gradient steps without a lower validation loss after which training stops."""
    validate_every: int = 100
    """Gradient steps between validations."""
    checkpoint_every: int = 1_000
    """Gradient steps between checkpoints, where a folder for them is given."""


class Fit:
    """One training of ``module``'s ``parameters`` (all of them by default).

    ``loss(rows, generator)`` is the loss of the samples ``rows`` (int64, (batch,)), drawn uniformly from ``samples``;
    ``validation()`` must not draw from any generator that training uses. With ``folder`` the training is written there
    as checkpoints and goes on from the newest one, bit for bit as if it had not been interrupted.
    """

    def __init__(
        self,
        module: nn.Module,
        loss: Callable[[Tensor, torch.Generator], Tensor],
        validation: Callable[[], float],
        samples: int,
        config: FitConfig,
        seed: int,
        folder: Path | None = None,
        parameters: Sequence[nn.Parameter] | None = None,
    ):
        self.module, self.loss, self.validation, self.samples = module, loss, validation, samples
        self.config, self.seed, self.folder = config, seed, folder
        self.rng, self.generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
        chosen = list(module.parameters()) if parameters is None else list(parameters)
        self.optimizer = torch.optim.AdamW(chosen, config.learning_rate, weight_decay=config.weight_decay, fused=True)
        self.step, self.best_step, self.best, self.train_loss = 0, 0, math.inf, 0.0
        self.best_weights = copy.deepcopy(module.state_dict())

    def run(self, until: int | None = None) -> dict[str, float]:
        """Train to the end (or to step ``until``, leaving a checkpoint), keep the best weights; the losses."""
        config = self.config
        if self.folder is not None and (self.folder / LATEST).exists():
            self._resume(self.folder)
        last = config.steps if until is None else min(until, config.steps)
        while self.step < last and not self.exhausted:
            self._descend()
            if self.step % config.validate_every == 0 or self.step == config.steps:
                self._validate()
            if self.folder is not None and (self.step % config.checkpoint_every == 0 or self.step == last):
                self._save(self.folder)
        if self.step == config.steps or self.exhausted:
            self.module.load_state_dict(self.best_weights)
        return {
            "train_loss": self.train_loss,
            "validation_loss": self.best,
            "best_step": float(self.best_step),
            "steps": float(self.step),
        }

    @property
    def exhausted(self) -> bool:
        """Whether the validation loss has not fallen for too long."""
        return self.step - self.best_step >= self.config.patience

    def _descend(self) -> None:
        rate = 0.5 * self.config.learning_rate * (1.0 + math.cos(math.pi * self.step / self.config.steps))
        self.optimizer.param_groups[0]["lr"] = rate
        rows = torch.from_numpy(self.rng.integers(0, self.samples, self.config.batch_size))
        loss = self.loss(rows, self.generator)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.step += 1
        self._newest_loss = loss.detach()

    def _validate(self) -> None:
        self.train_loss = float(self._newest_loss)
        self.module.eval()
        with torch.no_grad():
            error = self.validation()
        self.module.train()
        if error < self.best:
            self.best, self.best_step = error, self.step
            self.best_weights = copy.deepcopy(self.module.state_dict())

    def _save(self, folder: Path) -> None:
        state = self.optimizer.state_dict()["state"]
        tensors: dict[str, dict[str, Any]] = {
            "module": self.module.state_dict(),
            "best": self.best_weights,
            "optimizer": {f"{i}.{key}": value for i, entry in state.items() for key, value in entry.items()},
        }
        metadata = {
            "step": self.step,
            "best_step": self.best_step,
            "best": None if math.isinf(self.best) else self.best,
            "train_loss": self.train_loss,
            "rng": rng_state({"numpy": self.rng, "torch": self.generator}),
            "fit": vars(self.config) | {"seed": self.seed, "samples": self.samples},
        }
        save_checkpoint(folder, tensors, metadata, keep=2)

    def _resume(self, folder: Path) -> None:
        tensors, metadata = load_checkpoint(folder)
        mine = vars(self.config) | {"seed": self.seed, "samples": self.samples}
        if metadata["fit"] != mine:
            differing = next(k for k in mine if metadata["fit"].get(k) != mine[k])
            raise ValueError(
                f"the training in '{folder}' was begun with {differing} {metadata['fit'].get(differing)}, not "
                f"{mine[differing]}: give another folder, or the same options and demonstrations"
            )
        self.module.load_state_dict(tensors["module"])
        self.best_weights = tensors["best"]
        self._load_optimizer(tensors)
        self.step, self.best_step, self.train_loss = metadata["step"], metadata["best_step"], metadata["train_loss"]
        self.best = math.inf if metadata["best"] is None else metadata["best"]
        restore_rng(metadata["rng"], {"numpy": self.rng, "torch": self.generator})

    def _load_optimizer(self, tensors: Tensors) -> None:
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors["optimizer"].items():
            index, _, entry = key.partition(".")
            state.setdefault(int(index), {})[entry] = value
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state})
