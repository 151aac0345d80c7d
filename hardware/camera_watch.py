"""The cameras of a cell: how each is doing, tick by tick, and sets of frames that belong together (S16, S17, S18)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from hardware.camera_health import CameraHealth, look, skew_s
from hardware.cell import CameraSettings
from hardware.interfaces import Camera, CameraFrame, Clock, FrameStamp, Vector3

_LOG = logging.getLogger(__name__)
_PATIENCE_S, _POLL_S = 0.5, 0.01


class CameraWatch:
    """Looks at every camera without waiting for any; ``settings`` are the cell's, by name, defaults for the others."""

    def __init__(
        self, cameras: Mapping[str, Camera], settings: Mapping[str, CameraSettings], max_skew_s: float, now: float
    ) -> None:
        self.cameras = cameras
        self._settings = {name: settings.get(name, CameraSettings()) for name in cameras}
        self._max_skew_s = max_skew_s
        self._frames: Mapping[str, CameraFrame] = {}
        self.skew_s: float | None = None
        """Of the newest set of frames taken; None until :meth:`take`, and again after :meth:`reported_skew_s`."""
        self.restart(now)

    def restart(self, now: float) -> None:
        """Forget what was seen: time or scene has jumped, as in a twin."""
        self._health = {
            name: CameraHealth(name, 1.0 / settings.frames_per_s, now) for name, settings in self._settings.items()
        }
        self._frames = {}

    def look(self, position_m: Vector3) -> tuple[CameraHealth, ...]:
        """How every camera is, the end effector being at ``position_m``."""
        for name, camera in self.cameras.items():
            self._health[name] = look(self._health[name], _newest(camera), position_m)
        return tuple(self._health.values())

    def take(self) -> Mapping[str, CameraFrame]:
        """The newest frame of each, or, where these were exposed too far apart, the set before; ``TimeoutError`` naming
        a camera whose frame is too old, or when no set was ever together."""
        frames = {name: camera.read_latest(self._settings[name].max_age_s) for name, camera in self.cameras.items()}
        self.skew_s = skew_s(frame.stamp_s for frame in frames.values())
        if self.skew_s <= self._max_skew_s:
            self._frames = frames
        elif not self._frames:
            raise TimeoutError(
                f"cameras {', '.join(frames)}: their newest frames were exposed {1000 * self.skew_s:.0f} ms apart, "
                f"{1000 * self._max_skew_s:.0f} ms are allowed; check their rates and cables"
            )
        return self._frames

    def take_or_last(self, clock: Clock, holds: Callable[[], bool]) -> Mapping[str, CameraFrame]:
        """:meth:`take`, except that frames which are too old end no session: they are waited for, until new ones come,
        as where this process alone stood still, or until the guard ``holds``, for that very reason perhaps (S16), and
        the last set stands in. Raises as :meth:`take` where neither happens, or no set has been taken before."""
        deadline_s = clock.now() + _PATIENCE_S
        while True:
            try:
                return self.take()
            except TimeoutError as error:
                if self._frames and holds():
                    _LOG.warning("%s; the guard holds, and the last pictures stand in", error)
                    return self._frames
                if not self._frames or clock.now() >= deadline_s:
                    raise
            clock.sleep_until(clock.now() + _POLL_S)

    def reported_skew_s(self) -> float | None:
        """The skew of a set taken since the last call; None if none was."""
        skew, self.skew_s = self.skew_s, None
        return skew


def _newest(camera: Camera) -> FrameStamp | None:
    try:
        return camera.newest()
    except ConnectionError:
        return None  # It ages, and the guard holds (S16).
