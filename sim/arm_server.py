"""The twin's arm controller as a process: physics in real time, references in, states out, and a watchdog of its own.

It can log every physics step (:data:`LOG_COLUMNS`, float64): the judge of what the arm truly did when processes die.
"""

from __future__ import annotations

import logging
import signal
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import BinaryIO

import numpy as np

from hardware.local_socket import listening
from sim.drivers import SimArm
from sim.remote_arm import REFERENCE, SOCKET, WATCHDOG_S, pack_state, unpack_reference
from sim.scene_server import SOCKET as SCENE_SOCKET
from sim.scene_server import Scene, SceneServer
from sim.tasks import make_task
from sim.world import World

LOG_COLUMNS = ("monotonic_s", "x", "y", "z", "vx", "vy", "vz", "wx", "wy", "wz", "reference_age_s")
_LOG_ROW = struct.Struct(f"<{len(LOG_COLUMNS)}d")
_MAX_LAG_S = 0.05
"""A machine that falls this far behind real time gives the difference up rather than run fast to catch up."""
_NEVER_S = -1.0
_LOG = logging.getLogger(__name__)


def read_log(path: Path) -> dict[str, np.ndarray]:
    """The log of a server's life by column, each (steps,); a row cut off at the end is left out."""
    data = path.read_bytes()
    rows = np.frombuffer(data[: len(data) // _LOG_ROW.size * _LOG_ROW.size], np.float64).reshape(-1, len(LOG_COLUMNS))
    return dict(zip(LOG_COLUMNS, rows.T, strict=True))


class ArmServer:
    """One arm of one world. One process may drive it at a time; others are turned away."""

    def __init__(self, world: World, path: Path, log: Path | None = None):
        """Listens at ``path``. Raises ``OSError`` when somebody else does."""
        self.world = world
        self.arm = SimArm(world, watchdog_s=WATCHDOG_S)
        self.arm.connect()
        self._path = path
        self._listener = _listen(path)
        self._driver: socket.socket | None = None
        self._referred_s = _NEVER_S
        self._log: BinaryIO | None = None if log is None else log.open("wb")
        self.lost_s = 0.0
        """Real time given up because the machine was too slow."""

    def run(self, stopped: Callable[[], bool], after_step: Callable[[], None] = lambda: None) -> None:
        """Step in real time until ``stopped()``, calling ``after_step()`` after each."""
        step_s, deadline_s = self.world.timestep_s, time.monotonic()
        while not stopped():
            self._accept()
            self._receive()
            self.world.step()
            self._report()
            after_step()
            deadline_s += step_s
            ahead_s = deadline_s - time.monotonic()
            if ahead_s > 0.0:
                time.sleep(ahead_s)
            elif -ahead_s > _MAX_LAG_S:
                self.lost_s -= ahead_s
                deadline_s -= ahead_s

    def close(self) -> None:
        """Stop listening; the log is whole from here on."""
        for end in (self._driver, self._listener):
            if end is not None:
                end.close()
        self._path.unlink(missing_ok=True)
        if self._log is not None:
            self._log.close()
        self.arm.close()

    def _accept(self) -> None:
        try:
            caller, _ = self._listener.accept()
        except BlockingIOError:
            return
        if self._driver is not None:
            caller.close()
            return
        caller.setblocking(False)
        self._driver = caller

    def _receive(self) -> None:
        """Track the newest reference. The watchdog needs no help from here: it counts from the last one tracked."""
        if self._driver is None:
            return
        newest = None
        try:
            while packet := self._driver.recv(REFERENCE.size + 1):
                newest = packet
            self._hang_up()
        except BlockingIOError:
            pass
        except OSError:
            self._hang_up()
        if newest is not None and len(newest) == REFERENCE.size:
            self.arm.command(unpack_reference(newest))
            self._referred_s = time.monotonic()

    def _report(self) -> None:
        now = time.monotonic()
        if self._log is not None:
            position, twist = self.world.data.sensordata[6:9].tolist(), self.world.data.sensordata[13:19].tolist()
            self._log.write(_LOG_ROW.pack(now, *position, *twist, now - self._referred_s))
        if self._driver is None:
            return
        try:
            self._driver.send(pack_state(self.arm.read(), now))
        except BlockingIOError:  # It does not read; it will see what is newest when it does.
            pass
        except OSError:
            self._hang_up()

    def _hang_up(self) -> None:
        if self._driver is not None:
            self._driver.close()
            self._driver = None


def serve_scene(scene: Scene, folder: Path, stop: Event, seed: int = 0, log: Path | None = None) -> tuple[int, float]:
    """Serve the arm of a task's first episode, and its scene, in ``folder`` until ``stop``; physics steps, real time
    lost."""
    twin = make_task(scene.task)
    plan = twin.reset(np.random.default_rng(seed), teleport=True)
    assert plan.teleport is not None
    plan.teleport()
    folder.mkdir(parents=True, exist_ok=True)
    server = ArmServer(twin.world, folder / SOCKET, log)
    shown = SceneServer(twin, scene, folder / SCENE_SOCKET)
    _LOG.info("twin of %r in real time, socket %s", scene.task, folder / SOCKET)
    try:
        server.run(stop.is_set, shown.serve)
    finally:
        shown.close()
        server.close()
    return twin.world.steps, server.lost_s


def serve_task(task: str, folder: Path, seed: int = 0, log: Path | None = None) -> tuple[int, float]:
    """:func:`serve_scene` until SIGTERM or SIGINT, with nobody at the teleop device."""
    stop = Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: stop.set())
    return serve_scene(Scene(task), folder, stop, seed, log)


def _listen(path: Path) -> socket.socket:
    """A socket at ``path``; one that a dead process left there is replaced."""
    if path.exists():
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
            if probe.connect_ex(str(path)) == 0:
                raise OSError(f"a twin listens at {path} already; end it first, or give another --folder")
    return listening(path, 1)
