"""A TCP connection that can be cut, and whose past can be played again."""

from __future__ import annotations

import select
import socket
import threading
import time
from contextlib import suppress

KEPT_BYTES = 4 << 20
"""Of each connection, from its beginning."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Relay:
    """Forwards TCP connections to ``target``, until it is cut."""

    def __init__(self) -> None:
        self.target = 0
        self.past: list[bytearray] = []
        """What each connection has sent to the target, in order of their beginnings."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._whole = threading.Event()
        self._whole.set()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        self._whole.clear()
        for pair in self._pairs:
            for end in pair:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)  # wakes whoever waits for it, which a close does not
        self._pairs.clear()

    def mend(self) -> None:
        self._whole.set()

    def replay(self, number: int, seconds: float) -> int:
        """Say to the target once more what connection ``number`` said; how many bytes."""
        data = bytes(self.past[number])
        with socket.create_connection(("127.0.0.1", self.target)) as again, suppress(OSError):
            again.settimeout(0.05)
            ends = time.monotonic() + seconds
            again.sendall(data[:64])  # a greeting is answered before the rest is heard
            while time.monotonic() < ends:
                with suppress(TimeoutError):
                    again.recv(1 << 16)
                if data:
                    again.sendall(data[64:])
                    data = b""
        return len(self.past[number])

    def close(self) -> None:
        self.cut()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                if not self._whole.is_set():
                    raise OSError
                far = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                near.close()
                continue
            self._pairs.append((near, far))
            self.past.append(bytearray())
            threading.Thread(target=self._forward, args=(near, far, self.past[-1]), daemon=True).start()

    def _forward(self, near: socket.socket, far: socket.socket, past: bytearray) -> None:
        with suppress(OSError, ValueError), near, far:
            while True:
                for ready in select.select([near, far], [], [])[0]:
                    data = ready.recv(1 << 16)
                    if not data:
                        return
                    if ready is near:
                        past += data[: KEPT_BYTES - len(past)]
                    (far if ready is near else near).sendall(data)
