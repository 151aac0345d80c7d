"""A socket of ours is its owner's alone, and nobody finds it before it listens."""

from __future__ import annotations

import socket
import stat
import tempfile
from pathlib import Path

import pytest

from hardware.local_socket import listening


@pytest.fixture
def path():
    with tempfile.TemporaryDirectory() as folder:  # Not pytest's own: a socket's path has to be short.
        yield Path(folder) / "guard.sock"


def connected(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        return client.connect_ex(str(path)) == 0


def test_who_finds_it_can_connect(path, monkeypatch):
    seen, replace = [], Path.replace

    def appears(unseen: Path, where: Path) -> Path:
        seen.append((where.exists(), connected(unseen)))
        return replace(unseen, where)

    monkeypatch.setattr(Path, "replace", appears)
    with listening(path, 4) as listener:
        assert seen == [(False, True)], "it listened before it was seen"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600 and list(path.parent.iterdir()) == [path]
        with pytest.raises(BlockingIOError), listener.accept()[0]:
            listener.accept()  # Nobody else came; it does not wait.


def test_what_a_dead_process_left_is_replaced(path):
    listening(path, 1).close()
    path.with_name(f"{path.name}~").touch()  # Killed between bind and rename.
    assert not connected(path)
    with listening(path, 1):
        assert connected(path)
