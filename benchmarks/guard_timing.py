"""``make bench-guard``: does the guard's process keep its rate when every core is busy?

Starts the twin's arm, its guard, a process that drives, and one per core that only burns time; once with the real-time
priority that the system grants, once without.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import tyro

from benchmarks.page import put
from hardware.fakes import shifted
from hardware.guard_process import SOCKET as GUARD_SOCKET
from hardware.guard_socket import GuardClient
from hardware.interfaces import ArmCommand
from sim.remote_arm import SOCKET as ARM_SOCKET

_MAIN = "import sys; from robot_rl.cli import main; sys.exit(main())"
_START_S = 60.0
COLUMNS = ("period", "late", "cost")
SHARES = ("p50", "p99", "p99.9", "max")


@dataclass
class Options:
    """Loop timing of the standalone guard under load."""

    seconds: float = 60.0
    """Length of each measurement."""
    burners: int = os.cpu_count() or 2
    """Processes that keep a core busy each."""
    page: bool = True
    """Write the table into RESULTS.md."""


def burn() -> None:
    """Keep a core busy."""
    number = 1
    while True:
        number = number * 1103515245 % 4294967296


@contextmanager
def busy(count: int) -> Iterator[None]:
    """``count`` processes that burn."""
    context = multiprocessing.get_context("fork")
    processes: list[BaseProcess] = [context.Process(target=burn, daemon=True) for _ in range(count)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.kill()


def start(*arguments: str) -> subprocess.Popen[str]:
    """A command of ``robot-rl``."""
    return subprocess.Popen([sys.executable, "-c", _MAIN, *arguments], text=True, stdout=subprocess.PIPE)


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + _START_S
    while not path.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{' '.join(map(str, process.args[3:]))} did not start")  # type: ignore[index]
        time.sleep(0.05)


def measure(seconds: float, burners: int, realtime: bool) -> dict[str, Any]:
    """Percentiles of the guard's loop while a policy drives to and fro."""
    folder = Path(tempfile.mkdtemp(prefix="guard-"))
    twin = start("twin", "--folder", str(folder), "--json")
    guard = None
    try:
        wait_for(folder / ARM_SOCKET, twin)
        options = () if realtime else ("--no-realtime",)
        guard = start("guard", "--folder", str(folder), "--json", *options)
        wait_for(folder / GUARD_SOCKET, guard)
        with busy(burners):
            drive(GuardClient(folder / GUARD_SOCKET), seconds)
        guard.send_signal(signal.SIGTERM)
        result: dict[str, Any] = json.loads(guard.communicate(timeout=30.0)[0])
        return result
    finally:
        for process in (guard, twin):
            if process is not None and process.poll() is None:
                process.terminate()
                process.wait()
        shutil.rmtree(folder)


def drive(client: GuardClient, seconds: float) -> None:
    """A policy at 20 Hz, 5 cm to and fro; the operator's part too."""
    begin, number = time.monotonic(), 0
    status = client.request("status")
    home = status.pose
    while (now := time.monotonic()) < begin + seconds:
        if number % 20 == 0:
            status = client.request("status")
            if status.mode == "DISARMED":
                status = client.request("engage")
            elif status.mode == "HOLD":
                status = client.request("resume")
            elif status.mode == "FAULT":
                raise RuntimeError(f"the guard faulted: {status.reason}")
        number += 1
        side = 0.05 if int(now - begin) % 2 else -0.05
        client.command(ArmCommand(shifted(home, (0.0, side, 0.0)), sequence=number, session=status.session))
        time.sleep(max(0.0, begin + number / 20.0 - time.monotonic()))


def table(results: dict[str, dict[str, Any]], options: Options) -> str:
    """Markdown."""
    lines = [
        f"{platform.machine()}, {os.cpu_count()} cores, {options.burners} busy processes, {options.seconds:g} s each.",
        "",
        f"| ms | ticks | missed | {' | '.join(f'{c} {s}' for c in COLUMNS for s in SHARES)} |",
        "|---" * (3 + len(COLUMNS) * len(SHARES)) + "|",
    ]
    for name, row in results.items():
        figures = " | ".join(f"{row[f'{c}_{s}_ms']:.2f}" for c in COLUMNS for s in SHARES)
        lines.append(f"| {name} | {row['ticks']:,} | {row['missed_ticks']} | {figures} |")
    return "\n".join(lines)


def main() -> None:
    options = tyro.cli(Options)
    results = {
        "real-time priority": measure(options.seconds, options.burners, True),
        "ordinary priority": measure(options.seconds, options.burners, False),
        "ordinary priority, idle machine": measure(options.seconds, 0, False),
    }
    body = table(results, options)
    print(body)
    if options.page:
        put("guard", body)


if __name__ == "__main__":
    main()
