"""What the twin's process shows of its scene: to cameras, to a scripted person and to a task in processes of their own.

One socket. Everybody connected gets the scene's state at 100 Hz (``STATE_MARK`` and float64) and, first and whenever it
changes, what the scene is (``SCENE_MARK`` and a JSON object, a :class:`Scene`). Who runs episodes sends JSON objects
back: ``{"do": "teleport"|"arrange"|"rest"|"new_episode"|"describe", ...}``; the changed scene is the answer.
"""

from __future__ import annotations

import json
import selectors
import socket
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from hardware.local_socket import listening
from sim.tasks.base import TwinTask
from sim.world import World

SOCKET = "scene.sock"
"""Name of the socket in the folder that the twin's processes share."""
STATE_MARK, SCENE_MARK = b"S", b"J"
STATE_PERIOD_STEPS = 5
MAX_PACKET_BYTES = 1 << 16


@dataclass(frozen=True)
class Scene:
    """Everything that a process needs to build the scene again; poses that change are in the state."""

    task: str
    person: str | None = None
    """Level of the scripted person; None: nobody sits at the teleop device."""
    takeover: str = "watchful"
    person_seed: int = 0
    setup: Mapping[str, Any] = field(default_factory=dict)
    """The numbers drawn for the episode."""
    episode_seed: int | None = None
    """Seed of the person's episode; None while they rest."""
    revision: int = 0
    """Counts changes."""


def pack_state(world: World, stamp_s: float) -> bytes:
    """When, and where everything is and moves."""
    data = world.data
    parts = ([stamp_s], data.qpos, data.qvel, data.mocap_pos.ravel(), data.mocap_quat.ravel())
    return STATE_MARK + np.concatenate(parts).tobytes()


def unpack_state(packet: bytes, world: World) -> float:
    """Put ``world`` where the packet says; its stamp. Raises ``ValueError`` for a state of another scene."""
    numbers, data = np.frombuffer(packet, np.float64, offset=1), world.data
    parts = (data.qpos, data.qvel, data.mocap_pos, data.mocap_quat)
    if numbers.size != 1 + sum(part.size for part in parts):
        raise ValueError(f"a state of {numbers.size} numbers is not of this scene")
    at = 1
    for part in parts:
        part[:] = numbers[at : at + part.size].reshape(part.shape)
        at += part.size
    return float(numbers[0])


class SceneServer:
    """Serves ``task``'s scene at ``path``; :meth:`serve` belongs between physics steps."""

    def __init__(self, task: TwinTask, scene: Scene, path: Path):
        """``path`` is ours: who serves the arm beside it holds the folder."""
        self.task, self.scene, self._path = task, replace(scene, setup=dict(task.setup)), path
        self._answered = True
        """False from a change until it is told: some steps later, when the arm's new place has been reported."""
        self._selector = selectors.DefaultSelector()
        self._listener = listening(path, 16)
        self._selector.register(self._listener, selectors.EVENT_READ)

    def serve(self) -> None:
        """Answer what was asked and, when it is time, show where everything is; never waits."""
        if self.task.world.steps % STATE_PERIOD_STEPS:
            return
        if not self._answered:
            self._answered = True
            for client in self._clients():
                self._send(client, self._described())
        for key, _ in self._selector.select(0.0):
            if key.fileobj is self._listener:
                self._accept()
            else:
                self._receive(key.fileobj)  # type: ignore[arg-type]
        state = pack_state(self.task.world, time.monotonic())
        for client in self._clients():
            self._send(client, state, droppable=True)

    def close(self) -> None:
        for client in (*self._clients(), self._listener):
            client.close()
        self._selector.close()
        self._path.unlink(missing_ok=True)

    def _clients(self) -> list[socket.socket]:
        ends = [key.fileobj for key in self._selector.get_map().values()]
        return [end for end in ends if isinstance(end, socket.socket) and end is not self._listener]

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        client.setblocking(False)
        self._selector.register(client, selectors.EVENT_READ)
        self._send(client, self._described())

    def _receive(self, client: socket.socket) -> None:
        try:
            packet = client.recv(MAX_PACKET_BYTES)
            if not packet:
                raise ConnectionError
            request = json.loads(packet)
            self._do(str(request.pop("do")), request)
        except BlockingIOError:
            return
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            self._hang_up(client)
            return
        self._answered = False

    def _do(self, wish: str, request: Mapping[str, Any]) -> None:
        """Raises ``ValueError`` for a wish that is none, and whatever a setup that does not fit makes a task raise."""
        change: dict[str, Any] = {}
        if wish == "teleport":
            plan = self.task.apply_setup(request["setup"])
            assert plan.teleport is not None
            plan.teleport()
        elif wish == "arrange":
            self.task.apply_setup(request["setup"])
            if request["anew"]:
                self.task.arrange()
                self.task.world.refresh()
        elif wish in ("rest", "new_episode"):
            change["episode_seed"] = request.get("seed")
        elif wish != "describe":
            raise ValueError(f"no request {wish!r}")
        self.scene = replace(self.scene, setup=dict(self.task.setup), revision=self.scene.revision + 1, **change)

    def _described(self) -> bytes:
        return SCENE_MARK + json.dumps(asdict(self.scene)).encode()

    def _send(self, client: socket.socket, packet: bytes, droppable: bool = False) -> None:
        """A client that does not read misses states; one that would miss a change of the scene is hung up on."""
        try:
            client.send(packet)
        except BlockingIOError:
            if not droppable:
                self._hang_up(client)
        except OSError:
            self._hang_up(client)

    def _hang_up(self, client: socket.socket) -> None:
        self._selector.unregister(client)
        client.close()
