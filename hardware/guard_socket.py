"""How other processes of this machine reach a guard: one JSON object a packet, over a local socket.

==============================  ========================================================================================
``{"do": "command", ...}``      a target: ``pose`` (7 numbers), ``gripper``, ``sequence``, ``session``; no answer
``{"do": "status"}``            answered by a :class:`GuardStatus`, as are all below
``{"do": "engage"}``            the operator: DISARMED → ARMED
``{"do": "hold"}``              a controlled stop; ``reason`` is optional
``{"do": "resume"}``            the operator: HOLD → ARMED
``{"do": "reset"}``             the operator: any mode → DISARMED
``{"do": "disarm"}``            a controlled stop that ends DISARMED
``{"do": "recover"}``           the operator: have the arm clear its own errors, in HOLD or FAULT (S12); ends DISARMED
==============================  ========================================================================================

A packet that cannot be read is counted (S21) and dropped. What is read is no more trusted than a policy: the guard
checks every number itself.
"""

from __future__ import annotations

import json
import selectors
import socket
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hardware.interfaces import ArmCommand, GuardMode, Pose
from hardware.local_socket import listening

MAX_PACKET_BYTES = 4096
MAX_CLIENTS = 16
_RECEIVED_AT_ONCE = 200
"""Packets taken from one client before the others get their turn."""


@dataclass(frozen=True)
class GuardStatus:
    """What a guard says of itself."""

    mode: str
    reason: str
    session: int
    """Commands of another session are dropped."""
    position_m: tuple[float, float, float]
    """Measured end effector, base frame."""
    quat_xyzw: tuple[float, float, float, float]
    missed_ticks: int
    error: str = ""
    """Why the request was refused; empty when it was not."""

    @property
    def pose(self) -> Pose:
        return Pose(self.position_m, self.quat_xyzw)

    @property
    def guard_mode(self) -> GuardMode:
        return GuardMode[self.mode]


class GuardServer:
    """Listens at ``path``, readable and writable by its owner alone. ``do`` answers a request."""

    def __init__(
        self, path: Path, submit: Callable[[ArmCommand], None], do: Callable[[str, Mapping[str, Any]], GuardStatus]
    ):
        self.path, self._submit, self._do = path, submit, do
        self.corrupt_packets = 0
        self._selector = selectors.DefaultSelector()
        self._listener = listening(path, MAX_CLIENTS)  # Whoever listened there is dead: the guard's lock is ours.
        self._selector.register(self._listener, selectors.EVENT_READ)

    def serve(self, timeout_s: float) -> None:
        """Handle what has arrived; wait at most ``timeout_s`` for the first."""
        for key, _ in self._selector.select(timeout_s):
            if key.fileobj is self._listener:
                self._accept()
            elif isinstance(key.fileobj, socket.socket):
                self._receive(key.fileobj)

    def close(self) -> None:
        for key in list(self._selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
        self._selector.close()
        self.path.unlink(missing_ok=True)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        if len(self._selector.get_map()) > MAX_CLIENTS:
            client.close()
            return
        client.setblocking(False)
        self._selector.register(client, selectors.EVENT_READ)

    def _receive(self, client: socket.socket) -> None:
        try:
            for _ in range(_RECEIVED_AT_ONCE):
                packet = client.recv(MAX_PACKET_BYTES + 1)
                if not packet:
                    raise ConnectionError
                self._handle(client, packet)
        except BlockingIOError:
            pass
        except OSError:
            self._selector.unregister(client)
            client.close()

    def _handle(self, client: socket.socket, packet: bytes) -> None:
        try:
            if len(packet) > MAX_PACKET_BYTES:
                raise ValueError("oversize")
            request = json.loads(packet)
            wish = request["do"]
            if wish == "command":
                self._submit(_command(request))
                return
            answer = self._do(wish, request)
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            self.corrupt_packets += 1
            return
        client.send(json.dumps(asdict(answer)).encode())


def _command(request: Mapping[str, Any]) -> ArmCommand:
    """The command as it came: whether it makes sense is the guard's to judge. Raises ``ValueError`` and the like for
    what does not even have its parts."""
    numbers = tuple(request["pose"])
    sequence, session = request["sequence"], request["session"]
    if type(sequence) is not int or type(session) is not int:
        raise TypeError("sequence and session are whole numbers")
    return ArmCommand(Pose(numbers[:3], numbers[3:]), request["gripper"], sequence, session)


class GuardClient:
    """The other end: an actor or an operator's console."""

    def __init__(self, path: Path, timeout_s: float = 2.0):
        """Raises ``ConnectionError`` where no guard listens."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.settimeout(timeout_s)
        try:
            self._socket.connect(str(path))
        except OSError as error:
            self._socket.close()
            raise ConnectionError(
                f"no guard listens at {path} ({error.strerror or error}); start one with `robot-rl guard`"
            ) from None

    def command(self, command: ArmCommand) -> None:
        """Propose a target; nothing is answered."""
        position, quat = command.T_base_ee
        request = {"do": "command", "pose": [*position, *quat], "gripper": int(command.gripper)}
        self._send({**request, "sequence": command.sequence, "session": command.session})

    def request(self, do: str, **values: Any) -> GuardStatus:
        """Ask for one of the above; a refusal is in the answer's ``error``. Raises ``ConnectionError`` for a guard that
        ended, ``TimeoutError`` for one that does not answer."""
        self._send({"do": do, **values})
        try:
            answer = self._socket.recv(1 << 16)
        except TimeoutError:
            raise TimeoutError("the guard does not answer: it hangs, or does not know this request") from None
        except ConnectionError:
            answer = b""
        if not answer:
            raise ConnectionError("the guard is gone")
        fields: dict[str, Any] = json.loads(answer)
        position, quat = fields.pop("position_m"), fields.pop("quat_xyzw")
        return GuardStatus(position_m=tuple(position), quat_xyzw=tuple(quat), **fields)

    def close(self) -> None:
        self._socket.close()

    def _send(self, request: Mapping[str, Any]) -> None:
        try:
            self._socket.send(json.dumps(request).encode())
        except ConnectionError:
            raise ConnectionError("the guard is gone") from None
