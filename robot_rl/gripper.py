"""The discrete gripper: double DQN over {close, hold, open} (HIL-SERL, arXiv 2410.21845, sec. III-D).

In an action the gripper's entry is the *target it leaves*: -1 closed, +1 open. Holding therefore repeats the entry of
the previous action, which the observation carries; closing what is closed is the same as holding, and is masked so that
its value, which no data would ever correct, is never taken.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from robot_rl.networks import CriticEnsemble

CLOSE, HOLD, OPEN = 0, 1, 2


@dataclass(frozen=True)
class GripperSpace:
    """Where the observation says how the gripper is commanded now."""

    state_index: int

    def commanded(self, state: Tensor) -> Tensor:
        """The gripper target before the step: -1, 0 (none yet) or +1, (n,)."""
        return state[:, self.state_index].round()

    def choice(self, state: Tensor, target: Tensor) -> Tensor:
        """Which of close, hold, open leads to ``target`` (n,) from ``state``: int64 (n,)."""
        changed = target.round() != self.commanded(state)
        return torch.where(changed, torch.where(target > 0, OPEN, CLOSE), HOLD)

    def target(self, state: Tensor, choice: Tensor) -> Tensor:
        """Inverse of :meth:`choice`: float (n,)."""
        return torch.where(choice == HOLD, self.commanded(state), choice.to(state.dtype) - 1.0)

    def forbidden(self, state: Tensor) -> Tensor:
        """bool (n, 3): choices that would repeat what is already commanded."""
        commanded = self.commanded(state)
        no = torch.zeros_like(commanded, dtype=torch.bool)
        return torch.stack([commanded < 0, no, commanded > 0], dim=-1)


class GripperCritic(nn.Module):
    """Two Q-functions over the three choices, with their targets."""

    def __init__(self, inputs: int, space: GripperSpace, width: int, depth: int):
        super().__init__()
        self.space = space
        self.online = CriticEnsemble(inputs, outputs=3, heads=2, width=width, depth=depth)
        self.target = copy.deepcopy(self.online).requires_grad_(False)

    @torch.no_grad()
    def act(self, state: Tensor) -> Tensor:
        """The greedy gripper target, (n,)."""
        value = self.online(state).mean(0).masked_fill(self.space.forbidden(state), -torch.inf)
        return self.space.target(state, value.argmax(-1))

    def loss(
        self, state: Tensor, action: Tensor, reward: Tensor, discount: Tensor, next_state: Tensor, change_penalty: float
    ) -> Tensor:
        """Double DQN (arXiv 1509.06461): the online heads choose, the target heads value. The penalty on a change
        counts in this critic alone, and on every update."""
        choice = self.space.choice(state, action[:, -1])
        with torch.no_grad():
            best = self.online(next_state).mean(0).masked_fill(self.space.forbidden(next_state), -torch.inf).argmax(-1)
            value = self.target(next_state).min(0).values.gather(-1, best[:, None])[:, 0]
            wanted = reward + change_penalty * (choice != HOLD) + discount * value
        q = self.online(state).gather(-1, choice.expand(2, -1)[..., None])[..., 0]
        return ((q - wanted) ** 2).mean()
