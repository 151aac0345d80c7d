"""What people showed: their steps of an episode, each with the actions that followed, as tensors to learn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hardware.interfaces import Source
from robot_rl.image_encoder import random_shift
from robot_rl.types import ARM, Episode, moves


@dataclass(frozen=True)
class Shown:
    """``n`` steps that people drove, each with the actions that followed it."""

    observation: dict[str, Tensor]
    """Entries (n, ...)."""
    action: Tensor
    """Executed actions from the step on, float32 (n, horizon, action_dim)."""
    valid: Tensor
    """bool (n, horizon): the person still drove, and the episode still ran. Elsewhere the action is 0."""

    def __len__(self) -> int:
        return len(self.action)

    def rows(self, rows: Tensor) -> Shown:
        """The steps ``rows`` (int64, (m,))."""
        picked = {name: values[rows] for name, values in self.observation.items()}
        return Shown(picked, self.action[rows], self.valid[rows])

    def tensors(self) -> dict[str, Tensor]:
        """Everything by name, for a checkpoint; :meth:`of` is the inverse."""
        return {"action": self.action, "valid": self.valid} | {f"see.{k}": v for k, v in self.observation.items()}

    @staticmethod
    def of(tensors: Mapping[str, Tensor]) -> Shown:
        observation = {name[4:]: value for name, value in tensors.items() if name.startswith("see.")}
        return Shown(observation, tensors["action"], tensors["valid"])

    @staticmethod
    def concatenate(parts: Sequence[Shown]) -> Shown:
        """All steps of ``parts``, in order."""
        observation = {name: torch.cat([part.observation[name] for part in parts]) for name in parts[0].observation}
        action, valid = torch.cat([part.action for part in parts]), torch.cat([part.valid for part in parts])
        return Shown(observation, action, valid)

    def augmented(self, noise: float, std: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """The observations with Gaussian noise of ``noise`` × ``std`` on the state, and images shifted at random."""
        moved = {k: random_shift(v, generator) for k, v in self.observation.items() if v.dtype == torch.uint8}
        state = self.observation["state"]
        return moved | {"state": state + noise * torch.randn(state.shape, generator=generator) * std}


def shown_in(episodes: Sequence[Episode], horizon: int = 1, cameras: Sequence[str] = ()) -> list[Shown]:
    """What people showed in each episode that they drove in: the state, and the images of ``cameras``. A chunk never
    crosses the end of a correction or of an episode. Raises ValueError where no person drove at all."""
    found = [part for episode in episodes if (part := _shown_in(episode, horizon, ("state", *cameras))) is not None]
    if not found:
        raise ValueError("these episodes hold no step that a person drove: record demonstrations first")
    return found


def _shown_in(episode: Episode, horizon: int, entries: Sequence[str]) -> Shown | None:
    human = shows(episode)
    starts = np.flatnonzero(human)
    if not len(starts):
        return None
    action = np.zeros((len(starts), horizon, len(episode.steps[0].executed_action)), np.float32)
    valid = np.zeros((len(starts), horizon), bool)
    for row, start in enumerate(starts):
        ahead = human[start : start + horizon]
        count = len(ahead) if ahead.all() else int(ahead.argmin())
        action[row, :count] = [step.executed_action for step in episode.steps[start : start + count]]
        valid[row, :count] = True
    observations = [episode.steps[start].observation for start in starts]
    stacked = {name: torch.from_numpy(np.stack([o[name] for o in observations])) for name in entries}
    return Shown(stacked, torch.from_numpy(action), torch.from_numpy(valid))


def shows(episode: Episode) -> np.ndarray:
    """bool (steps,): a person drove, and not only since their hand's rest before it let go had not lasted long enough
    (:func:`~robot_rl.types.moves`)."""
    human = np.array([step.source in (Source.HUMAN, Source.DEMO) for step in episode.steps], bool)
    action = np.array([step.executed_action for step in episode.steps])
    changed = (np.diff(action[:, ARM:], axis=0, prepend=action[:1, ARM:]) != 0.0).any(axis=1)
    resting, let_go = ~(moves(action) | changed), False
    for i in reversed(range(len(human))):
        let_go = not human[i] or (let_go and bool(resting[i]))
        human[i] &= not let_go
    return human


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of ``values`` where ``mask``, which has their shape or lacks the last dimension."""
    mask = mask if mask.dim() == values.dim() else mask[..., None].expand_as(values)
    return (values * mask).sum() / mask.sum().clamp(min=1)
