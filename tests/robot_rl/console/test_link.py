"""A page that does not keep up costs the control loop pictures, then snapshots, never time."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hardware.interfaces import CameraFrame, GuardMode
from robot_rl.console.link import Channel, Link
from robot_rl.console.snapshot import Snapshot
from tests.robot_rl.console.test_words import POSE

pytest.importorskip("viser", reason="the extra 'console' is not installed")
SENT = 4000
PATIENCE_S = 120.0


def test_what_does_not_fit_is_dropped_pictures_first(tmp_path: Path) -> None:
    go = tmp_path / "go"
    link = Link("tests.robot_rl.console.slow_page", {"go": str(go)})
    frames = {"front": CameraFrame(0.0, 0, np.zeros((120, 160, 3), np.uint8))}
    for step in range(SENT):  # Were one of these to wait for the page, the test would never end.
        link.put(Snapshot(0.0, POSE, GuardMode.RUNNING, step=step, frames=frames))
    assert link.open
    go.touch()
    wishes: list[Any] = []
    deadline = time.monotonic() + PATIENCE_S
    while not wishes and time.monotonic() < deadline:
        wishes = list(link.wishes())
        time.sleep(0.01)
    link.close()
    (_, seen), *_ = wishes
    pictured = [step for step, pictures in seen if pictures]
    bare = [step for step, pictures in seen if not pictures]
    assert pictured == list(range(len(pictured))) and 0 < len(pictured) < SENT
    assert bare[0] == len(pictured) and len(bare) > len(pictured), "who drives is told when pictures no longer are"
    assert len(seen) < SENT, "the buffer was full in the end"


def test_a_flood_of_wishes_is_heard_a_part_at_a_time() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    channel = Channel(ours)
    for _ in range(150):
        theirs.send(b'["alive"]')
    assert [len(list(channel.wishes())) for _ in range(3)] == [100, 50, 0]
    channel.close()
    theirs.close()
