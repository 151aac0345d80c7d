"""The guard's pure core: ``step(settings, state, inputs, now) -> (state, executed)``.

In order: checks of what is measured, soundness and order of commands, who drives, what of the target is let through,
the lead over the arm, the motion of the reference.
"""

from __future__ import annotations

from hardware.guard_state import GuardSettings, GuardState, Target, escalate, gripped
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
from hardware.mux import arbitrate, jog, newest
from hardware.reference import (
    PlanningError,
    advance,
    angular_velocity,
    orientation,
)
from hardware.safety import (
    CHECKS,
    GripperState,
    GuardInputs,
    as_unit,
    debounce,
    is_sound,
)
from hardware.targets import Refusals, braked, limit_lead, limited, resting_target


def step(
    settings: GuardSettings, state: GuardState, inputs: GuardInputs, now: float
) -> tuple[GuardState, ExecutedCommand]:
    """One tick at ``now`` (s). Pure: the planner in ``settings`` is scratch space."""
    if state.mode is GuardMode.DISARMED:
        return state, _idle(state, inputs.arm, now)
    refusals: Refusals = []
    state = _watch(settings, state, inputs, now, refusals)
    command = None
    if inputs.commands:
        state, command = _receive(settings, state, inputs.commands, now, refusals)
    if state.mode < GuardMode.HOLD:
        state = _drive(settings, state, inputs.teleop, command, now, refusals)
        state = limit_lead(settings, state, inputs.arm, refusals)
        state = _follow(settings, state, now)
    if state.mode >= GuardMode.HOLD:
        state = _stop(settings, state)
    if state.translation.trajectory is not None or state.rotation.trajectory is not None:
        period = settings.period_s
        state = state._replace(translation=advance(state.translation, period), rotation=advance(state.rotation, period))
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
    )


def _idle(state: GuardState, arm: ArmState, now: float) -> ExecutedCommand:
    """Disarmed: the reference is wherever the arm is, and nobody sends it."""
    reference = ArmReference(arm.T_base_ee, ZERO6, arm.gripper_width_m)
    return ExecutedCommand(now, arm.T_base_ee, state.gripper.command, Source.HOLD, GuardMode.DISARMED, reference)


def _watch(
    settings: GuardSettings, state: GuardState, inputs: GuardInputs, now: float, refusals: Refusals
) -> GuardState:
    """Run the checks; one that persists over its limit escalates the mode."""
    limits = settings.limits
    for index, check in enumerate(CHECKS):
        excess = check.excess(inputs, limits, settings.workspace)
        since = state.since_s[index]
        if excess > 0.0:
            since = now if since is None else since
            if now - since >= check.persist_s(limits) - 1e-9:  # Ticks lie on a grid, sums of periods only nearly so.
                refusals.append(Refusal(check.limit, excess, Source.HOLD))
                state = escalate(state, check.mode, f"{check.limit}: {check.says} (over by {excess:.3g})")
        else:
            since = None
        if since != state.since_s[index]:
            state = state._replace(since_s=(*state.since_s[:index], since, *state.since_s[index + 1 :]))
    return state


def _receive(
    settings: GuardSettings, state: GuardState, commands: tuple[ArmCommand, ...], now: float, refusals: Refusals
) -> tuple[GuardState, ArmCommand | None]:
    """S1 and the order of commands. A bad command holds at once, however good its neighbours; enough of them fault."""
    limits = settings.limits
    sound: list[ArmCommand] = []
    for command in commands:
        if is_sound(command, limits):
            sound.append(command)
            continue
        recent = (*(t for t in state.bad_commands_s if now - t < limits.bad_command_window_s), now)
        mode = GuardMode.FAULT if len(recent) >= limits.bad_commands_to_fault else GuardMode.HOLD
        refusals.append(Refusal("S1", 1.0, Source.POLICY))
        state = escalate(state, mode, "S1: the policy sent a command that is not a finite pose with a unit quaternion")
        state = state._replace(bad_commands_s=recent[-limits.bad_commands_to_fault :])
    mux, latest = newest(state.mux, sound)
    return state._replace(mux=mux), latest


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


def _follow(settings: GuardSettings, state: GuardState, now: float) -> GuardState:
    """Head both groups for the target. Should the planner fail, what is under way still ends at rest inside the box."""
    engaging = now - state.engaged_s < settings.limits.engage_time_s - 1e-9
    profiles, turns = settings.translation, settings.rotation
    profile = profiles.engage if engaging else profiles.reset if state.resetting else profiles.normal
    turn = turns.engage if engaging else turns.reset if state.resetting else turns.normal
    try:
        translation = settings.planner.follow(state.translation, state.target.position, profile)
        rotation = settings.planner.follow(state.rotation, state.target.rotation, turn)
    except PlanningError as error:
        return escalate(state, GuardMode.HOLD, f"S6: {error}")
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
