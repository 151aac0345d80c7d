"""Durable MCAP files: append-only, one CRC chunk a flush, sealed by fsync and rename.

A file grows as ``<name>.part`` and gets its name only when it is whole: fsync, rename, fsync of the folder. Between
flushes nothing of it is at risk but the chunk in memory; a ``.part`` left by a killed process is cut at its last good
record. Format: https://mcap.dev/spec.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from mcap.writer import Writer

from hardware.mcap_reader import Recording, read_recording
from hardware.ros_messages import definition, nanoseconds

PART, RECOVERING = ".part", ".recovering"
_SYNC_PERIOD_S = 1.0
_ONE_CHUNK_A_FLUSH = 1 << 40


def to_json(value: object) -> str:
    """JSON of plain values and of numpy numbers and arrays, which become numbers and lists."""
    return json.dumps(value, default=_plain)


def _plain(value: object) -> object:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"cannot record a {type(value).__name__} as JSON: give numbers, strings, lists or mappings")


def sync_folder(folder: Path) -> None:
    """Make names created, renamed or removed in ``folder`` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class RecordingWriter:
    """Writes one MCAP file. ``metadata`` (JSON-able) and ``attachments`` stand at its start.

    Raises ``FileExistsError`` if ``path``, or the file under which it grows (``.part``), is already there.
    """

    def __init__(
        self,
        path: Path,
        metadata: Mapping[str, object],
        attachments: Mapping[str, bytes] | None = None,
        growing: Path | None = None,
        definitions: Callable[[str], str] = definition,
    ) -> None:
        """``definitions``: the ``ros2msg`` text of each type that is written."""
        self.path, self._definitions = path, definitions
        self._part = growing or path.with_name(path.name + PART)
        for existing in (path, self._part):
            if existing.exists():
                raise FileExistsError(
                    f"{existing} exists: a recording is never overwritten; number it otherwise or move it"
                )
        self._file = self._part.open("xb")
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._mcap = Writer(self._file, chunk_size=_ONE_CHUNK_A_FLUSH, enable_data_crcs=True)
        self._mcap.start("ros2", "robot_rl")
        self._schemas: dict[str, int] = {}
        self._channels: dict[str, int] = {}
        self._synced_s = time.monotonic()
        self._syncer: ThreadPoolExecutor | None = None
        self._syncing: Future[None] | None = None
        for name, data in (attachments or {}).items():
            self._mcap.add_attachment(0, 0, name, "application/octet-stream", data)
        self._add_metadata("header", metadata)

    def write(self, topic: str, message_type: str, stamp_s: float, data: bytes, sequence: int) -> None:
        """Append one CDR message of ``message_type`` to the open chunk."""
        channel = self._channels.get(topic)
        if channel is None:
            channel = self._register(topic, message_type)
        stamp_ns = max(nanoseconds(stamp_s), 0)  # MCAP counts from 0; a first camera frame may be older than the clock
        self._mcap.add_message(channel, stamp_ns, data, stamp_ns, sequence)

    def flush(self) -> None:
        """Close the chunk and hand it to the operating system; once a second also to the disk, on another thread.

        Raises ``OSError`` when either fails (a full disk).
        """
        self._mcap.flush()
        if time.monotonic() - self._synced_s < _SYNC_PERIOD_S:
            return
        if self._syncing is not None and not self._syncing.done():
            return
        self._await_sync()
        self._syncer = self._syncer or ThreadPoolExecutor(1, "recording-sync")
        self._syncing = self._syncer.submit(os.fdatasync, self._file.fileno())
        self._synced_s = time.monotonic()

    def seal(self, outcome: Mapping[str, object] | None) -> Path:
        """Write ``outcome`` (None: it was cut off) and the index, put all on disk, give the file its name."""
        self._mcap.flush()
        if outcome is not None:
            self._add_metadata("outcome", outcome)
        self._mcap.finish()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._part.rename(self.path)
        sync_folder(self.path.parent)
        self.abandon()
        return self.path

    def abandon(self) -> None:
        """Close the file as it is: a ``.part`` for :func:`recover_recording`."""
        try:
            self._await_sync()
        finally:
            if self._syncer is not None:
                self._syncer.shutdown()
            self._file.close()

    def _await_sync(self) -> None:
        syncing, self._syncing = self._syncing, None
        if syncing is not None:
            syncing.result()

    def _register(self, topic: str, message_type: str) -> int:
        if message_type not in self._schemas:
            text = self._definitions(message_type).encode()
            self._schemas[message_type] = self._mcap.register_schema(message_type, "ros2msg", text)
        self._channels[topic] = self._mcap.register_channel(topic, "cdr", self._schemas[message_type])
        return self._channels[topic]

    def _add_metadata(self, name: str, values: Mapping[str, object]) -> None:
        text = to_json(values)
        self._mcap.add_metadata(name, {"json": text, "crc32": str(zlib.crc32(text.encode()))})


def recover_recording(part: Path) -> Path | None:
    """Cut a ``.part`` at its last good record and give it its name; the path, or None if nothing was worth keeping.

    What is good is copied, so the result has an index as any other file; it has no outcome. A file whose writer still
    lives is left alone (None), and so is one whose name is taken.
    """
    path = part.with_name(part.name.removesuffix(PART))
    with part.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None
        recording = read_recording(part, recover=True)
        if path.exists():
            return None
        if "header" in recording.metadata and recording.messages:
            _copy(recording, path)
        part.unlink()
    sync_folder(path.parent)
    return path if path.exists() else None


def _copy(recording: Recording, path: Path) -> None:
    growing = path.with_name(path.name + RECOVERING)
    growing.unlink(missing_ok=True)
    writer = RecordingWriter(path, recording.metadata["header"], recording.attachments, growing)
    last = recording.messages[0].sequence
    for message in recording.messages:
        if message.sequence != last:
            writer.flush()
        last = message.sequence
        stamp_s = message.log_time_ns / 1e9
        writer.write(message.topic, recording.types[message.topic], stamp_s, message.data, message.sequence)
    writer.seal(recording.metadata.get("outcome"))
