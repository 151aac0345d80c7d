"""Whether an arm has come to rest where a reset wants it, and what to say where it has not."""

from __future__ import annotations

from math import hypot

from hardware.geometry import pose_distance
from hardware.interfaces import ArmState, Pose, ResetError, ResetPlan

STILL_M_S, STILL_RAD_S = 0.005, 0.05
"""What an arm at rest may still measure."""


def is_still(state: ArmState) -> bool:
    """At rest, as far as can be measured."""
    return hypot(*state.ee_twist[:3]) < STILL_M_S and hypot(*state.ee_twist[3:]) < STILL_RAD_S


def has_arrived(state: ArmState, goal: Pose, plan: ResetPlan) -> bool:
    """At ``goal``, within the tolerances of ``plan``."""
    metres, radians = pose_distance(state.T_base_ee, goal)
    return metres <= plan.position_tolerance_m and radians <= plan.rotation_tolerance_rad


def not_arrived(state: ArmState, goal: Pose, plan: ResetPlan, when: str) -> ResetError:
    """The error that says how far from ``goal`` the arm is; ``when`` as in "after 15 s"."""
    metres, radians = pose_distance(state.T_base_ee, goal)
    return ResetError(
        f"reset did not arrive: {1000 * metres:.1f} mm and {radians:.3f} rad from the goal {when}, "
        f"{1000 * plan.position_tolerance_m:.1f} mm and {plan.rotation_tolerance_rad:.3f} rad are allowed; "
        "clear the way or move the start"
    )
