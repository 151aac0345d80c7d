"""Robotiq's 2F-85 through its URCap: a line of text at a time to the arm's controller, from a thread of its own."""

from __future__ import annotations

import logging
import socket
from threading import Event, Thread

from hardware.cell import GripperSettings

PORT = 63352
STROKE_M = 0.085
"""Between the fingers at position 0; at 255 they are closed."""
SPEED, FORCE = 128, 20
"""Of 255 each; 20 to 235 N by the data sheet, so about 37 N."""
_ACTIVE = 3
_POLL_S = 0.04
_TIMEOUT_S = 1.0
_LOG = logging.getLogger(__name__)


class Robotiq2F85:
    """Goes to the newest width asked for; it stops by itself at whatever is between the fingers."""

    def __init__(self, address: str, settings: GripperSettings) -> None:
        """Moves nothing; ``ConnectionError`` where there is none, or one that is not activated (which moves it)."""
        self.width_m = 0.0
        """The newest measured."""
        self._address, self._settings = address, settings
        self._wanted: int | None = None
        self._asked: int | None = None
        self._stop = Event()
        try:
            self._socket = socket.create_connection((address, PORT), _TIMEOUT_S)
            status = self._get("STA")
            self._read_width()
        except OSError as error:
            raise ConnectionError(
                f"no Robotiq gripper at {address} ({error}): install its URCap; is it plugged in?"
            ) from None
        if status != _ACTIVE:
            self._socket.close()
            raise ConnectionError(f"the Robotiq gripper at {address} is not activated: do it on the pendant, it moves")
        self._thread = Thread(target=self._run, name="Robotiq", daemon=True)
        self._thread.start()

    def go_to(self, width_m: float) -> None:
        """Returns at once."""
        self._wanted = position(min(max(width_m, self._settings.closed_width_m), self._settings.open_width_m))

    def close(self) -> None:
        self._stop.set()
        self._thread.join(2.0)
        self._socket.close()

    def _run(self) -> None:
        while not self._stop.wait(_POLL_S):
            try:
                self._read_width()
                if self._wanted is not None and self._wanted != self._asked:
                    self._asked = self._wanted
                    self._send(f"SET SPE {SPEED} FOR {FORCE} POS {self._asked} GTO 1")
            except OSError as error:  # The arm's own link says whether all is lost.
                _LOG.warning("the gripper does not answer: %s", error)
                self._stop.wait(1.0)

    def _read_width(self) -> None:
        self.width_m = STROKE_M * (1.0 - self._get("POS") / 255.0)

    def _get(self, name: str) -> int:
        words = self._send(f"GET {name}").split()
        if len(words) != 2 or words[0] != name or not words[1].isdigit():
            raise OSError(f"asked for {name}, it answered {' '.join(words)!r}")
        return int(words[1])

    def _send(self, line: str) -> str:
        self._socket.sendall(f"{line}\n".encode())
        answer = self._socket.recv(1024)
        if not answer:
            raise OSError("the connection is closed")
        return answer.decode(errors="replace")


def position(width_m: float) -> int:
    """The gripper's count for a distance between the fingers."""
    return round(255 * (1.0 - min(max(width_m / STROKE_M, 0.0), 1.0)))
