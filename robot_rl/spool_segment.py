"""One file of a spool: records of ``length u32 | crc32 u32 | bytes``, read up to the first that is not whole."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

RECORD = struct.Struct("<II")
MAX_RECORD_BYTES = 64 << 20


@dataclass
class Segment:
    """Records from number ``first`` on."""

    path: Path
    first: int
    offsets: list[int] = field(default_factory=list)
    """Where each record begins."""
    size: int = 0

    @property
    def next(self) -> int:
        return self.first + len(self.offsets)


def scan(path: Path) -> Segment:
    """The segment in ``path`` up to its last good record; the rest of the file is cut off."""
    segment = Segment(path, int(path.stem))
    data = path.read_bytes()
    for end in _good_records(data):
        segment.offsets.append(segment.size)
        segment.size = end
    if segment.size < len(data):
        os.truncate(path, segment.size)
    return segment


def _good_records(data: bytes) -> Iterator[int]:
    """Where each record ends, up to the first that is cut off or damaged."""
    at = 0
    while at + RECORD.size <= len(data):
        length, checksum = RECORD.unpack_from(data, at)
        at += RECORD.size + length
        if length > MAX_RECORD_BYTES or at > len(data) or zlib.crc32(memoryview(data)[at - length : at]) != checksum:
            return
        yield at
