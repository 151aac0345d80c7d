"""The guard's process dies, is asked to end, is started twice, is told nonsense: what the arm does, by every physics
step's log of the process that runs it."""

from __future__ import annotations

import json
import signal
import socket
import time

import numpy as np
import pytest

from hardware.black_box_report import read_black_box
from hardware.guard_process import BLACK_BOX
from hardware.guard_process import SOCKET as GUARD_SOCKET
from hardware.guard_socket import MAX_PACKET_BYTES
from tests.faults.guarded_twin import GuardedTwin, start, undisturbed

WATCHDOG_S = 0.1
FAST = (0.15, -0.15, 0.15)
"""Faster than the guard lets through on every axis: it goes at its own top speed."""


@pytest.fixture
def twin():
    twin = GuardedTwin()
    yield twin
    twin.close()


def fast(back: int) -> tuple[float, float, float]:
    return tuple(v * (-1.0) ** back for v in FAST)  # type: ignore[return-value]


def test_s3_kill_9_of_the_guard_stops_the_arm():
    rng = np.random.default_rng(3)

    def story(twin):
        events = []
        for back in range(3):
            twin.start_guard()
            twin.drive(fast(back), 0.4 + 0.3 * rng.random())
            at, code = twin.end_guard(signal.SIGKILL)
            assert code == -signal.SIGKILL
            events.append(at)
            time.sleep(0.8)
        return twin.stops(events)

    stops = undisturbed(story)
    for stop in stops:
        print(f"\n  kill -9 at {1000 * stop.speed_m_s:.0f} mm/s: {stop.seconds:.3f} s, {1000 * stop.metres:.1f} mm")
    for stop in stops:
        assert stop.speed_m_s > 0.1
        assert stop.seconds <= WATCHDOG_S + 0.45
        assert stop.metres <= 0.03
        assert stop.deceleration_m_s2 < 4.0


def test_sigterm_brings_the_arm_to_rest_before_the_guard_ends():
    def story(twin):
        events = []
        for signum in (signal.SIGTERM, signal.SIGINT):
            twin.start_guard()
            twin.drive(fast(len(events)), 0.6)
            at, code = twin.end_guard(signum)
            assert code == 0
            assert json.loads(twin.guard.stdout.read())["cell"] == "twin"
            events.append(at)
            time.sleep(0.8)
        assert twin.lock_owner() == ""
        boxes = sorted((twin.folder / BLACK_BOX).glob("*.mcap"))
        assert "asked to end" in read_black_box(boxes[-1]).reason
        return twin.stops(events)

    for stop in undisturbed(story):
        assert stop.speed_m_s > 0.1
        assert stop.seconds < 0.45
        assert stop.metres < 0.03
        assert stop.deceleration_m_s2 < 3.0  # The stop profile's 2 m/s^2, and what the arm adds in following it.


def test_a_second_guard_of_the_cell_is_refused_and_the_lock_dies_with_its_guard(twin):
    twin.start_guard()
    second = start("guard", "--folder", str(twin.folder))
    _, complaint = second.communicate(timeout=30.0)
    assert second.returncode == 2
    assert f"process {twin.guard.pid} is this cell's guard already" in complaint
    assert complaint.count("\n") == 1
    twin.end_guard(signal.SIGKILL)
    twin.start_guard()
    assert twin.client.request("status").mode == "ARMED"


def test_a_guard_that_was_stopped_for_a_second_holds_and_does_not_leap():
    def story(twin):
        twin.start_guard()
        twin.drive(FAST, 0.5)
        paused = time.monotonic()
        twin.guard.send_signal(signal.SIGSTOP)
        time.sleep(1.0)
        resumed = time.monotonic()
        twin.guard.send_signal(signal.SIGCONT)
        time.sleep(0.8)
        status = twin.client.request("status")
        assert status.missed_ticks > 50
        assert status.mode == "HOLD"
        return twin.stops([paused, resumed])

    during, after = undisturbed(story)
    assert during.seconds <= WATCHDOG_S + 0.45
    assert during.metres <= 0.03
    assert after.metres < 0.005  # It starts again where the arm's own watchdog stopped the arm.


def test_nonsense_from_a_client_is_counted_and_changes_nothing(twin):
    twin.start_guard()
    link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    link.connect(str(twin.folder / GUARD_SOCKET))
    before = twin.client.request("status")
    packets = [
        b"\0\xff\xfe",
        b"[]",
        b"{}",
        b'{"do": "fly"}',
        b'{"do": "command", "pose": 3, "sequence": 1, "session": 0, "gripper": 0}',
        b'{"do": "command", "pose": [], "sequence": 1e400, "session": 0, "gripper": 0}',
        b"[" * 2000,
        b"1" * (MAX_PACKET_BYTES + 1),
    ]
    for packet in packets:
        link.send(packet)
    time.sleep(0.1)
    link.close()
    status = twin.client.request("status")
    assert status.pose.position_m == pytest.approx(before.pose.position_m, abs=1e-4)
    assert twin.client.request("reset").mode == "DISARMED"
    assert twin.guard.poll() is None
    _, code = twin.end_guard(signal.SIGTERM)
    assert code == 0


def test_without_a_twin_the_guard_says_what_to_start(tmp_path):
    guard = start("guard", "--folder", str(tmp_path))
    _, complaint = guard.communicate(timeout=30.0)
    assert guard.returncode == 2
    assert "robot-rl twin" in complaint
