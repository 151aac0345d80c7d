"""Franka's hand: its commands block for as long as the fingers travel, so that a thread of its own waits for them."""

from __future__ import annotations

import logging
from threading import Event, Thread
from typing import Any

from hardware.cell import GripperSettings

SPEED_M_S = 0.1
GRASP_FORCE_N = 30.0
_POLL_S = 0.04
_TOLERANCE_M = 0.002
_LOG = logging.getLogger(__name__)


class FrankaHand:
    """Goes to the newest width asked for; closing grasps whatever is between the fingers."""

    def __init__(self, gripper: Any, settings: GripperSettings) -> None:
        """``gripper`` is franky's, connected."""
        self.width_m = float(gripper.width)
        """The newest measured."""
        self._gripper, self._settings = gripper, settings
        self._wanted_m: float | None = None
        self._stop = Event()
        self._thread = Thread(target=self._run, name="Franka hand", daemon=True)
        self._thread.start()

    def go_to(self, width_m: float) -> None:
        """Returns at once."""
        self._wanted_m = width_m

    def close(self) -> None:
        self._stop.set()
        self._thread.join(2.0)

    def _run(self) -> None:
        going_m, done = None, None
        while not self._stop.wait(_POLL_S):
            try:
                self.width_m = float(self._gripper.width)
                wanted_m = self._wanted_m
                if wanted_m is None or wanted_m == going_m:
                    continue
                if going_m is None and abs(wanted_m - self.width_m) < _TOLERANCE_M:
                    going_m = wanted_m  # The guard asks for where it is.
                    continue
                if done is not None and not done.wait(0.0):
                    self._gripper.stop()
                done, going_m = self._start(wanted_m), wanted_m
            except Exception as error:  # franky has several; the arm's own link says whether all is lost.
                _LOG.warning("the hand does not answer: %s", " ".join(str(error).split()))
                self._stop.wait(1.0)

    def _start(self, width_m: float) -> Any:
        if width_m <= self._settings.closed_width_m + _TOLERANCE_M:
            everything_m = self._settings.open_width_m
            return self._gripper.grasp_async(width_m, SPEED_M_S, GRASP_FORCE_N, everything_m, everything_m)
        return self._gripper.move_async(width_m, SPEED_M_S)
