"""The twin's devices in processes of their own: each mirrors the scene that the twin's process serves
(:mod:`sim.scene_server`) and sees it as a camera or as the scripted person.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from hardware.camera_geometry import Intrinsics
from hardware.cameras.grabbing import cut
from hardware.cell import CameraSettings, Cell
from hardware.clock import RealClock
from hardware.devices import Devices
from hardware.interfaces import CameraFrame, FrameStamp, NoTeleop, TeleopSample
from sim import remote_arm
from sim.scene_server import MAX_PACKET_BYTES, SCENE_MARK, SOCKET, STATE_MARK, Scene, unpack_state
from sim.scripted_human import ScriptedHuman
from sim.tasks import make_task
from sim.tasks.base import TwinTask

ANSWER_TIMEOUT_S = 5.0


class SceneMirror:
    """A copy of the twin's scene, as new as the last :meth:`refresh`; ``ConnectionError`` where none is served."""

    def __init__(self, path: Path, now: Callable[[], float] = time.monotonic):
        """``now``: the clock of the machine; it only limits how long an answer is waited for."""
        self.path, self._now = path, now
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.settimeout(ANSWER_TIMEOUT_S)
        try:
            self._socket.connect(str(path))
            scene, state = self._socket.recv(MAX_PACKET_BYTES), self._socket.recv(MAX_PACKET_BYTES)
        except OSError as error:
            self._socket.close()
            raise ConnectionError(
                f"no twin shows its scene at {path} ({error}); start one with `robot-rl twin`"
            ) from None
        self._socket.setblocking(False)
        self._read_scene(scene, make_task)
        self.stamp_s = 0.0
        """When the world was as it is here (monotonic s)."""
        if state[:1] == STATE_MARK:
            self._read_state(state)

    task: TwinTask
    scene: Scene

    def refresh(self) -> bool:
        """Take in what has come; whether the scene (not just its state) changed. Raises ``ConnectionError``."""
        changed, state = False, None
        while (packet := self._receive()) is not None:
            if packet[:1] == STATE_MARK:
                state = packet
            else:
                changed = True
                self._read_scene(packet, lambda _: self.task)
        if state is not None:
            self._read_state(state)
        return changed

    def ask(self, do: str, **values: Any) -> None:
        """Have the twin ``do`` something; returns when it is done and mirrored here."""
        self.refresh()
        before, deadline_s = self.scene.revision, self._now() + ANSWER_TIMEOUT_S
        self._socket.settimeout(ANSWER_TIMEOUT_S)
        try:
            self._socket.send(json.dumps({"do": do, **values}).encode())
        finally:
            self._socket.setblocking(False)
        while self.scene.revision == before:
            if self._now() > deadline_s:
                raise ConnectionError(f"the twin at {self.path} does not answer; start it again")
            time.sleep(0.002)
            self.refresh()

    def close(self) -> None:
        self._socket.close()
        self.task.world.close()

    def _receive(self) -> bytes | None:
        try:
            packet = self._socket.recv(MAX_PACKET_BYTES)
        except BlockingIOError:
            return None
        except OSError as error:
            raise ConnectionError(f"the twin at {self.path} is gone ({error})") from None
        if not packet:
            raise ConnectionError(f"the twin at {self.path} is gone; start it again")
        return packet

    def _read_state(self, packet: bytes) -> None:
        self.stamp_s = unpack_state(packet, self.task.world)
        mujoco.mj_forward(self.task.world.model, self.task.world.data)

    def _read_scene(self, packet: bytes, task: Callable[[str], TwinTask]) -> None:
        if packet[:1] != SCENE_MARK:
            raise ConnectionError(f"who listens at {self.path} is no twin's scene")
        self.scene = Scene(**json.loads(packet[1:]))
        self.task = task(self.scene.task)
        self.task.apply_setup(self.scene.setup)
        self.task.arrange()  # What a task writes into the model follows from its setup; the rest comes as state.


class MirrorCamera:
    """Implements :class:`hardware.interfaces.Camera`: draws the mirrored scene at the cell's frame rate."""

    def __init__(self, path: Path, name: str, settings: CameraSettings, clock: RealClock):
        self.name, self._path, self._settings, self._clock = name, path, settings, clock
        self._mirror: SceneMirror | None = None
        self._newest = FrameStamp(-1.0, -1)
        self._drawn: CameraFrame | None = None

    def connect(self) -> None:
        """Draw once, so that a missing renderer is found at once; raises ``RendererUnavailable``."""
        self._mirror = SceneMirror(self._path, self._clock.now)
        self._draw(self._mirror)

    @property
    def lens(self) -> Intrinsics:
        """How the captured picture maps."""
        width, height = self._settings.capture_px
        return self._connected().task.world.lens(self.name, height, width)

    def newest(self) -> FrameStamp | None:
        mirror = self._connected()
        mirror.refresh()
        sequence = int(mirror.stamp_s * self._settings.frames_per_s)
        if sequence > self._newest.sequence:
            self._newest = FrameStamp(mirror.stamp_s, sequence)
        return self._newest if self._newest.sequence >= 0 else None

    def read_latest(self, max_age_s: float) -> CameraFrame:
        newest, mirror = self.newest(), self._connected()
        age_s = self._clock.now() - self._newest.stamp_s
        if newest is None or age_s > max_age_s:
            raise TimeoutError(f"camera {self.name!r}: newest frame is {age_s:.3f} s old, {max_age_s:g} s allowed")
        if self._drawn is None or self._drawn.sequence != newest.sequence:
            self._drawn = CameraFrame(newest.stamp_s, newest.sequence, self._draw(mirror))
        return self._drawn

    def close(self) -> None:
        if self._mirror is not None:
            self._mirror.close()
            self._mirror = None

    def _draw(self, mirror: SceneMirror) -> np.ndarray:
        settings, render = self._settings, mirror.task.world.render
        if not settings.crop_px:
            return render(self.name, settings.height_px, settings.width_px)
        width, height = settings.capture_px
        return cut(render(self.name, height, width), settings)

    def _connected(self) -> SceneMirror:
        if self._mirror is None:
            raise ConnectionError(f"camera {self.name!r} is not connected")
        return self._mirror


class MirrorPerson:
    """Implements :class:`hardware.interfaces.TeleopDevice`: the scripted person that the twin says sits there."""

    def __init__(self, path: Path):
        self._path = path
        self._mirror: SceneMirror | None = None
        self._person: ScriptedHuman | NoTeleop = NoTeleop()
        self._episode: int | None = None

    def connect(self) -> None:
        self._mirror = mirror = SceneMirror(self._path)
        scene = mirror.scene
        if scene.person is not None:
            self._person = ScriptedHuman.of_level(mirror.task, scene.person, scene.takeover, scene.person_seed)
            self._follow(scene)

    def read(self, now: float) -> TeleopSample:
        if self._mirror is None:
            raise ConnectionError("the scripted person is not connected")
        if self._mirror.refresh():
            self._follow(self._mirror.scene)
        return self._person.read(now)

    def close(self) -> None:
        if self._mirror is not None:
            self._mirror.close()

    def _follow(self, scene: Scene) -> None:
        """Rest, or begin the episode that the scene says."""
        if not isinstance(self._person, ScriptedHuman):
            return
        if scene.episode_seed is None:
            self._person.rest()
        elif scene.episode_seed != self._episode:
            self._person.new_episode(scene.episode_seed)
        self._episode = scene.episode_seed


def devices(cell: Cell, folder: Path) -> Devices:
    """Arm, cameras and person of a twin that runs elsewhere; each process connects what it needs."""
    arm = remote_arm.devices(cell, folder)
    path, clock = folder / SOCKET, RealClock()
    cameras = {name: MirrorCamera(path, name, settings, clock) for name, settings in cell.cameras.items()}
    teleop = MirrorPerson(path) if cell.teleop.device == "none" else arm.teleop
    return replace(arm, teleop=teleop, cameras=cameras, clock=clock)
