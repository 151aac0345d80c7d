"""Webcams and other V4L2 cameras by OpenCV, and whatever else it opens: a stream's address, a recorded file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from hardware.cameras.grabbing import CapturedFrame, GrabbingCamera
from hardware.device_settings import CameraSettings
from hardware.interfaces import Clock

BY_ID = Path("/dev/v4l/by-id")
_MANUAL, _EXPOSURE_UNIT_US = 1.0, 100.0
"""V4L2's ``exposure_auto`` and ``exposure_absolute``."""
_READ_TIMEOUT_S = 1


def sdk() -> Any:
    """OpenCV; ``ConnectionError`` saying how to install it."""
    os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", str(_READ_TIMEOUT_S))
    try:
        import cv2
    except ImportError as error:
        raise ConnectionError(f"UVC cameras need OpenCV ({error}): pip install 'robot-rl[uvc]'") from None
    return cv2


def connected_paths() -> list[str]:
    """Stable paths of the V4L2 cameras of this computer; the first stream of each."""
    return sorted(str(path) for path in BY_ID.glob("*-index0")) if BY_ID.is_dir() else []


class UvcCamera(GrabbingCamera):
    """A camera by its stable path. OpenCV gives no frame counter: frames are counted as they come, so that a device
    which repeats a picture is found by its digest (S17)."""

    def __init__(self, name: str, settings: CameraSettings, clock: Clock) -> None:
        super().__init__(name, settings, clock)
        self._capture: Any = None
        self._count = 0

    def _open(self) -> None:
        cv2, settings, path = sdk(), self.settings, self.settings.path
        if not path or (path.startswith("/") and not Path(path).exists()):
            there = ", ".join(connected_paths()) or f"nothing in {BY_ID}"
            raise ConnectionError(f"{self.what}: no device {path!r}; connected: {there}")
        if path.startswith("/dev/"):
            self._capture = cv2.VideoCapture(path, cv2.CAP_V4L2)
        else:
            timeout_ms = 1000 * _READ_TIMEOUT_S
            timeouts = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, 3 * timeout_ms, cv2.CAP_PROP_READ_TIMEOUT_MSEC, timeout_ms]
            self._capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG, timeouts)
        if not self._capture.isOpened():
            raise ConnectionError(f"{self.what}: {path} cannot be opened; does another program have it?")
        width, height = settings.capture_px
        self._ask(cv2.CAP_PROP_FOURCC, cv2.VideoWriter_fourcc(*"MJPG"))  # Raw pictures starve a USB 2 bus of two.
        for what, value in (
            (cv2.CAP_PROP_FRAME_WIDTH, width),
            (cv2.CAP_PROP_FRAME_HEIGHT, height),
            (cv2.CAP_PROP_FPS, settings.frames_per_s),
            (cv2.CAP_PROP_BUFFERSIZE, 1),
        ):
            self._ask(what, value)
        if settings.exposure_us > 0.0:
            self._ask(cv2.CAP_PROP_AUTO_EXPOSURE, _MANUAL)
            self._ask(cv2.CAP_PROP_EXPOSURE, settings.exposure_us / _EXPOSURE_UNIT_US)
        got = tuple(round(self._capture.get(w)) for w in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        if got != (width, height):
            self._shut()
            raise ConnectionError(
                f"{self.what} delivers {got[0]}x{got[1]}, not {width}x{height}: set capture_px to that"
            )

    def _grab(self, timeout_s: float) -> CapturedFrame | None:
        cv2 = sdk()
        there, picture = self._capture.read()
        if not there:
            raise ConnectionError(f"{self.settings.path} sends no more pictures")
        self._count += 1
        milliseconds = self._capture.get(cv2.CAP_PROP_POS_MSEC)
        stamp_s = 1e-3 * milliseconds if milliseconds > 0.0 else None
        return CapturedFrame(self._count, stamp_s, cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))

    def _shut(self) -> None:
        if self._capture is not None:
            self._capture.release()
            self._capture = None

    def _ask(self, what: int, value: float) -> None:
        """A wish that a stream or file is free to ignore."""
        self._capture.set(what, value)
