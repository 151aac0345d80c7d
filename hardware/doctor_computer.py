"""The doctor's look at the computer: versions, renderer, disk, scheduling, clock, ROS, GPU."""

from __future__ import annotations

import ctypes.util
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from hardware.doctor import Check, Finding, failed, passed, warned
from hardware.limits import Limits

EXTRAS = {
    "realsense": "pyrealsense2",
    "uvc": "cv2",
    "spacemouse": "pyspacemouse",
    "evdev": "evdev",
    "franka": "franky",
    "ur": "rtde_control",
    "so101": "scservo_sdk",
}
"""Which module an extra brings."""
_SLOW_FSYNC_S, _HOPELESS_FSYNC_S = 0.02, 0.5
_SYNCS = 20
_LATE_S = 0.002
_RTPRIO = 50


def checks(folder: Path, environment: Mapping[str, str] = os.environ) -> list[tuple[str, Check]]:
    """What to look at on any computer; ``folder`` is where runs will be written."""
    return [
        ("versions", versions),
        ("renderer", partial(renderer, environment)),
        ("disk", partial(disk, folder)),
        ("scheduling", scheduling),
        ("clock", clock),
        ("gpu", gpu),
        ("ros", partial(ros, environment)),
    ]


def versions() -> Iterator[Finding]:
    found = [f"Python {platform.python_version()}", f"Linux {platform.release()}"]
    found += [f"{name} {version(name)}" for name in ("robot-rl", "mujoco", "numpy", "torch", "ruckig")]
    yield passed("versions", ", ".join(found))
    missing = [extra for extra, module in EXTRAS.items() if not _installed(module)]
    if missing:
        wish = f"for such devices: pip install 'robot-rl[{','.join(missing)}]'"
        yield passed("extras", f"not installed: {', '.join(missing)} ({wish})")


def renderer(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Whether the twin can draw without a display."""
    backend = environment.get("MUJOCO_GL", "")
    if backend == "egl" or not environment.get("DISPLAY"):
        if ctypes.util.find_library("EGL") is None:
            fix = "sudo apt-get install libegl1 libgl1-mesa-dri libgles2"
            yield warned("renderer", "no EGL: twin cameras and videos are left out", fix)
            return
        if backend not in ("egl", "osmesa"):
            yield warned("renderer", "no display, and MUJOCO_GL does not say egl", "export MUJOCO_GL=egl")
            return
    yield passed("renderer", backend or "the display's")


def disk(folder: Path) -> Iterator[Finding]:
    """Room and speed where episodes go: each step is flushed, each second and each end of an episode synced."""
    folder.mkdir(parents=True, exist_ok=True)
    free, least = shutil.disk_usage(folder).free, Limits().min_disk_bytes
    room = f"{free / 1e9:.1f} GB free at {folder}"
    if free < least:
        yield failed("disk space", room, f"{least / 1e9:g} GB are the least for an episode (S26): make room")
    else:
        yield passed("disk space", room)
    probe, took = folder / f".fsync-{os.getpid()}", []
    try:
        with probe.open("wb") as file:
            for _ in range(_SYNCS):
                file.write(os.urandom(65536))
                file.flush()
                began = time.perf_counter()
                os.fdatasync(file.fileno())
                took.append(time.perf_counter() - began)
    finally:
        probe.unlink(missing_ok=True)
    median, worst = statistics.median(took), max(took)
    found = f"64 KiB synced in {1000 * median:.1f} ms (worst of {_SYNCS}: {1000 * worst:.0f} ms)"
    if median > _HOPELESS_FSYNC_S:
        yield failed("disk speed", found, "record on a local SSD, not on a network drive")
    elif median > _SLOW_FSYNC_S:
        yield warned("disk speed", found, "an SSD syncs within 20 ms; episodes end with a pause here")
    else:
        yield passed("disk speed", found)


def scheduling() -> Iterator[Finding]:
    """S25: the guard's tick must come in time whatever else runs."""
    granted = max(resource.getrlimit(resource.RLIMIT_RTPRIO)[0], 99 if os.geteuid() == 0 else 0)
    kernel = "PREEMPT_RT kernel" if _realtime_kernel() else "ordinary kernel"
    if granted < _RTPRIO:
        fix = (
            f"add '@realtime - rtprio {_RTPRIO}' to /etc/security/limits.conf, yourself to that group, and log in anew"
        )
        yield warned("scheduling", f"{kernel}, no real-time priority (rtprio {granted})", fix)
    else:
        yield passed("scheduling", f"{kernel}, real-time priority {granted}")
    late = sorted(_lateness(200))
    found = f"woke {1000 * late[len(late) // 2]:.2f} ms late (p50), {1000 * late[-2]:.1f} ms (p99), at 100 Hz"
    if late[-2] > _LATE_S:
        yield warned("wake-ups", found, "close what else runs here; use a computer with cores to spare")
    else:
        yield passed("wake-ups", found)


def clock() -> Iterator[Finding]:
    """Two machines compare recordings by wall clock; control never reads it."""
    tool = shutil.which("timedatectl")
    if tool is None:
        yield passed("clock", "timedatectl is not here to ask; only two machines need equal clocks")
        return
    asked = subprocess.run([tool, "show", "-p", "NTPSynchronized", "--value"], capture_output=True, text=True)
    if asked.stdout.strip() == "yes":
        yield passed("clock", "synchronised")
    else:
        yield warned("clock", "not synchronised", "sudo timedatectl set-ntp true (matters with two machines)")


def gpu() -> Iterator[Finding]:
    tool = shutil.which("nvidia-smi")
    asked = None if tool is None else subprocess.run([tool, "-L"], capture_output=True, text=True)
    if asked is None or asked.returncode != 0 or not asked.stdout.strip():
        yield passed("gpu", "none: learning runs on the CPU, here or on another machine")
    else:
        yield passed("gpu", asked.stdout.strip().splitlines()[0].split(" (UUID")[0])


def ros(environment: Mapping[str, str]) -> Iterator[Finding]:
    if not _installed("rclpy") and "ROS_DISTRO" not in environment:
        yield passed("ros", "not installed; nothing here needs it but the ROS nodes")
        return
    domain = environment.get("ROS_DOMAIN_ID", "0")
    reach = environment.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "SUBNET")
    found = f"{environment.get('ROS_DISTRO', 'rclpy from a wheel')}, domain {domain}, discovery {reach}"
    if not domain.isdigit() or int(domain) > 101:
        yield failed("ros", found, "export ROS_DOMAIN_ID to a number from 0 to 101")
    elif reach != "LOCALHOST" and domain == "0":
        fix = "export ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST, or a ROS_DOMAIN_ID of your own"
        yield warned("ros", f"{found}: any robot of the network may answer", fix)
    else:
        yield passed("ros", found)


def _installed(module: str) -> bool:
    return find_spec(module) is not None


def _realtime_kernel() -> bool:
    flag = Path("/sys/kernel/realtime")
    return (flag.exists() and flag.read_text().strip() == "1") or "PREEMPT_RT" in platform.version()


def _lateness(ticks: int) -> Iterator[float]:
    """How late this process wakes, s; each of ``ticks`` of 10 ms."""
    sys.stdout.flush()
    due = time.monotonic()
    for _ in range(ticks):
        due += 0.01
        time.sleep(max(0.0, due - time.monotonic()))
        yield time.monotonic() - due
