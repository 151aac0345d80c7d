"""The thread between the control loop and the page."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping
from threading import Event, Thread

from hardware.interfaces import CameraFrame
from robot_rl.console.page import Page
from robot_rl.console.snapshot import Slot, Snapshot

_LOG = logging.getLogger(__name__)
PERIOD_S = 1.0 / 15.0
FRAME_EVERY = 3
"""Pictures cost most, so they go first: one of so many snapshots brings new ones."""
SWITCH_S = 0.0005
"""How long a viewer may keep the interpreter when the control thread is due."""

Draw = Callable[[Snapshot], Mapping[str, CameraFrame]]


class Viewer:
    """Takes the newest snapshot from ``slot`` and shows it, while anybody looks. Where it is slow, snapshots drop."""

    def __init__(self, slot: Slot, page: Page, draw: Draw = lambda snapshot: snapshot.frames) -> None:
        """``draw``: the pictures that belong to a snapshot; called on the viewer's own thread."""
        self._slot, self._page, self._draw = slot, page, draw
        self._stop = Event()
        self._thread = Thread(target=self._run, name="console viewer", daemon=True)
        sys.setswitchinterval(min(sys.getswitchinterval(), SWITCH_S))
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        count, failed = 0, False
        while not self._stop.wait(PERIOD_S):
            snapshot = self._slot.take(0.5)
            if snapshot is None or not self._page.watched:
                continue
            try:
                self._page.show(snapshot)
                if count % FRAME_EVERY == 0:
                    self._page.show_frames(self._draw(snapshot), snapshot.stamp_s)
                count += 1
            except Exception as error:  # Whatever the page's library or the renderer raises, the robot goes on.
                if not failed:
                    _LOG.warning("the console cannot show the robot: %s", error)
                failed = True
