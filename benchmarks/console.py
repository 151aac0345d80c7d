"""``python -m benchmarks.console``: does a browser that watches, or one that stalls, disturb the control loop?

A paced twin runs its 100 Hz loop in this process while nobody, a viewer that reads, or one that has stopped reading is
connected (a process of its own, over the console's WebSocket). The three take turns, so that a machine busy with other
things disturbs them alike. What counts is how late ticks end against their deadlines.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from pathlib import Path

import numpy as np
import tyro

from benchmarks.page import put
from hardware.timekeeping import take_priority
from robot_rl.console.door import Address
from robot_rl.demonstrations import RestingPolicy
from robot_rl.rollout import EnvSpec, Rollout
from sim.console import watched
from sim.live import Pacer

WHO = ("nobody", "a viewer", "a stalled viewer")
SETTLE_S = 2.0


@dataclass
class Options:
    """Lateness of the control loop's ticks with and without somebody at the console."""

    seconds: float = 20.0
    """Length of each turn."""
    turns: int = 3
    """Of each of the three."""
    realtime: bool = True
    """Real-time scheduling of the control thread, and no garbage to collect from before, as in the guard's process."""
    page: bool = True
    """Write the table into RESULTS.md."""


def watch(url: str, stall: bool) -> None:
    """Connect as a browser does and read all that comes; or, with ``stall``, stop reading after a moment."""
    import msgspec
    import viser
    from websockets.sync.client import connect

    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))  # Not the priority of the loop that started it.
    camera = {
        "type": "ViewerCameraMessage", "wxyz": (1.0, 0.0, 0.0, 0.0), "position": (1.0, 1.0, 1.0), "fov": 1.3,
        "near": 0.01, "far": 100.0, "image_height": 400, "image_width": 600, "look_at": (0.0, 0.0, 0.0),
        "up_direction": (0.0, 0.0, 1.0),
    }  # fmt: skip
    protocol = f"viser-v{viser.__version__}"
    with connect(url.replace("http", "ws"), subprotocols=[protocol], max_size=None, compression=None) as socket:
        socket.send(msgspec.msgpack.encode(camera))
        print("connected", flush=True)
        began = time.monotonic()
        while not stall or time.monotonic() - began < 1.0:
            socket.recv()
        while True:  # A tab that hangs: its connection stays open, its buffers fill.
            time.sleep(60.0)


@contextmanager
def viewing(url: str, who: str) -> Iterator[None]:
    """Somebody at the console."""
    if who == "nobody":
        yield
        return
    command = [sys.executable, "-m", "benchmarks.console", "--view", url, *(["--stall"] if "stalled" in who else [])]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None and process.stdout.readline() == "connected\n"
        yield
    finally:
        process.kill()
        process.wait()


def measure(options: Options) -> dict[str, dict[str, float]]:
    """Percentiles of lateness, ms, for each of :data:`WHO`."""
    late: dict[str, list[float]] = {who: [] for who in WHO}
    spec = EnvSpec("sim:PegInsertion-v0", {"max_steps": 10**9})
    with (
        tempfile.TemporaryDirectory() as folder,
        watched(spec, Address(port=0), Path(folder), 0, inf) as (
            rollout,
            console,
        ),
    ):
        pacer, sink = Pacer(), late["nobody"]
        clock, period_s = rollout.env.robot.clock, 0.01
        clock.every(period_s, pacer)
        clock.every(period_s, lambda _: sink.append(1000.0 * pacer.late_s))
        rollout.store = None
        policy = RestingPolicy(6)
        if options.realtime:  # As hardware.timekeeping does for a guard: a collection of the whole heap takes 0.1 s.
            take_priority()
            gc.collect()
            gc.freeze()
        for _ in range(options.turns):
            for who in WHO:
                with viewing(console.link.url, who):
                    sink = []
                    _run(rollout, policy, SETTLE_S)
                    sink = late[who]
                    _run(rollout, policy, options.seconds)
        gc.unfreeze()
    shares = {"p50": 50.0, "p99": 99.0, "p99.9": 99.9, "max": 100.0}
    return {
        who: {"ticks": len(ms), **{name: float(np.percentile(ms, share)) for name, share in shares.items()}}
        for who, ms in late.items()
    }


def _run(rollout: Rollout, policy: RestingPolicy, seconds: float) -> None:
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        rollout.step(policy)


def table(found: dict[str, dict[str, float]]) -> str:
    """Markdown."""
    rows = ["| at the console | ticks | p50 | p99 | p99.9 | max |", "|---|---|---|---|---|---|"]
    for who, row in found.items():
        cells = " | ".join(f"{row[name]:.2f}" for name in ("p50", "p99", "p99.9", "max"))
        rows.append(f"| {who} | {row['ticks']:.0f} | {cells} |")
    return "\n".join(rows)


def main(options: Options) -> None:
    """Measure and write down."""
    found = measure(options)
    print(json.dumps(found))
    if options.page:
        put("console", table(found))


if __name__ == "__main__":
    if "--view" in sys.argv:
        watch(sys.argv[sys.argv.index("--view") + 1], "--stall" in sys.argv)
    else:
        main(tyro.cli(Options))
