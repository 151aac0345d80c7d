"""An append-only queue on disk: what one process has said and the other has not yet confirmed.

A folder of segments named by the number of their first record; a record is ``length u32 | crc32 u32 | bytes``. A
record that :meth:`Spool.append` took survives a kill of the process at once (it is with the operating system) and a
power cut after at most a second. A record cut off by either is dropped when the spool is opened again, and everything
before it is kept. Used by one thread of one process: a lock on the folder refuses a second.

Where a disk damaged a record inside an older segment, the rest of that segment is lost and what follows is kept:
:meth:`Spool.next_held` steps over the gap.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
import zlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from io import FileIO
from pathlib import Path
from uuid import uuid4

from hardware.recording import sync_folder
from robot_rl.spool_segment import RECORD, Segment, scan

_ABOUT, _LOCK, _SUFFIX = "spool.json", "lock", ".spool"
SEGMENT_BYTES = 16 << 20
SYNC_PERIOD_S = 1.0


class SpoolError(OSError):
    """The spool cannot be used, or is full; one line that says what to do."""


class Spool:
    """Records numbered from 1 without gaps; :meth:`forget` drops whole segments from the front."""

    def __init__(self, folder: Path, max_bytes: int = 4 << 30, segment_bytes: int = SEGMENT_BYTES):
        """Open or begin the spool in ``folder``; it holds at most ``max_bytes``. Raises :class:`SpoolError`."""
        self.folder, self.max_bytes, self.segment_bytes = folder, max_bytes, segment_bytes
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = (folder / _LOCK).open("a")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise SpoolError(f"'{folder}' is in use by another process: stop it, or give another folder") from None
        about = _read_about(folder / _ABOUT)
        self.id: str = about.get("id") or uuid4().hex
        """Names this spool, whatever process has it open."""
        self.starts = int(about.get("starts", 0)) + 1
        """How often it has been opened: tells newer owners from older ones."""
        self.forgotten = int(about.get("forgotten", 0))
        """The last record known to be confirmed."""
        self.owner: str = about.get("owner", "")
        """Whom its records are for; empty while nobody claimed them."""
        self._segments = [scan(path) for path in sorted(folder.glob(f"*{_SUFFIX}"))]
        self._next = max(self._segments[-1].next if self._segments else 1, self.forgotten + 1)
        self._file: FileIO | None = None
        if self._segments and self._segments[-1].next == self._next:
            self._file = FileIO(self._segments[-1].path, "ab")
        self._synced_s = time.monotonic()
        self._syncer, self._syncing = ThreadPoolExecutor(1, "spool-sync"), deque[Future[None]]()
        self._reading: tuple[Path, int] | None = None
        self._write_about(durably=True)

    @property
    def first(self) -> int:
        """Number of the oldest record that may still have to be delivered."""
        return max(self._segments[0].first if self._segments else self._next, self.forgotten + 1)

    @property
    def last(self) -> int:
        """Number of the newest record; one less than the next."""
        return self._next - 1

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(segment.size for segment in self._segments)

    def append(self, data: bytes) -> int:
        """Add a record; its number. Raises :class:`SpoolError` when the spool or the disk is full: then nothing is
        added, and what is there stays good."""
        if self.size + len(data) > self.max_bytes:
            limit = f"{self.max_bytes / 2**30:.1f} GiB"
            raise SpoolError(f"'{self.folder}' is full ({limit}): bring the learner back, or allow more")
        if self._file is None or self._segments[-1].size >= self.segment_bytes:
            self._begin_segment()
        assert self._file is not None
        self._require_synced(wait=False)
        segment, record = self._segments[-1], RECORD.pack(len(data), zlib.crc32(data)) + data
        try:
            written = self._file.write(record)
            if written != len(record):
                raise SpoolError(f"'{self.folder}': the disk is full, so a record was not kept: make room")
        except OSError as error:
            self._file.truncate(segment.size)
            self._file.seek(segment.size)  # or the next would leave a hole
            raise error if isinstance(error, SpoolError) else SpoolError(f"'{self.folder}': {error.strerror}") from None
        segment.offsets.append(segment.size)
        segment.size += len(record)
        self._next += 1
        if time.monotonic() - self._synced_s > SYNC_PERIOD_S:
            self._sync_soon(self._file)
        return self._next - 1

    def read(self, number: int) -> bytes:
        """Record ``number``. Raises KeyError if it is not held, :class:`SpoolError` if the disk damaged it."""
        segment = next((s for s in reversed(self._segments) if s.first <= number < s.next), None)
        if segment is None:
            raise KeyError(f"record {number} is not in '{self.folder}' ({self.first} to {self.last} are)")
        descriptor = self._open_for_reading(segment.path)
        offset = segment.offsets[number - segment.first]
        length, checksum = RECORD.unpack(os.pread(descriptor, RECORD.size, offset))
        data = os.pread(descriptor, length, offset + RECORD.size)
        if zlib.crc32(data) != checksum:
            raise SpoolError(f"record {number} of '{self.folder}' does not match its checksum")
        return data

    def next_held(self, number: int) -> int | None:
        """The first record from ``number`` on that is held: the number itself, but for a gap where a disk failed."""
        return next((max(s.first, number) for s in self._segments if s.offsets and s.next > number), None)

    def forget(self, number: int) -> None:
        """Everything up to ``number`` is confirmed: segments that hold nothing else are deleted, but for the last,
        which keeps the count. Where ``number`` is beyond the last record (this end lost some), counting goes on from
        there, so that no number is used twice."""
        if number <= self.forgotten:
            return
        self.forgotten = number
        if number >= self._next:
            self._next, self._file = number + 1, None
            self._write_about(durably=True)
        while len(self._segments) > 1 and self._segments[0].next - 1 <= number:
            self._segments.pop(0).path.unlink()
            self._write_about()

    def claim(self, owner: str) -> bool:
        """Whether the records are for ``owner``; the first who asks gets them."""
        if not self.owner:
            self.owner = owner
            self._write_about()
        return self.owner == owner

    def close(self) -> None:
        """Safe to call twice."""
        if self._lock.closed:
            return
        if self._file is not None:
            self._sync_soon(self._file)
        with suppress(SpoolError):
            self._require_synced(wait=True)
        self._syncer.shutdown()
        self._write_about()
        if self._reading is not None:
            os.close(self._reading[1])
        if self._file is not None:
            self._file.close()
        self._lock.close()

    def _open_for_reading(self, path: Path) -> int:
        if self._reading is None or self._reading[0] != path:
            if self._reading is not None:
                os.close(self._reading[1])
            self._reading = (path, os.open(path, os.O_RDONLY))
        return self._reading[1]

    def _begin_segment(self) -> None:
        path = self.folder / f"{self._next:012d}{_SUFFIX}"
        try:
            file = FileIO(path, "xb")
        except OSError as error:
            raise SpoolError(f"'{self.folder}': {error.strerror}") from None
        if self._file is not None:
            self._sync_soon(self._file)
            self._file.close()
        self._file = file
        self._segments.append(Segment(path, self._next))

    def _sync_soon(self, file: FileIO) -> None:
        """Bring all records to the disk itself, on another thread: a slow disk must not keep the next from being
        written."""
        self._syncing.append(self._syncer.submit(_bring_to_disk, os.dup(file.fileno()), self.folder))
        self._synced_s = time.monotonic()

    def _require_synced(self, wait: bool) -> None:
        while self._syncing and (wait or self._syncing[0].done()):
            if (error := self._syncing.popleft().exception()) is not None:
                raise SpoolError(f"'{self.folder}': {error}") from None

    def _write_about(self, durably: bool = False) -> None:
        """Behind by a little after a kill, and kept where a full disk forbids writing: then records go out twice."""
        path = self.folder / f"{_ABOUT}.new"
        known = {"id": self.id, "starts": self.starts, "forgotten": self.forgotten, "owner": self.owner}
        try:
            with path.open("w") as file:
                file.write(json.dumps(known))
                file.flush()
                if durably:
                    os.fsync(file.fileno())
            path.rename(self.folder / _ABOUT)
        except OSError:
            path.unlink(missing_ok=True)


def _bring_to_disk(descriptor: int, folder: Path) -> None:
    try:
        os.fdatasync(descriptor)
        sync_folder(folder)
    finally:
        os.close(descriptor)


def _read_about(path: Path) -> dict[str, str]:
    try:
        about = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return about if isinstance(about, dict) else {}
