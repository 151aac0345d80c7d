"""The guard's pure core: ``step(settings, state, inputs, now) -> (state, executed)``.

In order: soundness and order of commands, the watchdogs, who drives, what of the target is let through, the lead over
the arm, the motion of the reference.
"""

from __future__ import annotations

from hardware.checks import is_readable
from hardware.clearance import Tracks, advanced, keep_clear
from hardware.guard_inputs import GuardInputs
from hardware.guard_state import GuardSettings, GuardState, Target, disarmed, escalate, gripped, resting_at
from hardware.guard_watch import count_pushes, receive, watch, watch_disarmed
from hardware.interfaces import (
    ZERO6,
    ArmCommand,
    ArmReference,
    ArmState,
    ExecutedCommand,
    Gripper,
    GuardMode,
    Pose,
    Refusal,
    Source,
    TeleopSample,
)
from hardware.mux import arbitrate, jog
from hardware.reference import PlanningError, angular_velocity, orientation
from hardware.safety import GripperState, as_unit, debounce
from hardware.targets import Refusals, braked, limit_lead, limited, resting_target


def step(
    settings: GuardSettings, state: GuardState, inputs: GuardInputs, now: float
) -> tuple[GuardState, ExecutedCommand]:
    """One tick at ``now`` (s). Pure: the planner in ``settings`` is scratch space."""
    if state.mode is GuardMode.DISARMED:
        state = watch_disarmed(settings, state, inputs, now)
        return state, _idle(state, inputs.arm, now)
    refusals: Refusals = []
    command = None
    if now - state.tick_s > settings.limits.max_unattended_s and is_readable(inputs):
        state = resting_at(state, inputs.arm.T_base_ee)
    if inputs.commands:
        state, command = receive(settings, state, inputs.commands, now, refusals)
    state = watch(settings, state, inputs, now, refusals)
    if state.mode < GuardMode.HOLD:
        state = _drive(settings, state, inputs.teleop, command, now, refusals)
        state = limit_lead(settings, state, inputs.arm, refusals)
        state, tracks = _move(settings, state, inputs, now, refusals)
        if refusals:
            state = count_pushes(settings, state, now, refusals)
    if state.mode >= GuardMode.HOLD:
        state = _stop(settings, state)
        tracks = advanced(settings, state)
    if state.translation.trajectory is not None or state.rotation.trajectory is not None:
        state = state._replace(translation=tracks[0], rotation=tracks[1])
    elif state.disarming and state.mode is GuardMode.HOLD:
        state = disarmed(state, state.reason)
        return state, _idle(state, inputs.arm, now, tuple(refusals))
    return state, snapshot(state, now, tuple(refusals))


def snapshot(state: GuardState, now: float, refusals: tuple[Refusal, ...] = ()) -> ExecutedCommand:
    """What an engaged guard commands in ``state``."""
    translation, rotation = state.translation.motion, state.rotation.motion
    held = state.mode >= GuardMode.HOLD
    return ExecutedCommand(
        stamp_s=now,
        target=state.target.pose,
        gripper=state.gripper.command,
        source=Source.HOLD if held else state.mux.driver,
        mode=state.mode,
        reference=ArmReference(
            Pose(translation.position, orientation(rotation.position, state.anchor)),
            translation.velocity + angular_velocity(rotation.position, rotation.velocity),
            state.gripper.width_m,
        ),
        refusals=refusals,
        reason=state.reason,
        proposed=state.mux.proposed,
    )


def _idle(state: GuardState, arm: ArmState, now: float, refusals: tuple[Refusal, ...] = ()) -> ExecutedCommand:
    """Disarmed: the reference is wherever the arm is, and nobody sends it."""
    reference, gripper = ArmReference(arm.T_base_ee, ZERO6, arm.gripper_width_m), state.gripper.command
    return ExecutedCommand(
        now, arm.T_base_ee, gripper, Source.HOLD, GuardMode.DISARMED, reference, refusals, state.reason
    )


def _drive(
    settings: GuardSettings,
    state: GuardState,
    sample: TeleopSample,
    command: ArmCommand | None,
    now: float,
    refusals: Refusals,
) -> GuardState:
    """Whose target, and which gripper command."""
    before = state.mux.driver
    if not state.resetting:
        mux = arbitrate(state.mux, sample, now, settings.release_s)
        state = state if mux is state.mux else state._replace(mux=mux)
    driver = state.mux.driver
    if driver is Source.HUMAN:
        start = state.target if before is driver else resting_target(settings, state)
        pose = jog(start.pose, sample, *settings.teleop_speed, settings.period_s)
        target = start if pose is start.pose else limited(settings, state, pose, driver, refusals)
        wanted = sample.gripper
    elif command is not None:
        target = limited(settings, state, as_unit(command.T_base_ee), driver, refusals)
        wanted = command.gripper
    else:
        return state
    gripper = _gripper(settings, state.gripper, wanted, driver, now, refusals)
    return state._replace(mode=GuardMode.RUNNING, reason="", target=target, gripper=gripper)


def _gripper(
    settings: GuardSettings, state: GripperState, wanted: Gripper, driver: Source, now: float, refusals: Refusals
) -> GripperState:
    """S28."""
    due, early_s = debounce(state, wanted, now, settings.limits)
    if early_s > 0.0:
        refusals.append(Refusal("S28", early_s, driver))
    return gripped(settings, Gripper(wanted), now) if due else state


def _move(
    settings: GuardSettings, state: GuardState, inputs: GuardInputs, now: float, refusals: Refusals
) -> tuple[GuardState, Tracks]:
    """Towards the target, as far as the whole arm may go (S30 to S33): the state, and its tracks a tick on."""

    def follow(state: GuardState) -> GuardState:
        return _follow(settings, state, now)

    return keep_clear(settings, state, follow(state), inputs, refusals, follow)


def _follow(settings: GuardSettings, state: GuardState, now: float) -> GuardState:
    """Head both groups for the target. Should the planner fail, what is under way still ends at rest inside the box."""
    engaging = now - state.engaged_s < settings.limits.engage_time_s - 1e-9
    profiles, turns = settings.paces[state.pace]
    profile = profiles.engage if engaging else profiles.reset if state.resetting else profiles.normal
    turn = turns.engage if engaging else turns.normal  # S27 slows the hand's way, not its turning.
    try:
        translation = settings.planner.follow(state.translation, state.target.position, profile)
        rotation = settings.planner.follow(state.rotation, state.target.rotation, turn)
    except PlanningError as error:
        return escalate(state, GuardMode.HOLD, f"S6: {error}", now)
    if translation is state.translation and rotation is state.rotation:
        return state
    return state._replace(translation=translation, rotation=rotation)


def _stop(settings: GuardSettings, state: GuardState) -> GuardState:
    """HOLD and FAULT: a controlled stop; the target is where it ends."""
    translation = braked(settings.planner, state.translation, settings.translation.stop)
    rotation = braked(settings.planner, state.rotation, settings.rotation.stop)
    position, turn = translation.target, rotation.target
    target = state.target
    if position != target.position or turn != target.rotation:
        target = Target(Pose(position, orientation(turn, state.anchor)), position, turn)
    return state._replace(translation=translation, rotation=rotation, target=target)
