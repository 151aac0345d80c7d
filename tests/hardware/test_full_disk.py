"""S25 and S26 where they meet the disk: one that is full in an episode, one that blocks."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from hardware import black_box
from hardware.black_box import BlackBox
from hardware.guard_inputs import DiskHealth
from hardware.interfaces import GuardMode
from hardware.recording import PART, RecordingWriter, read_recording, recover_recording
from tests.hardware.rig import running
from tests.hardware.test_recording import make_robot, robots, write_robot

ROOM_BYTES = 40_000


@contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    """The system refuses to let any file of this process grow beyond ``size``, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def write_until_full(path: Path) -> int:
    """Steps that a writer said are on their way to the disk before it refused."""
    rng, writer, steps = np.random.default_rng(1), RecordingWriter(path, {"task": "reach"}), 0
    with no_file_beyond(ROOM_BYTES), pytest.raises(OSError, match="File too large"):
        while steps < 1000:
            write_robot(writer, make_robot(rng, 0.1 * steps, ("wrist",)), steps)
            writer.flush()
            steps += 1
    writer.abandon()
    return steps


def test_s26_a_disk_that_fills_in_an_episode_leaves_every_step_that_was_flushed(tmp_path):
    steps = write_until_full(tmp_path / "a.mcap")
    path = recover_recording(tmp_path / f"a.mcap{PART}")
    assert path is not None and not (tmp_path / f"a.mcap{PART}").exists()
    # The step that was refused may be whole too: closing the file tries once more.
    assert 3 < steps <= len(robots(read_recording(path))) <= steps + 1


def test_s26_the_guard_holds_in_the_tick_that_hears_of_a_failed_write():
    rig = running()
    rig.disk = DiskHealth(free_bytes=0.0, left_s=0.0, failed=True)
    executed = rig.tick()
    assert executed.mode is GuardMode.HOLD
    assert executed.reason.startswith("S26: the recording failed")


def test_s25_a_black_box_whose_disk_blocks_keeps_no_tick_waiting(tmp_path, monkeypatch):
    """The ticks end while the write has not: were they to wait for it, this test would never end."""
    unblocked, begun, write = Event(), Event(), black_box.write_black_box

    def blocked(*arguments):
        begun.set()
        assert unblocked.wait(60.0)
        return write(*arguments)

    monkeypatch.setattr(black_box, "write_black_box", blocked)
    rig = running()
    rig.guard.recorder = box = BlackBox(tmp_path, rig.guard.settings, {})
    for _ in range(3):
        rig.guard.hold()
        rig.tick(200)
        assert begun.wait(60.0)
        rig.resume()
        rig.tick(20)
    assert list(tmp_path.glob("*.mcap")) == []
    unblocked.set()
    box.close()
    assert len(list(tmp_path.glob("*.mcap"))) == 3
