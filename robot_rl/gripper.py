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

from robot_rl.actor_heads.head import Context
from robot_rl.networks import CriticEnsemble
from robot_rl.shown import masked_mean

CLOSE, HOLD, OPEN = 0, 1, 2


@dataclass(frozen=True)
class GripperSpace:
    """Where the observation says how the gripper is commanded now."""

    state_index: int

    def commanded(self, state: Tensor) -> Tensor:
        """The gripper target before the step: -1, 0 (none yet) or +1, (n,)."""
        return state[:, self.state_index].round()

    def choice(self, state: Tensor, target: Tensor) -> Tensor:
        """Which of close, hold, open leads to ``target`` (n,) from ``state``: int64 (n,). A target of 0 holds."""
        wanted = target.round()
        changed = (wanted != self.commanded(state)) & (wanted != 0)
        return torch.where(changed, torch.where(wanted > 0, OPEN, CLOSE), HOLD)

    def target(self, state: Tensor, choice: Tensor) -> Tensor:
        """Inverse of :meth:`choice`: float (n,)."""
        return torch.where(choice == HOLD, self.commanded(state), choice.to(state.dtype) - 1.0)

    def forbidden(self, state: Tensor) -> Tensor:
        """bool (n, 3): choices that would repeat what is already commanded."""
        commanded = self.commanded(state)
        no = torch.zeros_like(commanded, dtype=torch.bool)
        return torch.stack([commanded < 0, no, commanded > 0], dim=-1)


class GripperCritic(nn.Module):
    """Two Q-functions over the three choices, with their targets.

    With ``base_bonus`` the critic follows a base policy: it sees the base's choice, begins without an opinion (a last
    layer of zeros) and departs from that choice only where another is worth more by the bonus. A bounded residual could
    never flip a binary gripper.
    """

    def __init__(
        self,
        inputs: int,
        space: GripperSpace,
        width: int,
        depth: int,
        base_bonus: float | None = None,
        margin: float = 0.0,
    ):
        super().__init__()
        self.space, self.base_bonus, self.margin = space, base_bonus, margin
        follows = base_bonus is not None
        self.online = CriticEnsemble(inputs + follows, outputs=3, heads=2, width=width, depth=depth)
        if follows:
            last = self.online.layers[-1]
            nn.init.zeros_(last.weight)  # type: ignore[arg-type]
            nn.init.zeros_(last.bias)  # type: ignore[arg-type]
        self.target = copy.deepcopy(self.online).requires_grad_(False)

    @torch.no_grad()
    def greedy(self, context: Context) -> Tensor:
        """The best choice, int64 (n,)."""
        state, value = context.features, self.online(self._inputs(context)).mean(0)
        if self.base_bonus is not None:
            base = self.space.choice(state, context.base_action[:, -1])
            value = value + self.base_bonus * nn.functional.one_hot(base, 3)
        return value.masked_fill(self.space.forbidden(state), -torch.inf).argmax(-1)

    def loss(
        self,
        context: Context,
        action: Tensor,
        reward: Tensor,
        discount: Tensor,
        following: Context,
        best: Tensor,
        change_penalty: float,
        shown: Tensor,
    ) -> Tensor:
        """Double DQN (arXiv 1509.06461): the online heads choose (``best``, of :meth:`greedy`), the target heads value.
        The penalty on a change counts in this critic alone, and on every update. With a margin, what a person chose
        (rows of ``shown``) is also to be worth more than the rest by that much (DQfD, arXiv 1704.03732, eq. 3)."""
        choice = self.space.choice(context.features, action[:, -1])
        with torch.no_grad():
            value = self.target(self._inputs(following)).min(0).values.gather(-1, best[:, None])[:, 0]
            wanted = reward + change_penalty * (choice != HOLD) + discount * value
        values = self.online(self._inputs(context))
        q = values.gather(-1, choice.expand(2, -1)[..., None])[..., 0]
        loss = ((q - wanted) ** 2).mean()
        return loss if self.margin == 0.0 else loss + self._margin_loss(context, values, q, choice, shown)

    def _margin_loss(self, context: Context, values: Tensor, q: Tensor, choice: Tensor, shown: Tensor) -> Tensor:
        """By how much any other choice falls short of being worth less, by the margin, than what a person chose."""
        rivals = values + self.margin * (1.0 - nn.functional.one_hot(choice, 3))
        best = rivals.masked_fill(self.space.forbidden(context.features), -torch.inf).amax(-1)
        return masked_mean((best - q).mean(0), shown)

    def _inputs(self, context: Context) -> Tensor:
        if self.base_bonus is None:
            return context.features
        return torch.cat([context.features, context.base_action[:, -1:]], dim=-1)
