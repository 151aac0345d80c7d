"""Accepted targets of a recorded episode, given to a guard again tick by tick."""

from __future__ import annotations

from collections.abc import Sequence

from hardware.guard import Guard
from hardware.guard_step import step
from hardware.interfaces import Arm, ArmCommand, ExecutedCommand, GuardMode, TeleopSample
from hardware.safety import GuardInputs


class RecordedTargets:
    """Sits at the teleop device's place and posts each recorded target at the very tick that accepted it.

    Some targets the guard made itself (it brings back what leads too far), and will again: a tick that comes out as
    recorded without help is left alone.
    """

    def __init__(self, changes: Sequence[ExecutedCommand], guard: Guard, arm: Arm) -> None:
        self._guard, self._arm = guard, arm
        period = guard.settings.period_s
        self._changes = {round(change.stamp_s / period): change for change in changes}
        self._sequence = 0

    def connect(self) -> None: ...

    def close(self) -> None: ...

    def read(self, now: float) -> TeleopSample:
        """Nobody at the stick; what is due at ``now`` goes to the guard."""
        idle = TeleopSample(heartbeat_s=now)
        change = self._changes.get(round(now / self._guard.settings.period_s))
        if change is not None and not self._comes_by_itself(change, idle, now):
            self._post(change, now)
        return idle

    def _comes_by_itself(self, change: ExecutedCommand, idle: TeleopSample, now: float) -> bool:
        guard = self._guard
        _, executed = step(guard.settings, guard.state, GuardInputs(self._arm.read(), idle, ()), now)
        held = (executed.mode >= GuardMode.HOLD, change.mode >= GuardMode.HOLD)
        return executed.target == change.target and executed.gripper == change.gripper and held[0] == held[1]

    def _post(self, change: ExecutedCommand, now: float) -> None:
        if change.mode >= GuardMode.HOLD:
            self._guard.hold("held in the recording", change.mode)
            return
        self._sequence += 1
        command = ArmCommand(change.target, change.gripper, self._sequence, self._guard.session)
        self._guard.submit(command, now)
