"""Feeling around: what a hand does that presses on something and cannot see what is under it."""

from __future__ import annotations

from math import cos, pi, sin
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from robot_rl.observation import AXES, FORCE_SCALE_N, GROUPS, PRESSES_N

if TYPE_CHECKING:
    from robot_rl.rollout import EnvSpec

PRESSED = GROUPS.index("wrench") * len(AXES) + AXES.index("z")
"""Where an observation's state has the force along the vertical, upwards."""
TURN_STEPS, GROWTH_STEPS = 21, 30
"""One turn of the circle, and how long it grows: 2.1 and 3 s at 10 Hz."""


class Feeling:
    """A circle across the approach, added to a policy's motion while the hand presses.

    People feel around like that, and no clone of one observation does: where in the circle they were is not in what it
    sees, and the mean of a circle is standing still. What is learned over such a base learns where to circle.
    """

    def __init__(self, share: float):
        """``share`` of a full step is the circle's speed once grown, 0 none. Raises ValueError outside 0 to 1."""
        if not 0.0 <= share <= 1.0:
            raise ValueError(f"--cloning.feel is {share}: give a share of a full step, 0 to 1")
        self.share = share
        self.reset()

    def reset(self) -> None:
        """Begin anew with the next touch."""
        self._steps = 0

    def added_to(self, arm: Tensor, state: Tensor) -> Tensor:
        """Arm action (arm_dim,) at ``state`` → the same with what feels around, in [-1, 1]."""
        if self.share == 0.0 or float(state[PRESSED]) <= PRESSES_N / FORCE_SCALE_N:
            return arm
        self._steps += 1
        angle = 2.0 * pi * self._steps / TURN_STEPS
        speed = self.share * min(1.0, self._steps / GROWTH_STEPS)
        circle = torch.zeros_like(arm)
        circle[0], circle[1] = speed * cos(angle), speed * sin(angle)
        return (arm + circle).clamp(-1.0, 1.0)


def require_wrench(share: float, spec: EnvSpec, foreign: bool) -> None:
    """Raises ValueError where something is to be felt that an environment of ``spec`` does not tell."""
    if not share:
        return
    if foreign:
        raise ValueError(f"--cloning.feel is {share}, but another project's environment tells no wrench: give 0")
    if spec.kwargs.get("frame") == "end_effector":
        raise ValueError(
            f"--cloning.feel is {share}, but frame 'end_effector' does not tell what presses upwards: "
            "give 0, or frame 'task' or 'base'"
        )
