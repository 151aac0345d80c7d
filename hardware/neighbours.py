"""Arms that share a cell (S30): each has a guard of its own, which sees where the others are and whether they hold.

The guards tick one after another, so that each judges by what the others have already decided. While one holds for a
reason of its own the others hold too; the operator resumes that one first. Where several have reasons of their own, the
first of them holds the others, and the next once that one is resumed: else each would wait for another for ever.

Guards in several processes would judge by what the others were doing a message ago: for those this file is not enough.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardware.checks import CHECKS, OTHER_ARM_HOLDS
from hardware.clearance import advanced, rests
from hardware.guard_state import GuardSettings, GuardState
from hardware.interfaces import ArmState, GuardMode, Pose
from hardware.posture import Presence
from hardware.reference import orientation

if TYPE_CHECKING:
    from hardware.guard import Guard


def join(*guards: Guard) -> None:
    """Make the guards of one cell's arms neighbours of one another, before the first of them engages."""
    for guard in guards:
        guard.neighbours = tuple(other for other in guards if other is not guard)


def presence(settings: GuardSettings, state: GuardState, arm: ArmState) -> Presence:
    """What the neighbours of an arm must know of it: where it is, where it would come to rest, whether it holds."""
    body = settings.whole_arm.body
    rest = arm.T_base_ee
    if state.mode is not GuardMode.DISARMED:
        position, turn = rests(settings, advanced(settings, state))
        rest = Pose(position, orientation(turn, state.anchor))
    view = body.view(arm.joint_positions_rad, arm.T_base_ee)
    return body.presence(view, body.posture(view, rest))._replace(holds=_holds(state))


def _holds(state: GuardState) -> bool:
    """Whether this stop is one that the neighbours have to answer: not if it answers theirs, nor while theirs stand."""
    over = {check.limit for check, since_s in zip(CHECKS, state.since_s, strict=False) if since_s is not None}
    answers = state.reason.startswith(f"{OTHER_ARM_HOLDS}:") and not over - {OTHER_ARM_HOLDS}
    return state.mode >= GuardMode.HOLD and not answers and OTHER_ARM_HOLDS not in over
