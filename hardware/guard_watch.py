"""First half of a tick: what came in, what of it is counted, and which watchdogs that wakes. Pure functions."""

from __future__ import annotations

from math import isfinite

from hardware.checks import CHECKS, STREAMS, Check, is_readable
from hardware.guard_inputs import GuardInputs
from hardware.guard_state import GuardSettings, GuardState, escalate
from hardware.interfaces import ArmCommand, GuardMode, Refusal, Source
from hardware.mux import newest
from hardware.safety import is_sound
from hardware.targets import Refusals

PUSHING = frozenset({"S4", "S31", "S32", "S33"})
"""Limits that something solid stands behind (S29). Not the lead (S7): an arm that merely lags meets that too."""


MOST_DROPPED = 1000
"""Of so many dropped observations the times are kept; each window allows far fewer."""


def receive(
    settings: GuardSettings, state: GuardState, commands: tuple[ArmCommand, ...], now: float, refusals: Refusals
) -> tuple[GuardState, ArmCommand | None]:
    """S1 and the order of commands (S19). A bad one holds at once, however good its neighbours; enough fault."""
    limits = settings.limits
    sound: list[ArmCommand] = []
    for command in commands:
        if is_sound(command, limits):
            sound.append(command)
            continue
        recent = _and_now(state.counts.bad_commands_s, now, limits.bad_command_window_s)[
            -limits.bad_commands_to_fault :
        ]
        mode = GuardMode.FAULT if len(recent) >= limits.bad_commands_to_fault else GuardMode.HOLD
        refusals.append(Refusal("S1", 1.0, Source.POLICY))
        reason = "S1: the policy sent a command that is not a finite pose with a unit quaternion"
        state = escalate(state, mode, reason, now)
        state = state._replace(counts=state.counts._replace(bad_commands_s=recent))
    mux, latest = newest(state.mux, sound, now)
    return state if latest is None else state._replace(mux=mux), latest


def watch(
    settings: GuardSettings, state: GuardState, inputs: GuardInputs, now: float, refusals: Refusals
) -> GuardState:
    """Count, and run the checks of an engaged guard; one that persists over its limit escalates the mode."""
    if not is_readable(inputs):
        # Whatever else could be said of such inputs would be garbage.
        refusals.append(Refusal("S1", 1.0, Source.HOLD))
        reason = "S1: the arm or the teleop device reports numbers that are not finite"
        return escalate(state, GuardMode.HOLD, reason, now)._replace(tick_s=now, streamed_ticks=0, since_s=())
    state = _counted(settings, state, inputs, now)
    since: list[float | None] | None = None
    streaming = True
    for index, check in enumerate(CHECKS):
        excess = check.excess(settings, state, inputs, now)
        if excess <= 0.0:
            continue
        since = since or [None] * len(CHECKS)
        before = state.since_s[index] if state.since_s else None
        began = since[index] = now if before is None else before
        streaming = streaming and not check.stream
        # Ticks lie on a grid, sums of periods only nearly so.
        if check.persist_s is None or now - began >= check.persist_s(settings.limits) - 1e-9:
            state = _tripped(state, check, excess, now, refusals)
    return state._replace(
        since_s=tuple(since) if since else (),
        tick_s=now,
        streamed_ticks=state.streamed_ticks + 1 if streaming else 0,
        actor=state.actor if inputs.link.actor is None else inputs.link.actor,
    )


def watch_disarmed(settings: GuardSettings, state: GuardState, inputs: GuardInputs, now: float) -> GuardState:
    """S10: for how long everything has been streaming; the reason of being disarmed says what is missing."""
    missing = ""
    if not is_readable(inputs):
        missing = "S1: the arm or the teleop device reports numbers that are not finite"
    else:
        for check in STREAMS:
            if not check.excess(settings, state, inputs, now) <= 0.0:
                missing = f"{check.limit}: {check.says}"
                break
    reason = missing or ("not engaged" if state.streamed_ticks == 0 else state.reason)
    return state._replace(
        reason=reason,
        tick_s=now,
        streamed_ticks=0 if missing else state.streamed_ticks + 1,
        actor=state.actor if inputs.link.actor is None else inputs.link.actor,
    )


def count_pushes(settings: GuardSettings, state: GuardState, now: float, refusals: Refusals) -> GuardState:
    """S29: who goes on pushing at a wall is stopped."""
    source = next((refusal.source for refusal in refusals if refusal.limit in PUSHING), None)
    if source is None:
        return state
    limits, times = settings.limits, state.counts.pushes_s
    if times and now - times[-1] < limits.push_interval_s - 1e-9:
        return state
    times = _and_now(times, now, limits.push_window_s)
    excess = len(times) - limits.max_pushes
    if excess > 0:
        refusals.append(Refusal("S29", float(excess), source))
        state = escalate(state, GuardMode.HOLD, f"S29: {source.name.lower()} kept pushing at a limit", now)
    return state._replace(counts=state.counts._replace(pushes_s=times))


def _tripped(state: GuardState, check: Check, excess: float, now: float, refusals: Refusals) -> GuardState:
    refusals.append(Refusal(check.limit, excess if isfinite(excess) else 1.0, Source.HOLD))
    state = escalate(state, check.mode, f"{check.limit}: {check.says} (over by {excess:.3g})", now)
    return state._replace(disarming=True) if check.disarms else state


def _counted(settings: GuardSettings, state: GuardState, inputs: GuardInputs, now: float) -> GuardState:
    """S18 and S21: what was dropped or could not be read since the tick before."""
    link, limits, counts = inputs.link, settings.limits, state.counts
    if link.corrupt_packets > 0:
        enough = limits.corrupt_packets_to_hold
        times = _and_now(counts.corrupt_s, now, limits.corrupt_window_s, min(link.corrupt_packets, enough))
        counts = counts._replace(corrupt_s=times[-enough:])
    if link.skew_s is not None and not link.skew_s <= limits.max_skew_s:
        times = _and_now(counts.dropped_s, now, limits.dropped_window_s)
        counts = counts._replace(dropped_s=times[-MOST_DROPPED:])
    return state if counts is state.counts else state._replace(counts=counts)


def _and_now(times_s: tuple[float, ...], now: float, window_s: float, count: int = 1) -> tuple[float, ...]:
    """``times_s`` within ``window_s`` before ``now``, and ``now`` itself ``count`` times."""
    return (*(t for t in times_s if now - t < window_s), *(now,) * count)
