"""Frames in files: reopened as they were, slots that were written over since are left out, budgets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hardware.interfaces import Source
from robot_rl.replay_buffer import ReplayBuffer
from robot_rl.ring_file import ReplayBudget, RingFile
from robot_rl.types import Step, StepId

LAYOUT = {"state": ((2,), np.dtype(np.float32)), "wrist": ((4, 4, 3), np.dtype(np.uint8))}


def step(number: int) -> Step:
    seen = {"state": np.full(2, number, np.float32), "wrist": np.full((4, 4, 3), number, np.uint8)}
    action = np.zeros(3, np.float32)
    flags = {"intervention_start": False, "terminated": False, "truncated": False, "success": False}
    return Step(
        StepId("r", 0, 0, number), seen, action, action, action, Source.POLICY, reward=0.0, stamp_s=0.0, **flags
    )


def filled(folder: Path, count: int, capacity: int = 8) -> ReplayBuffer:
    buffer = ReplayBuffer(capacity, LAYOUT, 3, folder=folder)
    for number in range(count):
        buffer.add(step(number))
    return buffer


def reopened(folder: Path, saved: tuple, capacity: int = 8) -> ReplayBuffer:
    buffer = ReplayBuffer(capacity, LAYOUT, 3, folder=folder)
    buffer.load_state(*saved)
    return buffer


def copy(state: tuple) -> tuple:
    return {name: array.copy() for name, array in state[0].items()}, state[1]


def test_frames_are_not_in_the_checkpoint_and_come_back(tmp_path: Path) -> None:
    buffer = filled(tmp_path, 6)
    saved = copy(buffer.state())
    assert "observation.wrist" not in saved[0] and "observation.state" in saved[0]
    again = reopened(tmp_path, saved)
    assert np.array_equal(again.observation["wrist"][:6], buffer.observation["wrist"][:6])
    assert again.sampleable(np.arange(8)).tolist() == [True] * 5 + [False] * 3


def test_a_slot_that_was_written_over_after_the_checkpoint_is_left_out(tmp_path: Path) -> None:
    buffer = filled(tmp_path, 8)
    saved = copy(buffer.state())
    for number in (8, 9):
        buffer.add(step(number))
    again = reopened(tmp_path, saved)
    assert again.sampleable(np.arange(8)).tolist() == [False, False, True, True, True, True, True, False]
    for number in (8, 9):  # the steps since come again
        assert again.add(step(number))
    assert np.array_equal(again.observation["wrist"], buffer.observation["wrist"])
    assert np.array_equal(again.sampleable(np.arange(8)), buffer.sampleable(np.arange(8)))


def test_a_slot_half_written_has_no_stamp(tmp_path: Path) -> None:
    file = RingFile(tmp_path, "wrist", 4, (2, 2, 3))
    file.write(1, 5, np.ones((2, 2, 3), np.uint8))
    with pytest.raises(ValueError, match="broadcast"):
        file.write(1, 9, np.ones((3, 3, 3), np.uint8))
    assert RingFile(tmp_path, "wrist", 4, (2, 2, 3)).stamps[1] == -1


def test_disk_is_taken_as_slots_are_filled(tmp_path: Path) -> None:
    RingFile(tmp_path, "wrist", 100_000, (128, 128, 3)).write(3, 3, np.ones((128, 128, 3), np.uint8))
    path = tmp_path / "wrist.frames"
    assert path.stat().st_size > 4e9 and path.stat().st_blocks * 512 < 1e6


def test_a_replay_that_does_not_fit_is_refused_and_says_what_to_do(tmp_path: Path) -> None:
    frames = {"state": ((50,), np.dtype(np.float32)), "wrist": ((128, 128, 3), np.dtype(np.uint8))}
    budget = ReplayBudget.of(frames, 7, 200_000, 100_000)
    assert budget.disk_bytes == 2 * 100_000 * 128 * 128 * 3
    ReplayBudget(1, 1).require(tmp_path)
    with pytest.raises(ValueError, match=r"TB|GB are free.*--learner.replay-capacity"):
        ReplayBudget(1, 10**18).require(tmp_path)
    with pytest.raises(ValueError, match=r"of memory and the machine has .*--learner.replay-capacity"):
        ReplayBudget(10**18, 1).require(tmp_path)
