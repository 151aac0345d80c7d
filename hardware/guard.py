"""The guard: the only path to the arm. A thin, thread-safe shell over the pure core in ``guard_step``.

Modes: DISARMED (boot: nothing is commanded) -> ARMED (engaged at rest, holding) -> RUNNING (someone drives) -> HOLD (a
controlled stop; the operator resumes) -> FAULT (a stop that only :meth:`Guard.reset` and a new engagement clear). Only
calls of :meth:`Guard.engage` and :meth:`Guard.resume` let the arm move again: whoever makes them acts for the operator.

It is not a safety-rated device: set speed, force and planes in the arm's own controller too, and keep an emergency stop
in reach. Every limit, with its source and its test, is in ``docs/safety.md``.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from threading import RLock

from hardware.camera_health import CameraHealth
from hardware.cell import Cell
from hardware.guard_inputs import DiskHealth, GuardInputs, LinkHealth
from hardware.guard_state import GuardSettings, GuardState, disarmed, escalate, gripped, resting_at
from hardware.guard_step import snapshot, step
from hardware.interfaces import (
    ArmCommand,
    ArmState,
    ExecutedCommand,
    Gripper,
    GuardMode,
    TeleopSample,
)
from hardware.mux import MuxState
from hardware.neighbours import presence
from hardware.permissions import EngageError, may_engage, may_recover, may_resume
from hardware.posture import Presence

__all__ = ["EngageError", "Guard"]


class Guard:
    """Call :meth:`tick` every ``cell.guard_period_s``; everything else may be called from any thread."""

    def __init__(
        self,
        cell: Cell,
        limits_profile: str = "collaborative",
        teleop_speed: tuple[float, float] = (0.08, 0.6),
        control_hz: float | None = 10.0,
        task: str = "",
    ) -> None:
        """``teleop_speed``: speed of the person's target at full deflection, per axis, m/s and rad/s. ``control_hz``:
        rate at which the policy commands (S2); None promises none, as a replay does. ``task``: what it adds to the
        cell (:class:`hardware.surroundings.TaskArea`)."""
        self.settings = GuardSettings.of(cell, limits_profile, teleop_speed, control_hz, task)
        self._state = GuardState()
        self.neighbours: tuple[Guard, ...] = ()
        """Guards of the other arms in the cell (:func:`hardware.neighbours.join`)."""
        self.presence: Presence | None = None
        """Where this arm is, for them; None before the first tick, and where it has no neighbours."""
        self._inbox: list[tuple[float, ArmCommand]] = []
        self._disk: DiskHealth | None = None
        self._lock = RLock()
        self.recorder: Callable[[GuardInputs, GuardState, ExecutedCommand], None] | None = None
        """Called at the end of each tick with what it saw, the state after it and what it commands: the black box."""

    @property
    def state(self) -> GuardState:
        """The whole state, immutable."""
        return self._state

    @property
    def mode(self) -> GuardMode:
        return self._state.mode

    @property
    def reason(self) -> str:
        """Why the guard does not run; empty when it does."""
        return self._state.reason

    @property
    def session(self) -> int:
        """Commands of another session are dropped."""
        return self._state.mux.session

    @property
    def at_rest(self) -> bool:
        """The reference does not move and has nowhere to go."""
        translation, rotation, target = self._state.translation, self._state.rotation, self._state.target
        heading = (translation.target, rotation.target)
        return translation.at_rest and rotation.at_rest and heading == (target.position, target.rotation)

    def submit(self, command: ArmCommand, arrival_s: float) -> None:
        """Post a command that the guard sees from ``arrival_s`` on."""
        with self._lock:
            self._inbox.append((arrival_s, command))

    @property
    def streaming_s(self) -> float:
        """For how long arm, cameras and teleop reader have been streaming without a gap (S10)."""
        return self._state.streamed_ticks * self.settings.period_s

    @property
    def may_restart_s(self) -> float:
        """From when on :meth:`engage` and :meth:`resume` may be granted again (S11)."""
        return self._state.stopped_s + self.settings.limits.min_stop_s

    def tick(
        self,
        now: float,
        arm_state: ArmState,
        teleop_sample: TeleopSample,
        cameras: tuple[CameraHealth, ...] = (),
        link: LinkHealth = LinkHealth(),
        disk: DiskHealth | None = None,
    ) -> ExecutedCommand:
        """One period of the guard; send ``reference`` of what it returns to the arm unless ``mode`` is DISARMED."""
        with self._lock:
            commands: tuple[ArmCommand, ...] = ()
            if self._inbox:
                due = now + 1e-9
                commands = tuple(command for arrival_s, command in self._inbox if arrival_s <= due)
                self._inbox = [entry for entry in self._inbox if entry[0] > due]
            inputs = GuardInputs(arm_state, teleop_sample, commands, cameras, link, disk, self._others())
            self._disk = disk
            self._state, executed = step(self.settings, self._state, inputs, now)
            if self.neighbours:
                self.presence = presence(self.settings, self._state, arm_state)
            if self.recorder is not None:
                self.recorder(inputs, self._state, executed)
            return executed

    def engage(self, arm_state: ArmState, now: float, gripper: Gripper = Gripper.HOLD) -> ExecutedCommand:
        """DISARMED -> ARMED: hold the arm where it is (S9). ``gripper`` says what the gripper already does; HOLD keeps
        the last command.

        Raises :class:`EngageError` when not disarmed, too soon after a stop (S11), before everything has streamed for a
        while (S10), with too little disk (S26), without the cell's other arms (S30), or when the arm cannot be read or
        stands outside the workspace.
        """
        with self._lock:
            state, pose = self._state, arm_state.T_base_ee
            may_engage(self.settings, state, arm_state, self._disk, now, self._others())
            last = state.gripper
            if gripper != Gripper.HOLD:
                last = gripped(self.settings, gripper, -inf)
            elif last.command == Gripper.HOLD:
                last = last._replace(width_m=arm_state.gripper_width_m)
            armed = GuardState(
                mode=GuardMode.ARMED,
                reason="nobody drives yet",
                gripper=last,
                mux=MuxState(session=state.mux.session),
                engaged_s=now,
                tick_s=now,
                streamed_ticks=state.streamed_ticks,
                actor=state.actor,
                counts=state.counts,
            )
            self._state = resting_at(armed, pose)
            return snapshot(self._state, now)

    def hold(self, reason: str = "the operator asked for it", mode: GuardMode = GuardMode.HOLD) -> None:
        """Stop, controlled, at the next tick; ``mode`` FAULT latches."""
        with self._lock:
            state = self._state
            if state.mode is not GuardMode.DISARMED:
                self._state = escalate(state, mode, reason, state.tick_s)

    def disarm(self, reason: str = "the operator asked for it") -> None:
        """Stop, controlled, and be DISARMED once at rest; a FAULT stays one."""
        with self._lock:
            self.hold(reason)
            self._state = self._state._replace(disarming=True)

    def resume(self, arm_state: ArmState, now: float) -> None:
        """HOLD -> ARMED, by the operator: the reference goes on from where it stopped (S9), commands on their way are
        flushed. Raises :class:`EngageError` while braking, too soon after the last cause to stop (S11), or if the arm
        was moved too far from the reference."""
        with self._lock:
            state = self._state
            may_resume(self.settings, state, snapshot(state, now).reference.T_base_ee, arm_state, now)
            self._flush()
            self._state = self._state._replace(
                mode=GuardMode.ARMED, reason="nobody drives yet", engaged_s=now, counts=state.counts.forgiven()
            )

    def recover(self, now: float) -> None:
        """S12: permission to clear an error of the arm's own controller, once; the guard is DISARMED from here on, so
        that nothing is sent meanwhile. Raises :class:`EngageError` outside HOLD and FAULT, while braking, or when there
        have been too many in the window."""
        with self._lock:
            state = self._state
            recoveries_s = may_recover(self.settings, state, now)
            self._inbox.clear()
            counts = state.counts._replace(recoveries_s=recoveries_s)
            self._state = disarmed(state._replace(counts=counts, stopped_s=now), "the arm is being recovered")

    def reset(self) -> None:
        """Any mode -> DISARMED, by the operator; commands on their way are flushed."""
        with self._lock:
            self._inbox.clear()
            self._state = disarmed(self._state, "not engaged")

    def begin_session(self, resetting: bool) -> int:
        """Flush the inbox and count only commands of the session returned; until the first of them nothing is stale
        (S2). ``resetting`` slows the reference to S27 and locks the person out."""
        with self._lock:
            self._flush()
            self._state = self._state._replace(resetting=resetting)
            return self.session

    def promise(self, control_hz: float | None) -> None:
        """From now on the policy commands at ``control_hz`` (S2)."""
        with self._lock:
            self.settings = self.settings.at_rate(control_hz)

    def _others(self) -> tuple[Presence, ...]:
        """Where the other arms are that have been seen."""
        return tuple(other.presence for other in self.neighbours if other.presence is not None)

    def _flush(self) -> None:
        self._inbox.clear()
        self._state = self._state._replace(mux=MuxState(session=self.session + 1))
