"""Two real processes, the twin's arm and its guard, and the log of every physics step as the judge between them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hardware.fakes import shifted
from hardware.guard_process import LOCK
from hardware.guard_process import SOCKET as GUARD_SOCKET
from hardware.guard_socket import GuardClient, GuardStatus
from hardware.interfaces import ArmCommand, Pose, Vector3
from sim.arm_server import read_log
from sim.remote_arm import SOCKET as ARM_SOCKET
from sim.twin_command import PRIORITY

ROOT = Path(__file__).resolve().parents[2]
STEP_S = 0.002
STILL_M_S = 0.005
JUDGED_STEPS = 350
"""0.7 s: longer than a stop, shorter than a guard's start."""
STALL_S = 0.05
"""Half of what the arm's watchdog waits for."""
_TOO_BUSY = ("S2: ", "S10: ", "S25: ")
_ATTEMPTS = 12
_MAIN = "import sys; from robot_rl.cli import main; sys.exit(main())"


class Stop(NamedTuple):
    """How the arm came to rest after an event, by every physics step."""

    speed_m_s: float
    """At the event."""
    seconds: float
    """Until it was slower than 5 mm/s for good; infinite if it was not."""
    metres: float
    """How far from where it was it ever went."""
    deceleration_m_s2: float
    """The greatest, over 20 ms."""
    stalled_s: float
    """The longest time between two physics steps, from a second before: of an arm that had no processor nothing
    is told."""


class GuardedTwin:
    """Starts a twin's arm; its guard comes and goes."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="guard-"))  # pytest's folders are too long for a socket's name
        self.log = self.folder / "steps.log"
        self.twin = start("twin", "--folder", str(self.folder), "--log", str(self.log))
        self.guard: subprocess.Popen[str] | None = None
        wait_for((self.folder / ARM_SOCKET).exists, 60.0, self.twin)

    def start_guard(self) -> GuardClient:
        """Start the guard, engage once it listens; its client."""
        self.guard = start("guard", "--folder", str(self.folder), "--json")
        self.client = self.reach()
        self._engage()
        return self.client

    def _engage(self) -> None:
        engaged: list[GuardStatus] = []

        def engage() -> bool:
            engaged.append(self.client.request("engage"))
            return not engaged[-1].error

        wait_for(engage, 10.0)
        self.status, self.sequence = engaged[-1], 0

    def reach(self) -> GuardClient:
        """A client of the guard that is starting."""
        clients: list[GuardClient] = []

        def reached() -> bool:
            try:
                clients.append(GuardClient(self.folder / GUARD_SOCKET))
            except ConnectionError:
                return False
            return True

        wait_for(reached, 60.0, self.guard)
        return clients[0]

    def drive(self, velocity_m_s: Vector3, seconds: float, hz: float = 20.0) -> None:
        """A policy whose target runs ahead of the arm at a constant velocity; back again where the guard stopped the
        arm since this computer was too busy."""
        for direction in (1.0, -1.0) * _ATTEMPTS:
            with keeping_time():
                self._drive(tuple(direction * v for v in velocity_m_s), seconds, hz)  # type: ignore[arg-type]
            stopped = self.client.request("status")
            if stopped.mode == "RUNNING":
                return
            assert stopped.reason.startswith(_TOO_BUSY), stopped
            time.sleep(1.0)  # S11
            self.client.request("reset")
            self._engage()
        raise AssertionError(f"this computer was too busy for the guard, {2 * _ATTEMPTS} times in a row")

    def _drive(self, velocity_m_s: Vector3, seconds: float, hz: float) -> None:
        begin = time.monotonic()
        pose: Pose = self.client.request("status").pose
        tick = 0
        while (now := time.monotonic()) < begin + seconds:
            self.sequence += 1
            ahead = now - begin + 0.1
            target = shifted(pose, tuple(v * ahead for v in velocity_m_s))  # type: ignore[arg-type]
            self.client.command(ArmCommand(target, sequence=self.sequence, session=self.status.session))
            tick += 1
            time.sleep(max(0.0, min(begin + tick / hz, begin + seconds) - time.monotonic()))

    def end_guard(self, signum: int) -> tuple[float, int]:
        """Signal the guard and wait for its end; when it was signalled (monotonic s), and its exit code."""
        assert self.guard is not None
        self.client.close()
        at = time.monotonic()
        self.guard.send_signal(signum)
        return at, self.guard.wait(timeout=10.0)

    def stops(self, events_s: list[float]) -> list[Stop]:
        """End the twin; how the arm stopped after each event."""
        self.twin.send_signal(signal.SIGTERM)
        self.twin.wait(timeout=30.0)
        log = read_log(self.log)
        return [judge(log, begin) for begin in events_s]

    def lock_owner(self) -> str:
        return (self.folder / LOCK).read_text().strip()

    def close(self) -> None:
        for process in (self.guard, self.twin):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()
        shutil.rmtree(self.folder)


@contextmanager
def keeping_time() -> Iterator[None]:
    """Whoever commands keeps time as an actor does, where the system grants real-time priority."""
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def judge(log: dict[str, np.ndarray], begin_s: float) -> Stop:
    """What the arm did from ``begin_s`` on (monotonic). Time is counted in physics steps: a machine that is too busy to
    run the twin in real time slows it down, not the laws of motion."""
    rows = np.flatnonzero(log["monotonic_s"] >= begin_s)[:JUDGED_STEPS]
    velocity = np.stack([log[name][rows] for name in ("vx", "vy", "vz")], axis=1)
    position = np.stack([log[name][rows] for name in "xyz"], axis=1)
    speed = np.linalg.norm(velocity, axis=1)
    moving = np.flatnonzero(speed >= STILL_M_S)
    rest = 0 if not len(moving) else int(moving[-1]) + 1
    seconds = rest * STEP_S if rest < len(rows) else np.inf
    metres = float(np.linalg.norm(position - position[0], axis=1).max())
    window = round(0.02 / STEP_S)
    slowing = np.linalg.norm(velocity[window:] - velocity[:-window], axis=1) / 0.02
    around = log["monotonic_s"][np.searchsorted(log["monotonic_s"], begin_s - 1.0) : rows[-1] + 1]
    return Stop(float(speed[0]), float(seconds), metres, float(slowing.max()), float(np.diff(around).max()))


def undisturbed(story: Callable[[GuardedTwin], list[Stop]]) -> list[Stop]:
    """How the arm of a twin of its own stopped in ``story``, told again where the computer was taken away meanwhile."""
    stalled: list[float] = []
    while len(stalled) < _ATTEMPTS:
        twin = GuardedTwin()
        try:
            stops = story(twin)
        finally:
            twin.close()
        stalled.append(max(stop.stalled_s for stop in stops))
        if stalled[-1] <= STALL_S:
            return stops
    raise AssertionError(f"the arm's process stood still, {_ATTEMPTS} times in a row: {stalled} s")


def start(*arguments: str) -> subprocess.Popen[str]:
    """A command of ``robot-rl`` as a process."""
    return subprocess.Popen(
        [sys.executable, "-c", _MAIN, *arguments],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def wait_for(happened: Callable[[], bool], seconds: float, process: subprocess.Popen[str] | None = None) -> None:
    """Until ``happened()``; fails at once with the last words of ``process`` should it end instead."""
    deadline = time.monotonic() + seconds
    while not happened():
        if process is not None and process.poll() is not None:
            raise RuntimeError(f"{process.args} ended: {process.communicate()[1][-500:]}")
        if time.monotonic() > deadline:
            raise TimeoutError(f"{happened.__qualname__} did not happen in {seconds:g} s")
        time.sleep(0.05)
