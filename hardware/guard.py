"""The guard: the only path to the arm. A thin, thread-safe shell over the pure core in ``guard_step``.

Modes: DISARMED (boot: nothing is commanded) -> ARMED (engaged at rest, holding) -> RUNNING (someone drives) -> HOLD (a
controlled stop; the operator resumes) -> FAULT (a stop that only :meth:`Guard.reset` and a new engagement clear).

It is not a safety-rated device: set speed, force and planes in the arm's own controller too, and keep an emergency stop
in reach. Every limit, with its source and its test, is in ``docs/safety.md``.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf, isfinite
from threading import RLock

from hardware.cell import Cell
from hardware.geometry import pose_distance
from hardware.guard_state import GuardSettings, GuardState, Target, escalate, gripped
from hardware.guard_step import snapshot, step
from hardware.interfaces import (
    ArmCommand,
    ArmState,
    ExecutedCommand,
    Gripper,
    GuardMode,
    Pose,
    TeleopSample,
)
from hardware.mux import MuxState
from hardware.reference import ZERO3, Motion, Track
from hardware.safety import GuardInputs


class EngageError(RuntimeError):
    """The guard refused to engage or to resume; the message says why and what to do."""


class Guard:
    """Call :meth:`tick` every ``cell.guard_period_s``; everything else may be called from any thread."""

    def __init__(
        self, cell: Cell, limits_profile: str = "collaborative", teleop_speed: tuple[float, float] = (0.08, 0.6)
    ) -> None:
        """``teleop_speed``: speed of the person's target at full deflection, per axis, m/s and rad/s."""
        self.settings = GuardSettings.of(cell, limits_profile, teleop_speed)
        self._state = GuardState()
        self._inbox: list[tuple[float, ArmCommand]] = []
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

    def tick(self, now: float, arm_state: ArmState, teleop_sample: TeleopSample) -> ExecutedCommand:
        """One period of the guard; send ``reference`` of what it returns to the arm unless ``mode`` is DISARMED."""
        with self._lock:
            commands: tuple[ArmCommand, ...] = ()
            if self._inbox:
                due = now + 1e-9
                commands = tuple(command for arrival_s, command in self._inbox if arrival_s <= due)
                self._inbox = [entry for entry in self._inbox if entry[0] > due]
            inputs = GuardInputs(arm_state, teleop_sample, commands)
            self._state, executed = step(self.settings, self._state, inputs, now)
            if self.recorder is not None:
                self.recorder(inputs, self._state, executed)
            return executed

    def engage(self, arm_state: ArmState, now: float, gripper: Gripper = Gripper.HOLD) -> ExecutedCommand:
        """DISARMED -> ARMED: hold the arm where it is (S9). ``gripper`` says what the gripper already does; HOLD keeps
        the last command.

        Raises :class:`EngageError` when not disarmed, or when the arm cannot be read or stands outside the workspace.
        """
        with self._lock:
            state, pose = self._state, arm_state.T_base_ee
            if state.mode is not GuardMode.DISARMED:
                raise EngageError(f"the guard is {state.mode.name}, not DISARMED; reset it before engaging")
            if not isfinite(sum(pose.position_m) + sum(pose.quat_xyzw)):
                raise EngageError(f"the arm reports {pose}, which is not finite; reconnect it before engaging")
            excess = self.settings.workspace.excess(pose.position_m)
            if excess > self.settings.limits.max_workspace_excess_m:
                raise EngageError(
                    f"the arm stands {1000 * excess:.1f} mm outside the workspace, at {_millimetres(pose)}; "
                    "move it inside by hand before engaging"
                )
            last = state.gripper
            if gripper != Gripper.HOLD:
                last = gripped(self.settings, gripper, -inf)
            elif last.command == Gripper.HOLD:
                last = last._replace(width_m=arm_state.gripper_width_m)
            self._state = GuardState(
                mode=GuardMode.ARMED,
                reason="nobody drives yet",
                anchor=pose.quat_xyzw,
                translation=Track(Motion(pose.position_m), pose.position_m),
                target=Target(pose, pose.position_m, ZERO3),
                gripper=last,
                mux=MuxState(session=state.mux.session),
                engaged_s=now,
            )
            return snapshot(self._state, now)

    def hold(self, reason: str = "the operator asked for it", mode: GuardMode = GuardMode.HOLD) -> None:
        """Stop, controlled, at the next tick; ``mode`` FAULT latches."""
        with self._lock:
            if self._state.mode is not GuardMode.DISARMED:
                self._state = escalate(self._state, mode, reason)

    def resume(self, arm_state: ArmState, now: float) -> None:
        """HOLD -> ARMED, by the operator: the reference goes on from where it stopped (S9), commands on their way are
        flushed. Raises :class:`EngageError` while braking, or if the arm was moved too far from the reference."""
        with self._lock:
            state, limits = self._state, self.settings.limits
            if state.mode is not GuardMode.HOLD:
                raise EngageError(f"the guard is {state.mode.name}, not HOLD; there is nothing to resume")
            if not (state.translation.at_rest and state.rotation.at_rest):
                raise EngageError("the guard still brakes; resume once the arm has stopped")
            metres, radians = pose_distance(snapshot(state, now).reference.T_base_ee, arm_state.T_base_ee)
            # Written so that a NaN refuses.
            if not (metres <= limits.max_engage_mismatch_m and radians <= limits.max_engage_mismatch_rad):
                raise EngageError(
                    f"the arm is {1000 * metres:.0f} mm and {radians:.2f} rad from where it was held, more than "
                    f"{1000 * limits.max_engage_mismatch_m:.0f} mm or {limits.max_engage_mismatch_rad:.2f} rad; "
                    "reset the guard and engage"
                )
            self._flush()
            self._state = self._state._replace(mode=GuardMode.ARMED, reason="nobody drives yet", engaged_s=now)

    def reset(self) -> None:
        """Any mode -> DISARMED, by the operator; commands on their way are flushed."""
        with self._lock:
            self._flush()
            self._state = GuardState(gripper=self._state.gripper, mux=self._state.mux)

    def begin_session(self, resetting: bool) -> int:
        """Flush the inbox and count only commands of the session returned. ``resetting`` slows the reference to S27 and
        locks the person out."""
        with self._lock:
            self._flush()
            self._state = self._state._replace(resetting=resetting)
            return self.session

    def _flush(self) -> None:
        self._inbox.clear()
        self._state = self._state._replace(mux=MuxState(session=self.session + 1))


def _millimetres(pose: Pose) -> str:
    return "(" + ", ".join(f"{1000 * x:.0f}" for x in pose.position_m) + ") mm"
