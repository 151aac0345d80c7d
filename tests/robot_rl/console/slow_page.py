"""``python -m tests.robot_rl.console.slow_page``: a page's process that reads nothing until it is told to."""

from __future__ import annotations

import json
import socket
import sys
import time
from pathlib import Path

from robot_rl.console.link import PACKET_BYTES
from robot_rl.console.snapshot import Snapshot


def main(number: int) -> None:
    link = socket.socket(fileno=number)
    options = json.loads(link.recv(PACKET_BYTES))
    link.send(json.dumps({"url": "http://nowhere"}).encode())
    while not Path(options["go"]).exists():
        time.sleep(0.01)
    link.setblocking(False)
    seen = []
    try:
        while packet := link.recv(PACKET_BYTES):
            snapshot = Snapshot.unpack(packet)
            seen.append([snapshot.step, len(snapshot.frames)])
    except BlockingIOError:
        link.send(json.dumps(["seen", seen]).encode())
    link.setblocking(True)
    link.recv(PACKET_BYTES)


if __name__ == "__main__":
    main(int(sys.argv[1]))
