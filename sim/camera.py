"""The twin's camera."""

from __future__ import annotations

from collections import deque
from difflib import get_close_matches
from math import ceil
from typing import NamedTuple

import mujoco
import numpy as np

from hardware.camera_geometry import Intrinsics
from hardware.interfaces import CameraFrame, Clock, FrameStamp
from sim.world import World

CAPTURE_PERIOD_S = 0.01
"""How finely a twin camera's age can be set; a frame is drawn only when it is read."""
MAX_DELAY_S = 0.5
"""The longest camera delay that can be set."""


class _Capture(NamedTuple):
    step: int
    qpos: np.ndarray
    mocap_pos: np.ndarray
    mocap_quat: np.ndarray


class SimCamera:
    """A named camera of a world. Every 10 ms it notes where everything is; a frame is drawn when it is read, as the
    scene was one camera delay ago. So frames that nobody looks at cost nothing."""

    def __init__(self, world: World, name: str, size: int, clock: Clock):
        self.world, self.name, self.size, self.clock = world, name, size, clock
        known = [world.model.camera(i).name for i in range(world.model.ncam)]
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise ValueError(f"no camera {name!r} in this scene; {hint}it has {', '.join(known)}")
        self._scratch = mujoco.MjData(world.model)
        self._captures: deque[_Capture] = deque(maxlen=ceil(MAX_DELAY_S / CAPTURE_PERIOD_S))
        self._generation = -1
        self._drawn: tuple[int, int, CameraFrame] | None = None
        clock.every(CAPTURE_PERIOD_S, self._capture)

    @property
    def lens(self) -> Intrinsics:
        """How its pictures map."""
        return self.world.lens(self.name, self.size, self.size)

    def connect(self) -> None:
        """Draw once, so that a missing renderer is found before an episode; raises ``RendererUnavailable``."""
        self.world.render(self.name, self.size, self.size)

    def close(self) -> None:
        """Nothing of its own to free: the world owns the renderers."""

    def newest(self) -> FrameStamp:
        """When the frame that :meth:`read_latest` would draw was exposed, without drawing it."""
        step = self._chosen().step
        return FrameStamp(step * self.world.timestep_s, step)

    def read_latest(self, max_age_s: float) -> CameraFrame:
        """The newest frame that a camera of this delay would have delivered; ``TimeoutError`` if it is too old."""
        frame = self._draw(self._chosen())
        age_s = self.world.time_s - frame.stamp_s
        if age_s > max_age_s:
            raise TimeoutError(f"camera {self.name!r}: newest frame is {age_s:.3f} s old, {max_age_s:g} s allowed")
        return frame

    def _chosen(self) -> _Capture:
        world = self.world
        if self._generation != world.generation:
            self._capture(world.time_s)
        newest = world.steps - self.clock.delay_s("camera") / world.timestep_s + 1e-6
        # Just after a reset no capture is old enough: the oldest since then must do.
        return next((c for c in reversed(self._captures) if c.step <= newest), self._captures[0])

    def _capture(self, now: float) -> None:
        world = self.world
        if self._generation != world.generation:
            self._captures.clear()
            self._generation = world.generation
        data = world.data
        self._captures.append(_Capture(world.steps, data.qpos.copy(), data.mocap_pos.copy(), data.mocap_quat.copy()))

    def _draw(self, capture: _Capture) -> CameraFrame:
        key = (self._generation, capture.step)
        if self._drawn is not None and self._drawn[:2] == key:
            return self._drawn[2]
        scratch, model = self._scratch, self.world.model
        scratch.qpos[:] = capture.qpos
        scratch.mocap_pos[:], scratch.mocap_quat[:] = capture.mocap_pos, capture.mocap_quat
        mujoco.mj_kinematics(model, scratch)
        mujoco.mj_camlight(model, scratch)
        image = self.world.render(self.name, self.size, self.size, scratch)
        frame = CameraFrame(capture.step * self.world.timestep_s, capture.step, image)
        self._drawn = (*key, frame)
        return frame
