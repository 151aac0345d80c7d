"""The doctor's look that needs a person beside the cell: which camera is which, where the device's axes point, whether
the emergency stop is seen. The person is told what to do on stderr, and does it; nothing is typed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from math import dist

from hardware.devices import Devices
from hardware.doctor import Check, Finding, failed, passed, warned
from hardware.doctor_devices import connect_again
from hardware.interfaces import Arm, Camera, Clock, NoTeleop, TeleopDevice, Vector3
from hardware.questions import say

WAIT_S = 30.0
"""How long the person has for each."""
RELEASE_S = 10.0
"""How long the arm is watched while the emergency stop is released."""
_POLL_S = 0.02
_LOST_S = 0.5
"""A camera whose newest frame is older has been unplugged."""
_PUSHED, _AT_REST = 0.3, 0.05
_CREPT_M = 0.001
_WAYS: Mapping[str, str] = {
    "+x": "away from the arm's base",
    "+y": "to the left, seen from behind the base",
    "+z": "up",
}


def checks(devices: Devices) -> list[tuple[str, Check]]:
    """What to look at with a person; ``devices`` are not connected."""
    clock = devices.clock
    looks: list[tuple[str, Check]] = []
    if devices.cameras:
        looks.append(("camera names", partial(camera_names, devices.cameras, clock)))
    if not isinstance(devices.teleop, NoTeleop):
        looks.append(("deflection", partial(deflection, devices.teleop, clock)))
    looks.append(("emergency stop", partial(emergency_stop, devices.arm, clock)))
    return looks


def camera_names(cameras: Mapping[str, Camera], clock: Clock) -> Iterator[Finding]:
    """Each is unplugged in turn: the one that falls silent must be the one that the cell file calls so."""
    connected: list[Camera] = []
    try:
        for camera in cameras.values():
            camera.connect()
            connected.append(camera)
        for name in cameras:
            yield _unplugged(name, cameras, clock)
    except ConnectionError as error:
        yield failed("camera names", str(error), "all cameras must be there: see above")
    finally:
        for camera in connected:
            camera.close()


def _unplugged(name: str, cameras: Mapping[str, Camera], clock: Clock) -> Finding:
    what = f"camera {name}"
    silent = partial(_silent, cameras, clock)
    say(f"  unplug the camera {name!r}, as you know it")
    if not _comes(clock, silent):
        return warned(what, f"none was unplugged within {WAIT_S:g} s", "once more, and unplug it")
    clock.sleep_until(clock.now() + _LOST_S)  # What hangs on the same hub is seen a moment later.
    found = silent()
    say("  plug it in again")
    back = _comes(clock, lambda: not silent())
    if found != [name]:
        fix = "exchange their serial or path in the cell file" if len(found) == 1 else "unplug one alone"
        return failed(what, f"what was unplugged is {', '.join(found)}", fix)
    if not back:
        return failed(what, f"it is the one unplugged, but did not come back within {WAIT_S:g} s", "see its cable")
    return passed(what, "it is the one unplugged, and came back")


def _silent(cameras: Mapping[str, Camera], clock: Clock) -> list[str]:
    newest = {name: camera.newest() for name, camera in cameras.items()}
    return [name for name, frame in newest.items() if frame is None or clock.now() - frame.stamp_s > _LOST_S]


def deflection(device: TeleopDevice, clock: Clock) -> Iterator[Finding]:
    """Where each push would move the hand, while it is pushed."""
    try:
        device.connect()
    except ConnectionError as error:
        yield failed("deflection", str(error), "see above")
        return
    try:
        for way, means in _WAYS.items():
            say(f"  push it as if the hand were to go {means}, and let go")
            yield _pushed(way, means, device, clock)
    finally:
        device.close()


def _pushed(way: str, means: str, device: TeleopDevice, clock: Clock) -> Finding:
    what = f"push {way}"

    shown = ""

    def push() -> Vector3:
        nonlocal shown
        x, y, z, *_ = device.read(clock.now()).twist
        line = f"\r  x {x:+.2f}  y {y:+.2f}  z {z:+.2f}"
        if line != shown:
            say(line, end="")
            shown = line
        return x, y, z

    pushed = _comes(clock, lambda: max(map(abs, push())) > _PUSHED)
    values = push()
    axis, value = max(zip("xyz", values, strict=True), key=lambda pair: abs(pair[1]))
    released = _comes(clock, lambda: max(map(abs, push())) < _AT_REST)
    say("")
    if not pushed:
        return warned(what, f"it was not pushed within {WAIT_S:g} s", "once more, and push it")
    if not released:
        return failed(
            what, f"it does not come to rest: {axis} stays deflected", "raise teleop.dead_band, or calibrate it"
        )
    found = f"{'+' if value > 0.0 else '-'}{axis}"
    if found != way:
        return failed(what, f"would move the hand along {found}, not {means}", "teleop.yaw_rad or teleop.axes")
    return passed(what, f"moves the hand {means}")


def emergency_stop(device: Arm, clock: Clock) -> Iterator[Finding]:
    """It must be seen here, and its release move nothing (S11). The guard is not part of it: no references are sent."""
    what = "emergency stop"
    try:
        connect_again(device)
    except ConnectionError as error:
        yield failed(what, str(error), "see above")
        return
    try:
        if stopped := _stopped(device):
            yield warned(what, f"not tried: the arm is stopped already ({stopped})", "put that right, then again")
            return
        say("  press the emergency stop")
        if not _comes(clock, lambda: _stopped(device) != ""):
            fix = "press it; if it was pressed, its driver cannot see it: do not run this arm"
            yield failed(what, f"none was seen within {WAIT_S:g} s", fix)
            return
        words = _stopped(device)
        say(f"  seen: {words}; now release it. Nothing may move.")
        crept_m = _crept(device, clock)
        if crept_m > _CREPT_M:
            yield failed(what, f"released, the arm moved by {1000 * crept_m:.0f} mm (S11)", "do not run this arm")
        else:
            yield passed(what, f"seen ({words}), and nothing moved for {RELEASE_S:g} s, in which it was to be released")
    finally:
        device.close()


def _stopped(device: Arm) -> str:
    """Why it is stopped; a link that went with the power is a stop too."""
    try:
        return device.read().stopped
    except ConnectionError as error:
        return str(error)


def _crept(device: Arm, clock: Clock) -> float:
    """How far the end effector gets in the time to release it, m; what cannot be read is taken to stand."""
    start, farthest_m = None, 0.0
    until_s = clock.now() + RELEASE_S
    while clock.now() < until_s:
        clock.sleep_until(clock.now() + _POLL_S)
        try:
            at = device.read().T_base_ee.position_m
        except ConnectionError:
            continue
        start = start or at
        farthest_m = max(farthest_m, dist(start, at))
    return farthest_m


def _comes(clock: Clock, condition: Callable[[], object]) -> bool:
    deadline_s = clock.now() + WAIT_S
    while not condition():
        if clock.now() > deadline_s:
            return False
        clock.sleep_until(clock.now() + _POLL_S)
    return True
