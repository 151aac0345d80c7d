"""What all real cameras share: a thread that keeps only the newest frame, cut to size and dated."""

from __future__ import annotations

import time
from abc import abstractmethod
from dataclasses import dataclass, replace
from threading import Event
from zlib import crc32

import numpy as np
from PIL import Image

from hardware.camera_geometry import Intrinsics
from hardware.cameras.stamps import ExposureClock
from hardware.device_settings import CameraSettings
from hardware.interfaces import Camera, CameraFrame, Clock, FrameStamp
from hardware.kept_open import KeptOpen

FIRST_FRAME_S = 5.0
"""How long :meth:`GrabbingCamera.connect` waits for a picture."""
STALL_S = 1.0
"""Without a frame for this long the device is reset and opened anew."""
GRAB_S = 0.1


@dataclass(frozen=True, slots=True)
class CapturedFrame:
    """One picture as the device delivers it."""

    counter: int
    """The device's own; stands still where it freezes."""
    device_s: float | None
    """The device's own stamp; None where it gives none."""
    image: np.ndarray
    """uint8 HWC RGB of ``capture_px``; copied before the next one is asked for."""
    depth_m: np.ndarray | None = None
    """float32 HW, metres, aligned to the picture; 0 where unknown."""


class GrabbingCamera(KeptOpen):
    """Implements :class:`hardware.interfaces.Camera` over ``_open``, ``_grab`` and ``_shut`` of a family of devices."""

    def __init__(self, name: str, settings: CameraSettings, clock: Clock) -> None:
        super().__init__(f"camera {name!r}")
        self.name, self.settings, self.clock = name, settings, clock
        self.lens: Intrinsics | None = None
        """Of the captured picture; None where the device does not tell."""
        self._exposures = ExposureClock()
        self._newest: tuple[FrameStamp, CameraFrame] | None = None
        self._counter: int | None = None
        """Of the newest frame, as the device counts; None when it was just opened and counts from anywhere."""
        self._opened = -1
        self._seen_s = 0.0
        self._arrived = Event()

    def connect(self) -> None:
        """Open the device and wait for its first frame; raises ``ConnectionError`` saying what is missing."""
        self._arrived.clear()
        super().connect()
        if not self._arrived.wait(FIRST_FRAME_S):
            self.close()
            raise ConnectionError(f"{self.what} opened, but sent no frame within {FIRST_FRAME_S:g} s{self._why()}")

    def newest(self) -> FrameStamp | None:
        newest = self._newest
        return None if newest is None else newest[0]

    def read_latest(self, max_age_s: float) -> CameraFrame:
        newest = self._newest
        if newest is None:
            raise TimeoutError(f"{self.what} has sent no frame{self._why()}")
        age_s = self.clock.now() - newest[0].stamp_s
        if age_s > max_age_s:
            raise TimeoutError(
                f"{self.what}: newest frame is {age_s:.3f} s old, {max_age_s:g} s are allowed{self._why()}"
            )
        return newest[1]

    @abstractmethod
    def _grab(self, timeout_s: float) -> CapturedFrame | None:
        """The next frame; None after ``timeout_s`` without one; ``ConnectionError`` when the device is gone."""

    def _reset(self) -> None:
        """Restart a device that sends nothing any more, where it can be told to."""

    def _serve(self) -> None:
        if self._opened != self.reconnections:
            self._opened, self._counter, self._seen_s = self.reconnections, None, self.clock.now()
            self._exposures.forget()
        frame = self._grab(GRAB_S)
        if frame is not None and self._keep(frame):
            self._seen_s = self.clock.now()
        elif self.clock.now() - self._seen_s > STALL_S:
            self._reset()
            raise ConnectionError(f"no new frame for {STALL_S:g} s")

    def _keep(self, frame: CapturedFrame) -> bool:
        """Cut to size and put in place of the one before; False where the counter stands still: that one ages."""
        received_s = self.clock.now()
        before = self._newest
        if before is None or self._counter is None:
            sequence = 0 if before is None else before[0].sequence + 1
        elif frame.counter <= self._counter:
            return False
        else:
            sequence = before[0].sequence + frame.counter - self._counter
        self._counter = frame.counter
        stamp_s = received_s if frame.device_s is None else self._exposures.stamp_s(frame.device_s, received_s)
        image = cut(frame.image, self.settings)
        cut_frame = CameraFrame(stamp_s, sequence, image)
        if frame.depth_m is not None:
            cut_frame = replace(cut_frame, depth_m=cut(frame.depth_m, self.settings))
        self._newest = FrameStamp(stamp_s, sequence, crc32(image.data)), cut_frame
        self._arrived.set()
        return True

    def _why(self) -> str:
        return f" (lost: {self.trouble}; trying to get it back)" if self.trouble else "; check its cable"


def first_picture(camera: Camera, timeout_s: float = FIRST_FRAME_S) -> np.ndarray:
    """Of a camera that is connected for it alone. Raises ``ConnectionError``, or ``TimeoutError``."""
    camera.connect()
    try:
        deadline_s = time.monotonic() + timeout_s
        while camera.newest() is None and time.monotonic() < deadline_s:
            time.sleep(0.05)
        return camera.read_latest(timeout_s).image
    finally:
        camera.close()


def cut(picture: np.ndarray, settings: CameraSettings) -> np.ndarray:
    """``picture`` (HW or HWC) cropped and resized as the cell file says; a copy. Depth is sampled, never mixed."""
    left, top, width, height = settings.crop
    kept, size = picture[top : top + height, left : left + width], (settings.width_px, settings.height_px)
    if (width, height) == size:
        return kept.copy()
    how = Image.Resampling.NEAREST if picture.ndim == 2 else Image.Resampling.BOX
    return np.asarray(Image.fromarray(np.ascontiguousarray(kept)).resize(size, how)).copy()
