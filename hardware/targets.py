"""What of a target the guard lets through: workspace, reach, lead over the arm. Pure functions of the guard's state."""

from __future__ import annotations

from math import sqrt

from hardware.guard_state import GuardSettings, GuardState, Target
from hardware.interfaces import ArmState, Pose, Refusal, Source, Vector3
from hardware.mux import within_reach
from hardware.reference import (
    Motion,
    Planner,
    PlanningError,
    Profile,
    Profiles,
    Track,
    orientation,
    rotvec_near,
    stop_distance,
)
from hardware.safety import bring_back, clip_norm, lead_excess, moves_ahead

Refusals = list[Refusal]

INSET_M = 1e-6
"""Targets stay this far inside the workspace: a planned motion overshoots its target by up to 1e-8 m of rounding."""


def limited(settings: GuardSettings, state: GuardState, pose: Pose, driver: Source, refusals: Refusals) -> Target:
    """S4 and the range of rotations; a person's target also stays within reach. What is within limits comes through as
    the very same pose."""
    limits, anchor = settings.limits, state.anchor
    position, excess = pose.position_m, settings.workspace.excess(pose.position_m)
    if excess > 0.0:
        refusals.append(Refusal("S4", excess, driver))
    if excess > -INSET_M:
        position = settings.workspace.clip(position, INSET_M)
    turned = rotvec_near(pose.quat_xyzw, anchor, state.rotation.motion.position)
    rotation = clip_norm(turned, limits.max_rotation_rad)
    if rotation is not turned:
        refusals.append(Refusal("S6", sqrt(sum(r * r for r in turned)) - limits.max_rotation_rad, driver))
    if driver is Source.HUMAN:
        position = within_reach(position, state.translation.motion.position, limits.max_teleop_lead_m)
        rotation = within_reach(rotation, state.rotation.motion.position, limits.max_teleop_lead_rad)
    if position is pose.position_m and rotation is turned:
        return Target(pose, position, rotation)
    if rotation is turned:
        return Target(Pose(position, pose.quat_xyzw), position, rotation)
    return target_at(state, position, rotation)


def resting_target(settings: GuardSettings, state: GuardState) -> Target:
    """Where the reference comes to rest if nobody asks for anything: what a person takes over from (S9)."""

    def rest(motion: Motion, profile: Profile) -> Vector3:
        x, y, z = (p + stop_distance(v, a, profile) for p, v, a in zip(*motion, strict=True))
        return x, y, z

    position = settings.workspace.clip(rest(state.translation.motion, settings.translation.normal), INSET_M)
    return target_at(state, position, rest(state.rotation.motion, settings.rotation.normal))


def limit_lead(settings: GuardSettings, state: GuardState, arm: ArmState, refusals: Refusals) -> GuardState:
    """S7 for both groups: brake what would lead too far over the arm, and bring its target back."""
    limits, target = settings.limits, state.target
    at, velocity = arm.T_base_ee.position_m, arm.ee_twist[:3]
    translation, position, excess = _led(
        settings, state.translation, target.position, at, velocity, settings.translation, limits.max_lead_m
    )
    if excess > 0.0:
        refusals.append(Refusal("S7", excess, state.mux.driver))
        position = settings.workspace.clip(position, INSET_M)
        target = Target(Pose(position, target.pose.quat_xyzw), position, target.rotation)
    at, velocity = rotvec_near(arm.T_base_ee.quat_xyzw, state.anchor, state.rotation.motion.position), arm.ee_twist[3:]
    rotation, turn, excess = _led(
        settings, state.rotation, target.rotation, at, velocity, settings.rotation, limits.max_lead_rad
    )
    if excess > 0.0:
        refusals.append(Refusal("S7", excess, state.mux.driver))
        target = target_at(state, target.position, turn)
    if target is state.target:
        return state
    return state._replace(target=target, translation=translation, rotation=rotation)


def target_at(state: GuardState, position: Vector3, rotation: Vector3) -> Target:
    """The target at a place of the reference generator's. Its rotation vector is taken from its pose again, so that the
    pose, which is what gets recorded, says all of it: a replay from accepted poses then repeats every bit."""
    quat = orientation(rotation, state.anchor)
    return Target(Pose(position, quat), position, rotvec_near(quat, state.anchor, state.rotation.motion.position))


def _led(
    settings: GuardSettings,
    track: Track,
    target: Vector3,
    measured: Vector3,
    velocity: Vector3,
    profiles: Profiles,
    limit: float,
) -> tuple[Track, Vector3, float]:
    """S7 for one group: its track and target, and how far over ``limit`` the lead is or would get."""
    excess = lead_excess(track.motion, measured, velocity, profiles, limit, settings.period_s)
    if excess <= 0.0:
        return track, target, 0.0
    if moves_ahead(track.motion, measured):
        track = braked(settings.planner, track, profiles.stop)
    # A reference on its way back goes on to its target. Any other gives that up: its axes, each for itself, would first
    # turn away from the arm on the way to a target beside it.
    stays = track.braking or track.at_rest
    return track, bring_back(track.target if stays else target, measured, limit), excess


def braked(planner: Planner, track: Track, profile: Profile) -> Track:
    """A track on its way to the earliest rest; where the planner fails, what is under way still ends at rest."""
    try:
        return planner.brake(track, profile)
    except PlanningError:
        return track
