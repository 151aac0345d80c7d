"""Real-time priority is a whole process's: a thread without it could keep Python's lock from one that has it."""

from __future__ import annotations

import logging
import os
import subprocess
import sys

import pytest

from hardware.clock import RealClock
from hardware.fakes import FakeArm, FakeClock, shifted
from hardware.guard_here import guarding_here
from hardware.interfaces import ArmCommand, GuardMode, NoTeleop, ResetPlan
from hardware.timekeeping import keeping_time
from tests.hardware.rig import fake_cell

TAKE = """
import os, threading
from hardware.timekeeping import take_priority
before = threading.Thread(target=threading.Event().wait, daemon=True)
before.start()
granted = take_priority(3)
after = threading.Thread(target=threading.Event().wait, daemon=True)
after.start()
threads = [int(name) for name in os.listdir("/proc/self/task")]
print(granted, len(threads) >= 3, {os.sched_getparam(thread).sched_priority for thread in threads})
"""


@pytest.mark.skipif(sys.platform != "linux", reason="as Linux schedules")
def test_all_threads_of_a_process_get_it_those_to_come_too():
    done = subprocess.run([sys.executable, "-c", TAKE], capture_output=True, text=True, check=True)
    if done.stdout.startswith("False"):
        pytest.skip("this system grants no real-time priority")
    assert done.stdout.split() == ["True", "True", "{3}"]


KEEP = """
import os, sys
from hardware.clock import RealClock
from hardware.timekeeping import keeping_time
clock, before = RealClock(), (os.sched_getscheduler(0), sys.getswitchinterval())
with keeping_time(clock, 0.01) as times:
    within = os.sched_getscheduler(0), sys.getswitchinterval()
    clock.every(0.01, lambda now: None)
    clock.sleep_until(clock.now() + 0.2)
    clock.close()
print(within[0] == os.SCHED_FIFO, within[1] < before[1], before == (os.sched_getscheduler(0), sys.getswitchinterval()))
print(times.count > 0, times.count == len(times.ticks), clock.observer is None)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="as Linux schedules")
def test_what_is_taken_for_a_guard_in_process_is_given_back():
    done = subprocess.run([sys.executable, "-c", KEEP], capture_output=True, text=True, check=True)
    if "no real-time priority" in done.stderr:
        pytest.skip("this system grants no real-time priority")
    assert done.stdout.split() == ["True"] * 6


@pytest.mark.skipif(not hasattr(os, "sched_setscheduler"), reason="this system has no such scheduling")
def test_without_the_right_it_says_so_in_a_line_and_goes_on(monkeypatch, caplog):
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    with caplog.at_level(logging.WARNING), keeping_time(RealClock(), 0.01):
        pass
    assert [record.getMessage() for record in caplog.records] == [
        "no real-time priority: grant it (ulimit -r 50) or expect late ticks under load"
    ]


def test_an_arm_that_moves_is_brought_to_rest_before_it_is_let_go_of():
    clock = FakeClock()
    arm, ticks = FakeArm(clock), []
    clock.every(0.01, lambda now: ticks.append((robot.guard.mode, arm.reference)))
    cell = fake_cell(cameras={})
    with (
        pytest.raises(KeyboardInterrupt),
        guarding_here(arm, {}, NoTeleop(), cell, clock, control_hz=None) as (robot, _),
    ):
        robot.reset(ResetPlan(arm.pose))
        robot.command(ArmCommand(shifted(arm.pose, (0.1, 0.0, 0.0))))
        clock.sleep_until(clock.now() + 0.3)
        assert max(map(abs, arm.read().ee_twist)) > 0.01
        raise KeyboardInterrupt
    mode, reference = ticks[-1]
    assert mode is GuardMode.HOLD and reference.twist == (0.0,) * 6
    assert arm.reference is None
