"""What a person says of an episode by the buttons of whatever they drive with."""

from __future__ import annotations

from hardware.interfaces import TeleopDevice, TeleopSample


class WithLabels:
    """Implements :class:`hardware.interfaces.TeleopDevice` over ``device``, and remembers the last press of success or
    failure. A button that is still down says nothing anew."""

    def __init__(self, device: TeleopDevice) -> None:
        self.device = device
        self._said: str | None = None
        self._down = (False, False)

    @property
    def trouble(self) -> str:
        """Why the device is lost; empty while it works."""
        return str(getattr(self.device, "trouble", ""))

    def connect(self) -> None:
        self.device.connect()

    def read(self, now: float) -> TeleopSample:
        sample = self.device.read(now)
        before, self._down = self._down, (sample.success, sample.failure)
        for word, was, down in zip(("success", "failure"), before, self._down, strict=True):
            if down and not was:
                self._said = word
        return sample

    def verdict(self) -> str | None:
        """``success`` or ``failure``; None while nothing has been said since :meth:`forget`."""
        return self._said

    def forget(self) -> None:
        """What was said was of the last episode."""
        self._said = None

    def close(self) -> None:
        self.device.close()
