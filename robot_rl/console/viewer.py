"""The page's process: takes the newest snapshot, shows it, and sends back what the person asks for."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from hardware.interfaces import CameraFrame
from robot_rl.console.door import Address
from robot_rl.console.link import PACKET_BYTES
from robot_rl.console.page import Page, start_server
from robot_rl.console.recorded import Staging
from robot_rl.console.snapshot import Scene, Snapshot

PERIOD_S = 1.0 / 15.0
FRAME_EVERY = 3
"""Pictures cost most: one of so many snapshots brings new ones."""
_NICER = 5
Draw = Callable[[Snapshot], Mapping[str, CameraFrame]]
Setting = tuple[Scene, Draw, Staging]


def serve(number: int, setting: Callable[[Mapping[str, Any]], Setting]) -> None:
    """Serve the page over the socket ``number`` of :class:`robot_rl.console.link.Link` until its other end is closed.

    ``setting``: from the link's options to the scene, to a function that draws a snapshot's pictures, and to one that
    sets a recorded episode's stage.
    """
    if hasattr(os, "sched_setscheduler"):  # Not the priority of a loop that keeps time and starts a page.
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    os.nice(_NICER)
    link = socket.socket(fileno=number)
    options = json.loads(link.recv(PACKET_BYTES))
    address = Address(**options["address"])
    try:
        scene, draw, staging = setting(options)
        server = start_server(address)
    except (ValueError, OSError) as error:
        link.send(json.dumps({"error": " ".join(str(error).split())}).encode())
        return

    def ask(*wish: Any) -> None:
        with suppress(OSError):  # A wish at the very end of a run has nobody to go to.
            link.send(json.dumps(wish).encode())

    episodes = Path(options["episodes"]) if options["episodes"] else None
    page = Page(server, scene, ask, options["sounds"], episodes, staging)
    url = Address(address.host, server.get_port(), address.token).url
    link.send(json.dumps({"url": url}).encode())
    show(link, page, draw)
    server.stop()


def show(
    link: socket.socket, page: Page, draw: Draw, completed: Callable[[Snapshot], Snapshot] = lambda snapshot: snapshot
) -> None:
    """Show what comes over ``link`` until its other end is closed; ``completed`` adds what the run did not say."""
    count = 0
    while (newest := _newest(link)) is not None:
        if page.watched:
            snapshot = completed(Snapshot.unpack(newest))
            page.show(snapshot)
            if count % FRAME_EVERY == 0:
                page.show_frames(draw(snapshot), snapshot.stamp_s)
            count += 1
        time.sleep(PERIOD_S)


def _newest(link: socket.socket) -> bytes | None:
    """The newest packet there is; waits for one. None when the other end is closed."""
    try:
        packet = link.recv(PACKET_BYTES)
        while packet:
            try:
                packet = link.recv(PACKET_BYTES, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return packet
    except OSError as error:
        print(f"the console lost the run: {error}", file=sys.stderr)
    return None
