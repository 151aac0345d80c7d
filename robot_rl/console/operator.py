"""The operator's say over a run: holding the robot, and letting it go on."""

from __future__ import annotations

from typing import Protocol

from hardware.interfaces import Clock

_POLL_S = 0.05


class Stoppable(Protocol):
    """What of a robot the operator's buttons need."""

    clock: Clock

    def hold(self, reason: str) -> None:
        """A controlled stop, from any thread."""
        ...

    def resume(self) -> None:
        """The operator clears HOLD; raises ``RuntimeError`` while that is not granted."""
        ...


class Operator:
    """Buttons of one robot. :meth:`hold` acts at once, from any thread; the run waits in :meth:`wait`."""

    def __init__(self, robot: Stoppable) -> None:
        self._robot = robot
        self._held = False
        self.paused = False
        self.trouble = ""
        """Why the robot did not go on when it was last asked to; empty when it did."""

    def hold(self) -> None:
        """Stop the arm; the run waits."""
        self.paused = self._held = True
        self._robot.hold("the operator holds the robot")

    def resume(self) -> None:
        """Let the run go on; the robot's own thread clears the stop."""
        self.paused = False

    def wait(self) -> None:
        """Called by the control thread between episodes: returns once nobody holds the robot."""
        clock = self._robot.clock
        while self.paused or self._held:
            while self.paused:
                clock.sleep_until(clock.now() + _POLL_S)
            try:
                self._robot.resume()
            except RuntimeError as refused:
                self.trouble = str(refused)
            else:
                self.trouble = ""
            # What is not granted now (the arm still brakes) a reset clears, or refuses with a message of its own.
            self._held = False
