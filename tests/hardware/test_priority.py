"""Real-time priority is a whole process's: a thread without it could keep Python's lock from one that has it."""

from __future__ import annotations

import subprocess
import sys

import pytest

TAKE = """
import os, threading
from hardware.guard_process import take_priority
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
