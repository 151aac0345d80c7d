"""Between the control loop and the page's process: snapshots out, wishes in, and nothing that waits.

Another thread would share the interpreter: on a busy machine the control loop then waits whole time slices for a viewer
that holds it (benchmarks/RESULTS.md). So the page lives in a process of its own, and a packet that does not fit into
the socket is dropped.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from fcntl import ioctl
from importlib.util import find_spec
from termios import TIOCOUTQ
from typing import Any

from robot_rl.console.snapshot import Snapshot

PACKET_BYTES = 1 << 20
_BUFFER_BYTES = 1 << 19
_WISHES_AT_ONCE = 100
"""The guard's tick asks for them: nobody may keep it."""
_START_S = 120.0
_END_S = 5.0
Wish = list[Any]
"""A name and its arguments, JSON's types."""


class Channel:
    """The control loop's end of a socket to a page's process."""

    def __init__(self, link: socket.socket) -> None:
        """``link``: connected, of type ``SOCK_SEQPACKET``."""
        self._socket = link
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
        self._socket.setblocking(False)
        self.open = True
        """Whether the page's process is there."""

    def put(self, snapshot: Snapshot) -> None:
        """Send, or drop, pictures first: never waits, never fails."""
        try:
            if snapshot.frames and self._unread_bytes() > _BUFFER_BYTES // 2:
                snapshot = replace(snapshot, frames={})
            self._socket.send(snapshot.pack())
        except BlockingIOError:  # The page is slow: it will see a newer one.
            pass
        except OSError:
            self.open = False

    def _unread_bytes(self) -> int:
        """What the page has not read yet."""
        return int.from_bytes(ioctl(self._socket, TIOCOUTQ, bytes(4)), sys.byteorder)

    def wishes(self) -> Iterator[Wish]:
        """What the person has asked for since the last call, the rest of a flood at the next. Whoever sends anything
        else is no page, and not heard any more."""
        for _ in range(_WISHES_AT_ONCE):
            if not self.open:
                return
            try:
                wish = json.loads(self._socket.recv(PACKET_BYTES))
            except BlockingIOError:
                return
            except (OSError, ValueError, RecursionError):  # The last: JSON within JSON a thousand times.
                wish = None
            if not (isinstance(wish, list) and wish and isinstance(wish[0], str)):
                self.open = False
                return
            yield wish

    def close(self) -> None:
        self.open = False
        self._socket.close()


class Link(Channel):
    """A channel to a process that it starts and ends."""

    def __init__(self, module: str, options: Mapping[str, Any]) -> None:
        """Start ``python -m module``, hand it ``options``, wait until its page is served.

        Raises ``ValueError`` (one line) where it cannot be served.
        """
        if find_spec("viser") is None:
            raise ValueError("the console needs an extra: `make console`, or pip install 'robot-rl[console]'")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        super().__init__(ours)
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, str(theirs.fileno())], pass_fds=[theirs.fileno()], start_new_session=True
        )
        theirs.close()
        self._socket.settimeout(_START_S)
        try:
            self._socket.send(json.dumps(options).encode())
            answer = json.loads(self._socket.recv(PACKET_BYTES) or b"{}")
        except OSError as error:
            answer = {"error": f"the console's process does not answer ({error})"}
        if "url" not in answer:
            self.close()
            raise ValueError(answer.get("error", "the console's process ended; its message stands above"))
        self.url: str = answer["url"]
        self._socket.setblocking(False)

    def close(self) -> None:
        """End the page's process."""
        super().close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
