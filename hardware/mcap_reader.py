"""Reading MCAP files up to the last good byte. Format: https://mcap.dev/spec."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import zstandard
from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.records import Attachment, Channel, Chunk, DataEnd, Metadata, Schema
from mcap.writer import MCAP0_MAGIC

_MAX_CHUNK_BYTES = 1 << 30
_RECORD = struct.Struct("<BQ")
_MESSAGE = struct.Struct("<HIQQ")
_CRC = struct.Struct("<I")
_INDEX = struct.Struct("<HI")


class RecordingError(ValueError):
    """A file that is not a recording, or a damaged one; the message is one line and names the file."""


class Message(NamedTuple):
    """One recorded message: ``data`` is CDR, ``sequence`` the number of the observation that it belongs to."""

    topic: str
    sequence: int
    log_time_ns: int
    data: bytes


@dataclass
class Recording:
    """What a file holds up to its end or its first damage."""

    messages: list[Message] = field(default_factory=list)
    metadata: dict[str, dict[str, Any]] = field(default_factory=dict)
    attachments: dict[str, bytes] = field(default_factory=dict)
    good_bytes: int = len(MCAP0_MAGIC)
    """Length of the part that can be read."""
    types: dict[str, str] = field(default_factory=dict)
    """Message type of each topic."""
    _schemas: dict[int, str] = field(default_factory=dict)
    _topics: dict[int, str] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """The writer reached its end: the outcome is there, so all before it is."""
        return "outcome" in self.metadata

    def take(self, opcode: int, payload: bytes) -> None:
        """Add one top-level record; raises ``ValueError`` and the like if it is damaged."""
        stream = ReadDataStream(BytesIO(payload))
        if opcode == Opcode.CHUNK:
            self._take_chunk(Chunk.read(stream))
        elif opcode == Opcode.METADATA:
            record = Metadata.read(stream)
            text = record.metadata["json"]
            _check(zlib.crc32(text.encode()) == int(record.metadata["crc32"]), f"metadata {record.name!r}")
            self.metadata[record.name] = json.loads(text)
        elif opcode == Opcode.ATTACHMENT:
            _check(zlib.crc32(payload[:-4]) == _CRC.unpack(payload[-4:])[0], "attachment")
            attachment = Attachment.read(stream)
            self.attachments[attachment.name] = attachment.data
        elif opcode == Opcode.MESSAGE_INDEX:
            _check(_INDEX.unpack_from(payload)[1] == len(payload) - _INDEX.size, "message index")
        else:  # an opcode has no checksum: a chunk must not pass for a record that can be skipped
            _check(opcode == Opcode.HEADER and self.good_bytes == len(MCAP0_MAGIC), f"record of kind {opcode}")

    def _take_chunk(self, chunk: Chunk) -> None:
        _check(chunk.compression == "zstd" and chunk.uncompressed_size < _MAX_CHUNK_BYTES, "chunk header")
        content = zstandard.decompress(chunk.data, chunk.uncompressed_size)
        _check(zlib.crc32(content) == chunk.uncompressed_crc, "chunk")
        for opcode, _, payload in _records(content, 0):
            if opcode == Opcode.MESSAGE:
                channel, sequence, log_time, _ = _MESSAGE.unpack_from(payload)
                self.messages.append(Message(self._topics[channel], sequence, log_time, payload[_MESSAGE.size :]))
            elif opcode == Opcode.SCHEMA:
                schema = Schema.read(ReadDataStream(BytesIO(payload)))
                self._schemas[schema.id] = schema.name
            elif opcode == Opcode.CHANNEL:
                record = Channel.read(ReadDataStream(BytesIO(payload)))
                self._topics[record.id] = record.topic
                self.types[record.topic] = self._schemas[record.schema_id]


def _check(good: bool, what: str) -> None:
    if not good:
        raise ValueError(f"{what} does not match its checksum")


def _records(data: bytes, at: int) -> Iterator[tuple[int, int, bytes]]:
    """Opcode, end offset and payload of each record; ``EOFError`` inside one that is cut off."""
    while at < len(data):
        if at + _RECORD.size > len(data):
            raise EOFError
        opcode, length = _RECORD.unpack_from(data, at)
        at += _RECORD.size + length
        if at > len(data):
            raise EOFError
        yield opcode, at, data[at - length : at]


def read_recording(path: Path, recover: bool = False) -> Recording:
    """Read a file that is whole, or the longest valid prefix of one that was cut off.

    Raises :class:`RecordingError` if it is not a recording or, unless ``recover``, if a checksum inside it fails.
    """
    data = path.read_bytes()
    if not data.startswith(MCAP0_MAGIC) and not (recover and MCAP0_MAGIC.startswith(data)):
        raise RecordingError(
            f"{path}: not a recording (no MCAP magic at its start); give a file that robot_rl recorded"
        )
    recording, problem = Recording(), ""
    try:
        for opcode, end, payload in _records(data, len(MCAP0_MAGIC)):
            if opcode == Opcode.DATA_END:
                start = end - _RECORD.size - len(payload)
                _check(
                    DataEnd.read(ReadDataStream(BytesIO(payload))).data_section_crc == zlib.crc32(data[:start]), "data"
                )
                break
            recording.take(opcode, payload)
            recording.good_bytes = end
    except EOFError:
        problem = "a record runs past the end" if data.endswith(MCAP0_MAGIC) else ""
    except (ValueError, KeyError, struct.error, zstandard.ZstdError, MemoryError, OverflowError, McapError) as error:
        problem = str(error) or type(error).__name__
    if problem and not recover:
        where = f"at byte {recording.good_bytes} of {len(data)}"
        raise RecordingError(f"{path}: corrupt {where} ({problem}); restore it from a copy or leave it out")
    return recording
