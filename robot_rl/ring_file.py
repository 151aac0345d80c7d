"""Frames of a replay ring in a file that is mapped into memory: reopened at once, written by the operating system.

Each slot has a stamp, the writing number of what it holds. It is taken away before the slot is written and set after,
so that a kill at any instant leaves no slot that passes for whole and is not.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

EMPTY = -1
PHYSICAL_SHARE = 0.8
"""Of the machine's memory that a replay may take."""

Entries = Mapping[str, tuple[tuple[int, ...], np.dtype]]
"""Shape and dtype of each entry of an observation."""


def is_frame(shape: tuple[int, ...], dtype: np.dtype) -> bool:
    """Whether an entry of an observation is an image: those go to files."""
    return len(shape) == 3 and np.dtype(dtype) == np.uint8


class RingFile:
    """``capacity`` slots of ``shape``, uint8, in ``<folder>/<name>.frames``; disk is taken as slots are filled."""

    def __init__(self, folder: Path, name: str, capacity: int, shape: tuple[int, ...]):
        """Open the file, or begin one; one of another size is begun anew."""
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"{name}.frames"
        self.array = _mapped(self._path, (capacity, *shape), np.dtype(np.uint8))
        """uint8 (capacity, \\*shape)."""
        self.stamps = _mapped(folder / f"{name}.stamps", (capacity,), np.dtype(np.int64))
        self._file = self._path.open("r+b")
        self._frame_bytes = int(np.prod(shape))

    def write(self, slot: int, serial: int, frame: np.ndarray) -> None:
        """Raises OSError where the disk has no room for a slot that was never filled: a mapped page without room would
        kill the process instead."""
        try:
            os.posix_fallocate(self._file.fileno(), slot * self._frame_bytes, self._frame_bytes)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._path)) from None
        self.stamps[slot] = EMPTY
        self.array[slot] = frame
        self.stamps[slot] = serial

    def flush(self) -> None:
        """Bring everything to the disk itself."""
        self.array.flush()
        self.stamps.flush()


def _mapped(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> np.memmap:
    size = int(np.prod(shape)) * dtype.itemsize
    if not path.exists() or path.stat().st_size != size:
        with path.open("wb") as file:
            os.truncate(file.fileno(), size)
    return np.memmap(path, dtype, "r+", shape=shape)


@dataclass(frozen=True)
class ReplayBudget:
    """What a replay will take, at most."""

    memory_bytes: int
    disk_bytes: int

    @staticmethod
    def of(entries: Entries, action_dim: int, capacity: int, steps: int) -> ReplayBudget:
        """For two buffers of ``capacity`` slots, of which a run of ``steps`` fills no more than it has steps."""
        slots = min(capacity, steps)
        sizes = {name: int(np.prod(shape)) * np.dtype(dtype).itemsize for name, (shape, dtype) in entries.items()}
        frames = sum(size for name, size in sizes.items() if is_frame(*entries[name]))
        numbers = sum(sizes.values()) - frames + 3 * 4 * action_dim + 64
        return ReplayBudget(2 * slots * numbers, 2 * slots * frames)

    def require(self, folder: Path) -> None:
        """Raises ValueError unless the machine has as much, what ``folder`` holds already counted in."""
        physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        if self.memory_bytes > PHYSICAL_SHARE * physical:
            raise ValueError(
                f"the replay would take {_size(self.memory_bytes)} of memory and the machine has {_size(physical)}: "
                "give a smaller --learner.replay-capacity or fewer --env-steps"
            )
        folder.mkdir(parents=True, exist_ok=True)
        held = sum(file.stat().st_blocks * 512 for file in folder.rglob("*.frames"))
        free = shutil.disk_usage(folder).free + held
        if self.disk_bytes > free:
            raise ValueError(
                f"the replay would take {_size(self.disk_bytes)} at '{folder}' and {_size(free)} are free: "
                "make room, or give a smaller --learner.replay-capacity, fewer --env-steps or smaller images"
            )

    def __str__(self) -> str:
        return f"replay: at most {_size(self.memory_bytes)} of memory and {_size(self.disk_bytes)} of disk"


def _size(size: float) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
