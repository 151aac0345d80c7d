"""A device that a thread of its own serves, and opens anew when it is lost."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from threading import Event, Thread

BACK_OFF_S = (0.2, 5.0)
"""The first wait before a lost device is opened again, and the longest; each is twice the one before."""
_JOIN_S = 3.0
_LOG = logging.getLogger(__name__)


class KeptOpen(ABC):
    """A family of devices says how to open, serve and shut one; a single thread calls all three."""

    def __init__(self, what: str) -> None:
        """``what`` names it in messages."""
        self.what = what
        self.trouble = ""
        """Why it is lost; empty while it works."""
        self.reconnections = 0
        self._stop = Event()
        self._thread: Thread | None = None

    def connect(self) -> None:
        """Open it, and serve it from here on; raises ``ConnectionError`` saying what is missing."""
        self.close()
        self._open()
        self._stop.clear()
        self._thread = Thread(target=self._run, name=self.what, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread and free the device."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_JOIN_S)
            self._thread = None

    @abstractmethod
    def _open(self) -> None:
        """Find and start the device; ``ConnectionError``, one line, where that fails. Then nothing is left open."""

    @abstractmethod
    def _serve(self) -> None:
        """Take what the device has, waiting 0.1 s for it at most; ``ConnectionError`` when the device is gone."""

    @abstractmethod
    def _shut(self) -> None:
        """Stop and free the device; does not raise."""

    def _run(self) -> None:
        pause_s, opened = BACK_OFF_S[0], True
        while not self._stop.is_set():
            try:
                if not opened:
                    self._open()
                    opened = True
                    self.reconnections += 1
                self._serve()
                if self.trouble:
                    _LOG.warning("%s is back", self.what)
                    self.trouble, pause_s = "", BACK_OFF_S[0]
            except ConnectionError as error:
                if not self.trouble:
                    _LOG.warning("%s is lost: %s", self.what, error)
                self.trouble = str(error)
                if opened:
                    self._shut()
                opened = False
                self._stop.wait(pause_s)
                pause_s = min(2.0 * pause_s, BACK_OFF_S[1])
        if opened:
            self._shut()
