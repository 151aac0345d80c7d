"""What of a target the guard lets through: workspace, reach, lead over the arm. Pure functions of the guard's state."""

from __future__ import annotations

from math import sqrt

from hardware.guard_state import GuardSettings, GuardState, Target
from hardware.interfaces import ArmState, Pose, Refusal, Source, Vector3
from hardware.mux import within_reach
from hardware.reference import Motion, Planner, PlanningError, Profile, Track, orientation, rotvec_near, stop_distance
from hardware.safety import bring_back, clip_norm, lead_excess, moves_ahead

Refusals = list[Refusal]


def limited(settings: GuardSettings, state: GuardState, pose: Pose, driver: Source, refusals: Refusals) -> Target:
    """S4 and the range of rotations; a person's target also stays within reach. What is within limits comes through as
    the very same pose."""
    limits, anchor = settings.limits, state.anchor
    position, excess = pose.position_m, settings.workspace.excess(pose.position_m)
    if excess > 0.0:
        refusals.append(Refusal("S4", excess, driver))
        position = settings.workspace.clip(position)
    turned = rotvec_near(pose.quat_xyzw, anchor, state.rotation.motion.position)
    rotation = clip_norm(turned, limits.max_rotation_rad)
    if rotation is not turned:
        refusals.append(Refusal("S6", sqrt(sum(r * r for r in turned)) - limits.max_rotation_rad, driver))
    if driver is Source.HUMAN:
        position = within_reach(position, state.translation.motion.position, limits.max_teleop_lead_m)
        rotation = within_reach(rotation, state.rotation.motion.position, limits.max_teleop_lead_rad)
    if position is pose.position_m and rotation is turned:
        return Target(pose, position, rotation)
    quat = pose.quat_xyzw if rotation is turned else orientation(rotation, anchor)
    return Target(Pose(position, quat), position, rotation)


def resting_target(settings: GuardSettings, state: GuardState) -> Target:
    """Where the reference comes to rest if nobody asks for anything: what a person takes over from (S9)."""

    def rest(motion: Motion, profile: Profile) -> Vector3:
        x, y, z = (p + stop_distance(v, a, profile) for p, v, a in zip(*motion, strict=True))
        return x, y, z

    position = settings.workspace.clip(rest(state.translation.motion, settings.translation.normal))
    rotation = rest(state.rotation.motion, settings.rotation.normal)
    return Target(Pose(position, orientation(rotation, state.anchor)), position, rotation)


def limit_lead(settings: GuardSettings, state: GuardState, arm: ArmState, refusals: Refusals) -> GuardState:
    """S7: bring back what would lead too far over the arm, and brake a reference that moves further ahead."""
    limits, period, planner = settings.limits, settings.period_s, settings.planner
    translation, rotation, target = state.translation, state.rotation, state.target
    at, velocity = arm.T_base_ee.position_m, arm.ee_twist[:3]
    stop = settings.translation.stop
    excess = lead_excess(translation.motion, at, velocity, stop, limits.max_lead_m, period)
    if excess > 0.0:
        refusals.append(Refusal("S7", excess, state.mux.driver))
        position = bring_back(target.position, translation.motion.position, at, limits.max_lead_m)
        if position is not target.position:
            position = settings.workspace.clip(position)
            target = Target(Pose(position, target.pose.quat_xyzw), position, target.rotation)
        if moves_ahead(translation.motion, at):
            translation = braked(planner, translation, stop)
    at, velocity = rotvec_near(arm.T_base_ee.quat_xyzw, state.anchor, rotation.motion.position), arm.ee_twist[3:]
    stop = settings.rotation.stop
    excess = lead_excess(rotation.motion, at, velocity, stop, limits.max_lead_rad, period)
    if excess > 0.0:
        refusals.append(Refusal("S7", excess, state.mux.driver))
        turn = bring_back(target.rotation, rotation.motion.position, at, limits.max_lead_rad)
        if turn is not target.rotation:
            target = Target(Pose(target.position, orientation(turn, state.anchor)), target.position, turn)
        if moves_ahead(rotation.motion, at):
            rotation = braked(planner, rotation, stop)
    if target is state.target and translation is state.translation and rotation is state.rotation:
        return state
    return state._replace(target=target, translation=translation, rotation=rotation)


def braked(planner: Planner, track: Track, profile: Profile) -> Track:
    """A track on its way to the earliest rest; where the planner fails, what is under way still ends at rest."""
    try:
        return planner.brake(track, profile)
    except PlanningError:
        return track
