"""Cameras without cameras: the SDK's own software device, and a stream as a network camera sends it."""

from __future__ import annotations

import io
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

import numpy as np
import pytest
from PIL import Image

WIDTH, HEIGHT, FRAMES_PER_S = 640, 480, 30


class SoftwareRealSense:
    """A device of librealsense itself that shows what it is told to, 30 times a second: ``play`` starts it."""

    def __init__(self, serial: str = "123456", depth: bool = False, counter: int = 0) -> None:
        self.rs = rs = pytest.importorskip("pyrealsense2", reason="needs the extra 'realsense'", exc_type=ImportError)
        self.device = rs.software_device()
        self.device.register_info(rs.camera_info.serial_number, serial)
        self.device.register_info(rs.camera_info.name, "software device")
        self._colour = self.device.add_sensor("RGB")
        self._colour_profile = self._colour.add_video_stream(self._stream(rs.stream.color, rs.format.rgb8, 3, 1))
        self._depth = None
        if depth:
            self._depth = self.device.add_sensor("Depth")
            self._depth.add_read_only_option(rs.option.depth_units, 0.001)
            self._depth_profile = self._depth.add_video_stream(self._stream(rs.stream.depth, rs.format.z16, 2, 2))
            apart = rs.extrinsics()
            apart.rotation, apart.translation = [1, 0, 0, 0, 1, 0, 0, 0, 1], [0.05, 0.0, 0.0]
            self._depth_profile.register_extrinsics_to(self._colour_profile, apart)
            self.device.create_matcher(rs.matchers.default)
        self.counter, self.advancing = counter, True
        self.ticks = 0
        self._stop, self.paused = Event(), Event()

    def show(self, shade: int | None = None) -> None:
        """One frame, dated by the device's own clock, whose unit is a frame's time: the syncer pairs by that."""
        self.counter += self.advancing
        stamp_ms = 1000.0 * (self.ticks + 1) / FRAMES_PER_S
        shade = self.counter % 256 if shade is None else shade
        picture = np.full((HEIGHT, WIDTH, 3), (shade, 0, 255 - shade), np.uint8)
        self._send(self._colour, self._colour_profile, picture, stamp_ms)
        if self._depth is not None:
            self._send(self._depth, self._depth_profile, np.full((HEIGHT, WIDTH), 1000, np.uint16), stamp_ms, 0.001)

    def play(self) -> None:
        """Show a frame 30 times a second; while ``paused``, time goes on and frames are lost."""

        def run() -> None:
            start_s = time.monotonic()
            while not self._stop.wait(max(0.0, start_s + (self.ticks + 1) / FRAMES_PER_S - time.monotonic())):
                if not self.paused.is_set():
                    self.show()
                self.ticks += 1

        Thread(target=run, daemon=True).start()

    def stop(self) -> None:
        self._stop.set()

    def _stream(self, kind: Any, form: Any, bytes_per_pixel: int, uid: int) -> Any:
        stream, lens = self.rs.video_stream(), self.rs.intrinsics()
        lens.width, lens.height, lens.fx, lens.fy, lens.ppx, lens.ppy = WIDTH, HEIGHT, 600, 600, WIDTH / 2, HEIGHT / 2
        lens.model, lens.coeffs = self.rs.distortion.none, [0.0] * 5
        stream.type, stream.fmt, stream.index, stream.uid = kind, form, 0, uid
        stream.width, stream.height, stream.fps = WIDTH, HEIGHT, FRAMES_PER_S
        stream.bpp, stream.intrinsics = bytes_per_pixel, lens
        return stream

    def _send(self, sensor: Any, profile: Any, pixels: np.ndarray, stamp_ms: float, units: float | None = None) -> None:
        frame = self.rs.software_video_frame()
        frame.pixels, frame.profile = pixels, profile.as_video_stream_profile()
        frame.bpp = pixels.itemsize * (pixels.shape[2] if pixels.ndim == 3 else 1)
        frame.stride = WIDTH * frame.bpp
        frame.timestamp, frame.domain = stamp_ms, self.rs.timestamp_domain.hardware_clock
        frame.frame_number = self.counter
        if units is not None:
            frame.depth_units = units
        with suppress(RuntimeError):  # Nobody has it open.
            sensor.on_video_frame(frame)


class NetworkCamera:
    """Motion JPEG over HTTP on this machine, 30 pictures a second, each a little lighter."""

    def __init__(self) -> None:
        camera = self
        self.paused, self.hang_up = Event(), Event()
        self.shown = 0

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                try:
                    while not camera.hang_up.is_set():
                        if not camera.paused.is_set():
                            picture = camera.picture()
                            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
                            self.wfile.write(head.encode() + picture + b"\r\n")
                        time.sleep(1.0 / 30.0)
                except OSError:
                    pass

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/stream.mjpg"

    def picture(self) -> bytes:
        self.shown += 1
        buffer = io.BytesIO()
        Image.new("RGB", (WIDTH, HEIGHT), (self.shown % 200, 40, 250)).save(buffer, "jpeg")
        return buffer.getvalue()

    def close(self) -> None:
        self.hang_up.set()
        self._server.shutdown()
        self._server.server_close()
