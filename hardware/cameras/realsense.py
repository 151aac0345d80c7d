"""RealSense cameras (D400 family), by serial number.

The sensors are opened one by one, not through ``rs.pipeline``: it takes what it likes when a wish cannot be met, and
a sensor can be given a software device, which is how the SDK itself tests this file.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from hardware.camera_geometry import Intrinsics
from hardware.cameras.grabbing import CapturedFrame, GrabbingCamera
from hardware.device_settings import CameraSettings
from hardware.interfaces import Clock

_LOG = logging.getLogger(__name__)
_QUEUE = 2
"""Frames the SDK holds for us. Newest wins: all but the last are let go."""


def sdk() -> Any:
    """The vendor's module; ``ConnectionError`` saying how to install it."""
    try:
        import pyrealsense2
    except ImportError as error:
        raise ConnectionError(
            f"RealSense cameras need pyrealsense2 ({error}): pip install 'robot-rl[realsense]', and libusb-1.0-0 "
            "from the system's packages"
        ) from None
    return pyrealsense2


def connected_devices() -> list[Any]:
    """Every RealSense device the SDK finds."""
    return list(sdk().context().query_devices())


class RealSenseCamera(GrabbingCamera):
    """Colour, and depth aligned to it if asked for, at a fixed mode and exposure."""

    def __init__(
        self,
        name: str,
        settings: CameraSettings,
        clock: Clock,
        devices: Callable[[], Iterable[Any]] = connected_devices,
    ) -> None:
        """``devices`` lists the SDK's device objects; those of the computer by default."""
        super().__init__(name, settings, clock)
        self.usb_speed = ""
        """``3.2``, ``2.1`` and the like; empty where the device does not say."""
        self._devices = devices
        self._device: Any = None
        self._sensors: list[Any] = []
        self._queue: Any = None
        self._align: Any = None

    def _open(self) -> None:
        rs = sdk()
        self._device = device = self._find()
        self.usb_speed = _usb_speed(device)
        if self.usb_speed.startswith("2"):
            _LOG.warning("%s is on USB 2: fewer modes, and two such cameras may starve; use USB 3", self.what)
        wanted = [rs.stream.color] + [rs.stream.depth] * self.settings.depth
        self._queue = rs.syncer(_QUEUE) if self.settings.depth else rs.frame_queue(_QUEUE)
        self._align = rs.align(rs.stream.color) if self.settings.depth else None
        try:
            for sensor in device.query_sensors():
                profiles = [self._mode(sensor, stream) for stream in wanted if _offers(sensor, stream)]
                if profiles:
                    self._fix(sensor)
                    if _offers(sensor, rs.stream.color):
                        self.lens = _lens(profiles[0].as_video_stream_profile().get_intrinsics())
                    sensor.open(profiles if len(profiles) > 1 else profiles[0])
                    self._sensors.append(sensor)
                    sensor.start(self._queue)
        except RuntimeError as error:
            self._shut()
            raise ConnectionError(f"{self.what} cannot be started: {error}") from None
        if not self._sensors:
            raise ConnectionError(f"{self.what}: the device {_serial(device)} has no colour picture")

    def _grab(self, timeout_s: float) -> CapturedFrame | None:
        try:
            frame = self._depth_frame(timeout_s) if self.settings.depth else self._colour_frame(timeout_s)
        except RuntimeError as error:
            raise ConnectionError(str(error)) from None
        if frame is None and not self._device.is_connected():
            raise ConnectionError("it was unplugged")
        return frame

    def _shut(self) -> None:
        for sensor in self._sensors:
            for end in (sensor.stop, sensor.close):
                try:
                    end()
                except RuntimeError as error:  # It is gone: nothing is left to free.
                    _LOG.debug("%s: %s", self.what, error)
        self._sensors, self._device = [], None

    def _reset(self) -> None:
        try:
            self._device.hardware_reset()
        except RuntimeError as error:
            _LOG.warning("%s cannot be reset: %s", self.what, error)

    # -- frames ------------------------------------------------------------------------------------------------------

    def _colour_frame(self, timeout_s: float) -> CapturedFrame | None:
        there, frame = self._queue.try_wait_for_frame(round(1000 * timeout_s))
        if not there:
            return None
        while newer := self._queue.poll_for_frame():
            frame = newer
        return _captured(frame.as_video_frame(), None)

    def _depth_frame(self, timeout_s: float) -> CapturedFrame | None:
        there, frames = self._queue.try_wait_for_frames(round(1000 * timeout_s))
        while there and not (frames.get_color_frame() and frames.get_depth_frame()):
            frames = self._queue.poll_for_frames()
            there = bool(frames)
        if not there:
            return None
        both = self._align.process(frames)
        return _captured(both.get_color_frame(), both.get_depth_frame())

    # -- the device --------------------------------------------------------------------------------------------------

    def _find(self) -> Any:
        found = {_serial(device): device for device in self._devices()}
        wanted = self.settings.serial
        if not wanted and len(found) == 1:
            return next(iter(found.values()))
        if wanted in found:
            return found[wanted]
        there = f"connected: {', '.join(sorted(found))}" if found else "no RealSense is connected"
        what = f"serial number {wanted!r} is not there" if wanted else "name its serial number in the cell file"
        raise ConnectionError(f"{self.what}: {what}; {there}")

    def _mode(self, sensor: Any, stream: Any) -> Any:
        """The profile that the cell file asks for, exactly; another size would not fit the crop."""
        rs, settings = sdk(), self.settings
        form = rs.format.rgb8 if stream == rs.stream.color else rs.format.z16
        modes = {
            (video.width(), video.height(), profile.fps()): profile
            for profile in sensor.get_stream_profiles()
            if profile.stream_type() == stream and profile.format() == form
            if (video := profile.as_video_stream_profile())
        }
        mode = (*settings.capture_px, round(settings.frames_per_s))
        if mode not in modes:
            offered = ", ".join("{}x{} at {}/s".format(*each) for each in sorted(modes)) or "none"
            raise ConnectionError(
                f"{self.what} has no mode {mode[0]}x{mode[1]} at {mode[2]}/s ({stream.name}); it offers "
                f"{offered} (fewer on a USB 2 port or cable)"
            )
        return modes[mode]

    def _fix(self, sensor: Any) -> None:
        """Device stamps and a fixed exposure, where the sensor has them."""
        option = sdk().option
        wishes: list[tuple[Any, float]] = [(option.global_time_enabled, 0.0)]  # Its "global" time is the wall clock's.
        if self.settings.exposure_us > 0.0:
            unit_us = 1.0 if _offers(sensor, sdk().stream.depth) else 100.0  # Colour sensors count 100 µs.
            wishes += [(option.enable_auto_exposure, 0.0), (option.exposure, self.settings.exposure_us / unit_us)]
        for which, value in wishes:
            if sensor.supports(which):
                sensor.set_option(which, value)


def _captured(colour: Any, depth: Any) -> CapturedFrame:
    image = np.asanyarray(colour.get_data())
    metres = None if depth is None else np.asanyarray(depth.get_data()).astype(np.float32) * depth.get_units()
    return CapturedFrame(colour.get_frame_number(), 1e-3 * colour.get_timestamp(), image, metres)


def _lens(own: Any) -> Intrinsics | None:
    """Of the SDK's models that OpenCV has too. Its inverse model it projects by the same polynomial."""
    distortion = sdk().distortion
    if own.model not in (distortion.none, distortion.brown_conrady, distortion.inverse_brown_conrady):
        return None
    return Intrinsics((own.fx, own.fy), (own.ppx, own.ppy), tuple(own.coeffs) if any(own.coeffs) else ())


def _serial(device: Any) -> str:
    return str(device.get_info(sdk().camera_info.serial_number))


def _offers(sensor: Any, stream: Any) -> bool:
    return any(profile.stream_type() == stream for profile in sensor.get_stream_profiles())


def _usb_speed(device: Any) -> str:
    what = sdk().camera_info.usb_type_descriptor
    return str(device.get_info(what)) if device.supports(what) else ""
