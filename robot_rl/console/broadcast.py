"""Where a page finds a run: a local socket that a console may open and close while the robot works."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from hardware.local_socket import listening
from robot_rl.console.link import Channel, Wish
from robot_rl.console.snapshot import Snapshot

SOCKET = "console.sock"
"""In the folder in which the processes of a cell meet."""


class Broadcast:
    """Listens at ``path``, readable and writable by its owner alone; one console at a time, the newest."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._listener = listening(path, 1)  # Whoever listened there is dead: the cell's lock is ours.
        self._channel: Channel | None = None

    @property
    def watched(self) -> bool:
        """Whether a console is there; asking lets in whoever waits."""
        with suppress(OSError):
            link, _ = self._listener.accept()
            before, self._channel = self._channel, Channel(link)
            if before is not None:
                before.close()
        return self._channel is not None and self._channel.open

    def put(self, snapshot: Snapshot) -> None:
        """As :meth:`robot_rl.console.link.Channel.put`."""
        if self._channel is not None:
            self._channel.put(snapshot)

    def wishes(self) -> Iterator[Wish]:
        """As :meth:`robot_rl.console.link.Channel.wishes`."""
        if self._channel is not None:
            yield from self._channel.wishes()

    def close(self) -> None:
        self._listener.close()
        self._path.unlink(missing_ok=True)
        if self._channel is not None:
            self._channel.close()


def wait_for(path: Path, sleep: Callable[[], None]) -> socket.socket:
    """Connect to the run that broadcasts at ``path``; ``sleep`` between tries, until there is one."""
    while True:
        link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            link.connect(str(path))
        except OSError:
            link.close()
            sleep()
            continue
        return link
