"""The guard as a process of its own: a fixed-rate loop on the monotonic clock that nothing else of ours can delay.

One guard a cell: a lock names the one that runs. SIGTERM and SIGINT are a controlled stop: the arm is brought to rest
before the process ends. Should it die otherwise, the arm's own watchdog stops the arm (S3).
"""

from __future__ import annotations

import fcntl
import gc
import logging
import os
import signal
import sys
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import islice, pairwise
from math import hypot
from pathlib import Path
from threading import Event
from typing import Any

from hardware.cell import Cell
from hardware.clock import RealClock
from hardware.devices import Devices, devices_of
from hardware.guard import EngageError
from hardware.guard_socket import GuardServer, GuardStatus
from hardware.interfaces import ArmCommand, GuardMode
from hardware.local_robot import LocalRobot

LOCK, SOCKET, BLACK_BOX = "guard.lock", "guard.sock", "black_box"
_SERVE_S = 0.02
_REPORT_S = 5.0
_STOP_TIMEOUT_S = 2.0
_STILL_M_S = 0.005
_SWITCH_S = 0.0005
"""How long another thread (black box, socket) may keep the interpreter when the tick is due."""
_PRIORITY = 50
_KEPT_TICKS = 60_000
_LOG = logging.getLogger(__name__)


class GuardRunningError(OSError):
    """Another guard has the cell; the message names its process."""


class TickTimes:
    """When ticks were due, began and ended; an observer of :class:`hardware.clock.RealClock`."""

    def __init__(self, period_s: float) -> None:
        self.period_s = period_s
        self.ticks: deque[tuple[float, float, float]] = deque(maxlen=_KEPT_TICKS)
        """(due, began, ended), monotonic s; the newest last."""
        self.missed = 0
        """Ticks that never were: deadlines passed by more than a period."""

    def __call__(self, due_s: float, began_s: float, ended_s: float) -> None:
        if self.ticks:
            self.missed += max(0, round((due_s - self.ticks[-1][0]) / self.period_s) - 1)
        self.ticks.append((due_s, began_s, ended_s))

    def percentiles(self, skip: int = 0) -> dict[str, float]:
        """p50, p99, p99.9 and the worst of the period (between beginnings) and of a tick's own cost, ms; the first
        ``skip`` ticks left out."""
        ticks = list(islice(self.ticks, skip, None))
        columns = {
            "period": [1000 * (b[1] - a[1]) for a, b in pairwise(ticks)],
            "late": [1000 * (began - due) for due, began, _ in ticks],
            "cost": [1000 * (ended - began) for _, began, ended in ticks],
        }
        return {f"{name}_{key}_ms": value for name, values in columns.items() for key, value in _quantiles(values)}


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the cell's lock; the operating system gives it back however the process ends.

    Raises :class:`GuardRunningError` with the process number of the guard that has it.
    """
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise GuardRunningError(
                f"process {file.read().strip() or '?'} is this cell's guard already ({path}); "
                "end it with SIGTERM, or give another --folder for another arm"
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
        file.truncate(0)


class GuardProcess:
    """A cell's guard with its devices and its socket."""

    def __init__(
        self,
        cell: Cell,
        devices: Devices,
        folder: Path,
        limits_profile: str = "collaborative",
        control_hz: float = 10.0,
        task: str = "",
        teleop_speed: tuple[float, float] = (0.08, 0.6),
    ):
        """``devices`` come connected; the clock must be real. The rest as in :class:`LocalRobot`."""
        if not isinstance(devices.clock, RealClock):
            raise TypeError(f"a guard process needs a real clock, not a {type(devices.clock).__name__}")
        self.clock = devices.clock
        self.times = TickTimes(cell.guard_period_s)
        self.clock.observer = self.times
        self.robot = LocalRobot(
            *(devices.arm, devices.cameras, devices.teleop, cell, self.clock, limits_profile, teleop_speed),
            black_box=folder / BLACK_BOX,
            control_hz=control_hz,
            task=task,
        )
        self.server = GuardServer(folder / SOCKET, self._submit, self.do)

    def run(self, stop: Event) -> None:
        """Serve until ``stop`` is set, then bring the arm to rest. Raises ``RuntimeError`` if the loop died."""
        reported, report_s = 0, self.clock.now()
        while not stop.is_set():
            self.server.serve(_SERVE_S)
            self.clock.sleep_until(self.clock.now())  # Raises what killed a tick.
            if self.times.missed > reported and self.clock.now() >= report_s:
                _LOG.warning("%d ticks missed so far", self.times.missed)
                reported, report_s = self.times.missed, self.clock.now() + _REPORT_S
        self.robot.hold("the guard's process was asked to end")
        deadline_s = self.clock.now() + _STOP_TIMEOUT_S
        while not self._stands() and self.clock.now() < deadline_s:
            self.clock.sleep_until(self.clock.now() + _SERVE_S)

    def close(self) -> None:
        """End the loop, then everything else; what the black box holds is on disk."""
        self.clock.close()
        self.server.close()
        self.robot.close()

    def status(self, error: str = "") -> GuardStatus:
        guard, pose = self.robot.guard, self.robot.arm_state.T_base_ee
        missed = self.times.missed
        return GuardStatus(guard.mode.name, guard.reason, guard.session, pose.position_m, pose.quat_xyzw, missed, error)

    def _stands(self) -> bool:
        guard, twist = self.robot.guard, self.robot.arm_state.ee_twist
        return guard.mode is GuardMode.DISARMED or (guard.at_rest and hypot(*twist[:3]) < _STILL_M_S)

    def _submit(self, command: ArmCommand) -> None:
        self.robot.guard.submit(command, self.clock.now())

    def do(self, wish: str, request: Mapping[str, Any] = {}) -> GuardStatus:
        """What an operator asks for (:mod:`hardware.guard_socket`); a refusal is in the answer's ``error``. Raises
        ``ValueError`` for a wish that is none."""
        guard, error = self.robot.guard, ""
        try:
            if wish == "engage":
                guard.engage(self.robot.arm_state, self.clock.now())
            elif wish == "resume":
                self.robot.resume()
            elif wish == "recover":
                self.robot.recover()
            elif wish == "disarm":
                guard.disarm()
            elif wish == "reset":
                guard.reset()
            elif wish == "hold":
                self.robot.hold(str(request.get("reason", "the operator asked for it"))[:200])
            elif wish != "status":
                raise ValueError(f"no request {wish!r}")
        except (EngageError, ConnectionError) as refused:
            error = str(refused)
        return self.status(error)


@contextmanager
def guarding(
    cell: Cell,
    devices: Devices,
    folder: Path,
    limits_profile: str = "collaborative",
    realtime: bool = True,
    control_hz: float = 10.0,
    task: str = "",
    teleop_speed: tuple[float, float] = (0.08, 0.6),
) -> Iterator[GuardProcess]:
    """Connect ``devices`` and guard them within; the arm is disarmed and everything closed at the end.

    ``folder`` holds lock, socket and black box. Raises :class:`GuardRunningError`, and ``ConnectionError`` when a
    device is not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / LOCK):
        devices.connect()
        if realtime and not take_priority():
            _LOG.warning("no real-time priority: grant it (ulimit -r %d) or expect late ticks under load", _PRIORITY)
        sys.setswitchinterval(_SWITCH_S)
        process = GuardProcess(cell, devices, folder, limits_profile, control_hz, task, teleop_speed)
        gc.collect()
        gc.freeze()
        _LOG.info("guard of cell %r at %g Hz, socket %s", cell.name, cell.guard_hz, folder / SOCKET)
        try:
            yield process
        finally:
            process.close()
            gc.unfreeze()


def run_guard(
    cell: Cell,
    folder: Path,
    limits_profile: str = "collaborative",
    realtime: bool = True,
    control_hz: float = 10.0,
    task: str = "",
) -> TickTimes:
    """Guard ``cell`` until SIGTERM or SIGINT; the times of its ticks. Raises as :func:`guarding`, and ``RuntimeError``
    when the loop died."""
    stop = Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: stop.set())
    devices = devices_of(cell, folder)
    with guarding(cell, devices, folder, limits_profile, realtime, control_hz, task) as process:
        process.run(stop)
    return process.times


def take_priority(priority: int = _PRIORITY) -> bool:
    """Real-time scheduling for all threads of this process and those they start, where the system grants it; by default
    the guard's. All of them: one that waits for a processor with the interpreter's lock in hand stops the others."""
    try:
        for thread in os.listdir("/proc/self/task"):
            with suppress(ProcessLookupError):  # It has ended since.
                os.sched_setscheduler(int(thread), os.SCHED_FIFO, os.sched_param(priority))
    except (PermissionError, AttributeError, FileNotFoundError):
        return False
    return True


def _quantiles(values: list[float]) -> list[tuple[str, float]]:
    ordered = sorted(values) or [0.0]
    shares = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999, "max": 1.0}
    return [(name, ordered[min(len(ordered) - 1, int(share * len(ordered)))]) for name, share in shares.items()]
