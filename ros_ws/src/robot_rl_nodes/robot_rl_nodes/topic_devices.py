"""Devices whose drivers are other nodes, behind the Protocols of :mod:`hardware.interfaces`: what they last said, no
younger than when it arrived. A node that falls silent simply ages, and the guard holds (S13, S16).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from threading import Condition
from typing import Any

import numpy as np
from sensor_msgs.msg import Image, JointState, Joy

from hardware.interfaces import Camera, CameraFrame, Clock, FrameStamp, TeleopDevice, TeleopSample
from robot_rl_nodes import topics
from robot_rl_nodes.conversions import from_time
from robot_rl_nodes.ros import qos
from robot_rl_nodes.standard_messages import FrameMark, from_image, from_joy, from_mark

_KEPT = 8
"""Marks or images that wait for the other half."""
_NOTHING = np.zeros((0, 0, 3), np.uint8)


class TopicTeleop(TeleopDevice):
    """A teleop node. ``corrupt()`` is called for a message that cannot be read (S21)."""

    def __init__(self, node: Any, clock: Clock, corrupt: Callable[[], None]):
        self._clock, self._corrupt = clock, corrupt
        self._sample = TeleopSample(heartbeat_s=0.0)
        node.create_subscription(Joy, topics.TELEOP.name, self._take, qos(topics.TELEOP))

    def connect(self) -> None: ...

    def read(self, now: float) -> TeleopSample:
        return self._sample

    def close(self) -> None: ...

    def _take(self, message: Joy) -> None:
        try:
            sample = from_joy(message)
        except ValueError:
            self._corrupt()
            return
        self._sample = replace(sample, heartbeat_s=min(sample.heartbeat_s, self._clock.now()))


class TopicCamera(Camera):
    """A camera node. ``images`` False: only what is said of its frames, as the guard needs; they are empty then."""

    def __init__(self, node: Any, name: str, clock: Clock, corrupt: Callable[[], None], images: bool = True):
        self.name, self._clock, self._corrupt, self._images = name, clock, corrupt, images
        self._seen = 0
        self._newest: FrameStamp | None = None
        self._frame: CameraFrame | None = None
        self._marks: deque[FrameMark] = deque(maxlen=_KEPT)
        self._waiting: deque[Image] = deque(maxlen=_KEPT)
        self._arrived = Condition()
        frame, image = topics.FRAME.of(name), topics.IMAGE.of(name)
        node.create_subscription(JointState, frame.name, self._take_mark, qos(frame))
        if images:
            node.create_subscription(Image, image.name, self._take_image, qos(image))

    def connect(self) -> None: ...

    def newest(self) -> FrameStamp | None:
        return self._newest

    def read_latest(self, max_age_s: float) -> CameraFrame:
        frame, now = self._frame, self._clock.now()
        if frame is None or now - frame.stamp_s > max_age_s:
            age = "has sent no frame" if frame is None else f"newest frame is {now - frame.stamp_s:.3f} s old"
            raise TimeoutError(f"camera {self.name!r}: {age}, {max_age_s:g} s allowed; is its node running?")
        return frame

    def wait(self, seconds: float) -> bool:
        """Until a first frame is here."""
        with self._arrived:
            return self._arrived.wait_for(lambda: self._frame is not None, seconds)

    def count(self) -> tuple[int, int]:
        """How many frames were complete, and the newest one's number, -1 without one."""
        with self._arrived:
            return self._seen, -1 if self._frame is None else self._frame.sequence

    def close(self) -> None: ...

    def _take_mark(self, message: JointState) -> None:
        try:
            mark = from_mark(message)
        except ValueError:
            self._corrupt()
            return
        self._newest = FrameStamp(min(mark.stamp_s, self._clock.now()), mark.sequence, mark.digest)
        if self._images:
            self._marks.append(mark)
            self._match()
        else:
            self._frame = CameraFrame(self._newest.stamp_s, mark.sequence, _NOTHING)

    def _take_image(self, message: Image) -> None:
        self._waiting.append(message)
        self._match()

    def _match(self) -> None:
        """Whichever comes last, mark or image, completes the frame."""
        for image in reversed(self._waiting):
            stamp_s = from_time(image.header.stamp)
            mark = next((m for m in self._marks if abs(m.stamp_s - stamp_s) < 1e-6), None)
            if mark is None:
                continue
            try:
                frame = CameraFrame(min(mark.stamp_s, self._clock.now()), mark.sequence, from_image(image))
            except ValueError:
                self._corrupt()
                frame = None
            self._waiting.clear()
            if frame is not None:
                with self._arrived:
                    self._frame = frame
                    self._seen += 1
                    self._arrived.notify_all()
            return
