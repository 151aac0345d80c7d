"""What a robot executed since the last command, as :class:`hardware.interfaces.RobotObservation` reports it."""

from __future__ import annotations

from dataclasses import replace

from hardware.interfaces import ExecutedCommand, Refusal, Source


class StepLog:
    """What happened since the last command: who drove, what changed, what was refused."""

    def __init__(self, executed: ExecutedCommand) -> None:
        self.newest = executed
        self.clear()

    def clear(self) -> None:
        self._human = self._held = False
        self._changes: list[ExecutedCommand] = []
        self._refusals: dict[tuple[str, Source], Refusal] = {}

    def add(self, executed: ExecutedCommand) -> None:
        """Take in one tick."""
        before, self.newest = self.newest, executed
        source = executed.source
        if source is Source.HUMAN:
            self._human = True
        elif source is Source.HOLD:
            self._held = True
        if (
            (executed.target is not before.target and executed.target != before.target)
            or executed.gripper != before.gripper
            or source is not before.source
        ):
            self._changes.append(executed)
        for refusal in executed.refusals:
            key = (refusal.limit, refusal.source)
            if key not in self._refusals or refusal.amount > self._refusals[key].amount:
                self._refusals[key] = refusal

    def summary(self) -> tuple[ExecutedCommand, tuple[ExecutedCommand, ...]]:
        """The newest command as ``RobotObservation.executed`` documents it, and the changes."""
        source = Source.HUMAN if self._human else Source.HOLD if self._held else Source.POLICY
        executed, refusals = self.newest, tuple(self._refusals.values())
        if source is not executed.source or refusals != executed.refusals:
            executed = replace(executed, source=source, refusals=refusals)
        return executed, tuple(self._changes)
