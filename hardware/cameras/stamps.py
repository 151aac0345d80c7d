"""When a frame was exposed, by the receiver's clock."""

from __future__ import annotations

from collections import deque


class ExposureClock:
    """Turns a device's stamps into the receiver's time.

    A frame arrives late by the fastest way through cable and driver, plus whatever held it up. The device's own stamps
    do not wait, so the smallest lateness of the last ``window`` frames ties one clock to the other: a frame that was
    held up is dated back to its exposure. The fastest way itself is not known from here: stamps are late by it. A
    stamp is never later than the arrival, so that a wrong device clock makes a frame look older, never younger.
    """

    def __init__(self, window: int = 300) -> None:
        self._lateness_s: deque[float] = deque(maxlen=window)

    def stamp_s(self, device_s: float, received_s: float) -> float:
        """When the frame that the device dated ``device_s`` was exposed; it was ``received_s`` when it came."""
        self._lateness_s.append(received_s - device_s)
        return min(device_s + min(self._lateness_s), received_s)

    def forget(self) -> None:
        """The device was started anew: its clock too."""
        self._lateness_s.clear()
