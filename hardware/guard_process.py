"""The guard as a process of its own: a fixed-rate loop on the monotonic clock that nothing else of ours can delay.

One guard a cell: a lock names the one that runs. SIGTERM and SIGINT are a controlled stop: the arm is brought to rest
before the process ends. Should it die otherwise, the arm's own watchdog stops the arm (S3).
"""

from __future__ import annotations

import fcntl
import logging
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

from hardware.cell import Cell
from hardware.clock import RealClock
from hardware.devices import Devices, devices_of
from hardware.guard import EngageError
from hardware.guard_here import come_to_rest
from hardware.guard_socket import GuardServer, GuardStatus
from hardware.interfaces import ArmCommand
from hardware.local_robot import LocalRobot
from hardware.timekeeping import TickTimes, keeping_time

LOCK, SOCKET, BLACK_BOX = "guard.lock", "guard.sock", "black_box"
_SERVE_S = 0.02
_REPORT_S = 5.0
_ENDS = "the guard's process was asked to end"
_LOG = logging.getLogger(__name__)


class GuardRunningError(OSError):
    """Another guard has the cell; the message names its process."""


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
        times: TickTimes,
        limits_profile: str = "collaborative",
        control_hz: float = 10.0,
        task: str = "",
        teleop_speed: tuple[float, float] = (0.08, 0.6),
    ):
        """``devices`` come connected; the clock must be real, ``times`` its observer. The rest as in
        :class:`LocalRobot`."""
        if not isinstance(devices.clock, RealClock):
            raise TypeError(f"a guard process needs a real clock, not a {type(devices.clock).__name__}")
        self.clock = devices.clock
        self.times = times
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
        self.robot.hold(_ENDS)
        come_to_rest(self.robot, _ENDS)

    def close(self) -> None:
        """End the loop, then everything else; what the black box holds is on disk."""
        self.clock.close()
        self.server.close()
        self.robot.close()

    def status(self, error: str = "") -> GuardStatus:
        guard, pose = self.robot.guard, self.robot.arm_state.T_base_ee
        missed = self.times.missed
        return GuardStatus(guard.mode.name, guard.reason, guard.session, pose.position_m, pose.quat_xyzw, missed, error)

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
        with keeping_time(devices.clock, cell.guard_period_s, realtime) as times:
            process = GuardProcess(cell, devices, folder, times, limits_profile, control_hz, task, teleop_speed)
            _LOG.info("guard of cell %r at %g Hz, socket %s", cell.name, cell.guard_hz, folder / SOCKET)
            try:
                yield process
            finally:
                process.close()


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
