"""What all devices of a person share: a thread that polls, and the way from a deflection to what the guard reads."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from math import cos, inf, sin
from typing import NamedTuple

from hardware.device_settings import AXES, TeleopSettings
from hardware.interfaces import ZERO6, Clock, Gripper, TeleopSample, Vector6
from hardware.kept_open import KeptOpen

STALE_S = 0.1
"""A reading older than this moves nothing, whoever asks (S13)."""
GRIPPER_WISH_S = 0.3
"""How long a press of a gripper button is a wish, and a takeover: the guard listens to a person's gripper only then."""


class Reading(NamedTuple):
    """What a device shows, in its own axes: x forward, y left, z up, and turns about these."""

    deflection: Vector6 = ZERO6
    """-1 to 1."""
    buttons: tuple[bool, ...] = ()


class Interpreter:
    """From readings to samples: dead-band, axes, frame, scale and buttons, as the cell file says."""

    def __init__(self, settings: TeleopSettings) -> None:
        self.settings = settings
        self._pressed: frozenset[str] = frozenset()
        self._wish, self._wished_s = Gripper.HOLD, -inf
        self._toggled = Gripper.OPEN

    def sample(self, reading: Reading, now: float) -> TeleopSample:
        """What the guard is told of ``reading``, polled at ``now``."""
        settings = self.settings
        does = zip(settings.buttons, reading.buttons, strict=False)
        pressed = frozenset(what for what, down in does if down and what)
        self._take_wish(pressed - self._pressed, now)
        self._pressed = pressed
        wishing = now - self._wished_s < GRIPPER_WISH_S
        twist = self._twist(reading.deflection)
        return TeleopSample(
            heartbeat_s=now,
            twist=twist,
            takeover=twist != ZERO6 or "takeover" in pressed or wishing,
            gripper=self._wish if wishing else Gripper.HOLD,
            success="success" in pressed,
            failure="failure" in pressed,
            enabled="enable" in pressed if settings.enable_switch else None,
        )

    def _take_wish(self, newly: frozenset[str], now: float) -> None:
        if "gripper" in newly:
            self._toggled = Gripper(-self._toggled)
        elif "open" in newly or "close" in newly:
            self._toggled = Gripper.OPEN if "open" in newly else Gripper.CLOSE
        else:
            return
        self._wish, self._wished_s = self._toggled, now

    def _twist(self, deflection: Vector6) -> Vector6:
        settings = self.settings
        band, own = settings.dead_band, dict(zip(AXES, deflection, strict=True))
        moved = []
        for axis in settings.axes:
            value = -own[axis[1:]] if axis.startswith("-") else own[axis]
            size = min((abs(value) - band) / (1.0 - band), 1.0)
            moved.append(0.0 if size <= 0.0 else settings.scale * (size if value > 0.0 else -size))
        x, y, z, roll, pitch, yaw = moved
        if settings.yaw_rad == 0.0:
            return x, y, z, roll, pitch, yaw
        c, s = cos(settings.yaw_rad), sin(settings.yaw_rad)
        turned = (c * x - s * y, s * x + c * y, z, c * roll - s * pitch, s * roll + c * pitch, yaw)
        a, b, d, e, f, g = (min(max(value, -1.0), 1.0) for value in turned)
        return a, b, d, e, f, g


class PollingTeleop(KeptOpen):
    """Implements :class:`hardware.interfaces.TeleopDevice` over ``_open``, ``_poll`` and ``_shut`` of a family."""

    POLL_S = 0.005

    def __init__(self, what: str, settings: TeleopSettings, clock: Clock) -> None:
        super().__init__(what)
        self.settings, self.clock = settings, clock
        self._interpreter = Interpreter(settings)
        self._sample = TeleopSample(heartbeat_s=-inf)

    def connect(self) -> None:
        super().connect()
        self._sample = TeleopSample(heartbeat_s=self.clock.now())

    def read(self, now: float) -> TeleopSample:
        """The newest sample. Where polls have stopped it says so by its heartbeat, and its deflection is nought."""
        sample = self._sample
        return replace(sample, twist=ZERO6, takeover=False) if now - sample.heartbeat_s > STALE_S else sample

    @abstractmethod
    def _poll(self) -> Reading:
        """What the device shows now, without waiting; ``ConnectionError`` when it is gone."""

    def _serve(self) -> None:
        reading = self._poll()
        self._sample = self._interpreter.sample(reading, self.clock.now())
        self._stop.wait(self.POLL_S)
