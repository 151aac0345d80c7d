"""The doctor's look at a cell's devices: each is connected, watched for a moment, and let go."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from math import dist, hypot

from hardware.cell import Cell
from hardware.clock import RealClock
from hardware.devices import Devices
from hardware.doctor import Check, Finding, failed, passed, warned
from hardware.doctor_rights import key_rights, spacemouse_rights
from hardware.geometry import pose_add
from hardware.guard import EngageError
from hardware.interfaces import (
    ZERO6,
    Arm,
    ArmCommand,
    Camera,
    FrameStamp,
    GuardMode,
    NoTeleop,
    TeleopDevice,
    TeleopSample,
)
from hardware.local_robot import LocalRobot

WATCH_S = 2.0
TRIP_UP_M = 0.02
"""How far the watchdog's test means to move; it ends the guard half way."""
_TRIP_TIMEOUT_S = 5.0
_STILL_M_S = 0.005


def checks(cell: Cell, devices: Devices, trip_watchdog: bool) -> list[tuple[str, Check]]:
    """What to look at in ``cell``, whose ``devices`` are not connected yet."""
    looks: list[tuple[str, Check]] = [
        (f"camera {name}", partial(camera, name, device, cell.cameras[name].frames_per_s))
        for name, device in devices.cameras.items()
    ]
    if cell.teleop.device == "spacemouse":
        looks.append(("teleop rights", spacemouse_rights))
    keys = [cell.teleop.path] if cell.teleop.device == "evdev" else []
    for path in (*keys, *([cell.teleop.pedal] if cell.teleop.pedal else [])):
        looks.append(("key rights", partial(key_rights, path)))
    looks.append(("teleop", partial(teleop, devices.teleop)))
    looks.append(("arm", partial(arm, devices.arm, cell)))
    if trip_watchdog:
        looks.append(("watchdog", partial(watchdog, cell, devices)))
    return looks


def camera(name: str, device: Camera, frames_per_s: float) -> Iterator[Finding]:
    what = f"camera {name}"
    try:
        device.connect()
    except ConnectionError as error:
        yield _absent(what, error, "plug it in, on a USB 3 port of its own; check serial or path in the cell file")
        return
    try:
        yield judged(what, _frames(device), frames_per_s)
        yield from _usb(what, device)
    finally:
        device.close()


def _absent(what: str, error: ConnectionError, fix: str) -> Finding:
    """A device that does not connect; where its SDK is missing, cables are not to blame."""
    return failed(what, str(error), "install that" if isinstance(error.__context__, ImportError) else fix)


def _frames(device: Camera) -> list[FrameStamp]:
    """Each frame of the next seconds."""
    seen: list[FrameStamp] = []
    until_s = time.monotonic() + WATCH_S
    while time.monotonic() < until_s:
        newest = device.newest()
        if newest is not None and (not seen or newest.sequence > seen[-1][1]):
            seen.append(newest)
        time.sleep(0.002)
    return seen


def judged(what: str, seen: Sequence[FrameStamp], frames_per_s: float) -> Finding:
    """What the frames ``seen`` in a row tell of a camera that should send ``frames_per_s``."""
    if len(seen) < 3:
        return failed(what, f"{len(seen)} frames in {WATCH_S:g} s", "another cable or port; does it run elsewhere?")
    gaps = [after.stamp_s - before.stamp_s for before, after in pairwise(seen)]
    lost = seen[-1].sequence - seen[0].sequence - len(gaps)
    rate, worst = len(gaps) / sum(gaps), max(gaps)
    digests = [frame.digest for frame in seen if frame.digest is not None]
    found = f"{rate:.1f} frames/s, widest gap {1000 * worst:.0f} ms, {lost} lost"
    if len(digests) > 5 and len(set(digests)) == 1:
        return failed(what, f"{found}; every picture is the same", "it is frozen (S17): unplug it and plug it in again")
    if worst > 2.5 / frames_per_s:
        return warned(what, found, "gaps over 2.5 periods hold the arm (S16): fewer cameras on a bus, a shorter cable")
    if abs(rate - frames_per_s) > 0.1 * frames_per_s:
        return warned(what, found, f"the cell file says {frames_per_s:g}: automatic exposure in the dark slows it down")
    return passed(what, f"{found}, jitter {1000 * statistics.pstdev(gaps):.1f} ms")


def _usb(what: str, device: Camera) -> Iterator[Finding]:
    speed = getattr(device, "usb_speed", "")
    if speed.startswith("2"):
        yield warned(what, f"on USB {speed}", "a USB 3 port and cable: USB 2 has fewer modes and starves two cameras")
    elif speed:
        yield passed(what, f"on USB {speed}")


def teleop(device: TeleopDevice) -> Iterator[Finding]:
    if isinstance(device, NoTeleop):
        yield passed("teleop", "none in this cell: nobody can take over")
        return
    try:
        device.connect()
    except ConnectionError as error:
        yield _absent("teleop", error, "plug it in; teleop.device and teleop.path in the cell file name it")
        return
    try:
        samples = list(_samples(device))
    finally:
        device.close()
    oldest = max(now - sample.heartbeat_s for now, sample in samples)
    moved = [sample for _, sample in samples if sample.takeover]
    if oldest > 0.1:
        yield failed("teleop", f"its reader was silent for {1000 * oldest:.0f} ms", "another cable or port (S13)")
    elif len(moved) == len(samples):
        found = "deflected all the time: " + ", ".join(f"{value:+.2f}" for value in moved[-1].twist)
        yield warned("teleop", found, "let go of it; if you had, raise teleop.dead_band or calibrate it")
    else:
        yield passed("teleop", f"beats every {1000 * oldest:.0f} ms or faster, rests at nought")


def _samples(device: TeleopDevice) -> Iterator[tuple[float, TeleopSample]]:
    for _ in range(round(WATCH_S / 0.01)):
        time.sleep(0.01)
        now = time.monotonic()
        yield now, device.read(now)


def arm(device: Arm, cell: Cell) -> Iterator[Finding]:
    try:
        device.connect()
    except ConnectionError as error:
        yield _absent("arm", error, "power, cable, address (controller.address), and the vendor's remote control")
        return
    try:
        oldest, state = 0.0, device.read()
        for _ in range(round(WATCH_S / 0.01)):
            time.sleep(0.01)
            state = device.read()
            oldest = max(oldest, time.monotonic() - state.stamp_s)
    finally:
        device.close()
    position = ", ".join(f"{value:.3f}" for value in state.T_base_ee.position_m)
    found = f"end effector at {position} m, states at most {1000 * oldest:.0f} ms old"
    if state.stopped:
        yield failed("arm", f"stopped: {state.stopped}", "clear it at the arm, then `robot-rl guard`")
    elif cell.workspace.excess(state.T_base_ee.position_m) > 0.0:
        yield warned("arm", f"{found}, outside the workspace", "move it inside by hand, or correct [workspace]")
    elif oldest > 0.05:
        yield warned("arm", found, "older than 50 ms holds the arm (S10): look at network and load")
    else:
        yield passed("arm", found)
    force = hypot(*state.wrench[:3])
    if force > 5.0:
        yield warned(
            "wrench", f"{force:.1f} N with nothing touched", "enter the payload at the arm, then zero its sensor"
        )
    else:
        yield passed("wrench", f"{force:.1f} N at rest")


def watchdog(cell: Cell, devices: Devices) -> Iterator[Finding]:
    """S3, tried: the guard moves the arm slowly up and falls silent; the arm's controller must stop it."""
    clock = RealClock()
    connect_again(devices.arm)
    devices.teleop.connect()
    robot = LocalRobot(devices.arm, {}, devices.teleop, cell, clock, control_hz=None)
    try:
        found = trip(robot, clock.close)
    finally:
        clock.close()
        robot.close()
    yield found


def connect_again(device: Arm) -> None:
    """A controller takes a moment to see that the last connection is gone."""
    deadline_s = time.monotonic() + 2.0
    while True:
        try:
            return device.connect()
        except ConnectionError:
            if time.monotonic() > deadline_s:
                raise
            time.sleep(0.1)


def trip(robot: LocalRobot, silence: Callable[[], object]) -> Finding:
    """Engage ``robot``, move it up, call ``silence`` (its guard sends nothing from then on), and see how it stops."""
    clock = robot.clock
    deadline_s = clock.now() + _TRIP_TIMEOUT_S
    limits = robot.guard.settings.limits
    while robot.guard.streaming_s < limits.stream_before_arm_s and clock.now() < deadline_s:
        clock.sleep_until(clock.now() + 0.05)
    start = robot.arm_state.T_base_ee
    try:
        robot.guard.engage(robot.arm_state, clock.now())
    except EngageError as refused:
        return warned("watchdog", f"not tried: {refused}", "put that right, then again")
    robot.command(ArmCommand(pose_add(start, (0.0, 0.0, TRIP_UP_M, *ZERO6[3:]))))
    while robot.arm.read().ee_twist[2] < 0.02:
        if robot.guard.mode >= GuardMode.HOLD:
            return warned("watchdog", f"not tried: the guard held ({robot.guard.reason})", "put that right, then again")
        if clock.now() > deadline_s:
            return failed("watchdog", "the arm did not move", "free it, 50 mm above it too; then again")
        clock.sleep_until(clock.now() + 0.005)
    silence()
    silent_s, began, still_s = clock.now(), robot.arm.read().T_base_ee, None
    while still_s is None and clock.now() < silent_s + _TRIP_TIMEOUT_S:
        if hypot(*robot.arm.read().ee_twist[:3]) < _STILL_M_S:
            still_s = clock.now() - silent_s
        clock.sleep_until(clock.now() + 0.005)
    travel_m = dist(began.position_m, robot.arm.read().T_base_ee.position_m)
    if still_s is None:
        return failed("watchdog", "the arm did not stop by itself (S3)", "never run this arm: its driver is broken")
    return passed(
        "watchdog", f"without references the arm stood after {still_s:.2f} s and {1000 * travel_m:.0f} mm (S3)"
    )
