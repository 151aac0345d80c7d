"""Sockets between processes of one machine."""

from __future__ import annotations

import socket
from pathlib import Path


def listening(path: Path, waiting: int) -> socket.socket:
    """A packet socket that listens at ``path``, for its owner alone, and is only seen there once it does. It replaces
    what was there, and never blocks; up to ``waiting`` clients may wait to be accepted."""
    listener, unseen = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET), path.with_name(f"{path.name}~")
    unseen.unlink(missing_ok=True)
    listener.bind(str(unseen))
    unseen.chmod(0o600)
    listener.listen(waiting)
    listener.setblocking(False)
    unseen.replace(path)
    return listener
