"""What was said on topics, message by message as it came, in MCAP files for Foxglove and ``ros2 bag play -s mcap``.

A file grows as ``.part`` (:class:`hardware.recording.RecordingWriter`): a killed recorder costs what came since its
last flush, and the next one in the folder gives the rest its name.
"""

from __future__ import annotations

import fcntl
import re
from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import IO, Any

from mcap.reader import NonSeekingReader
from mcap.records import Channel, Message

from hardware.recording import PART, RecordingWriter

_FIELD = re.compile(r"^\s*([A-Za-z]\w*)(?:/(\w+))?", re.MULTILINE)
_PLAIN = re.compile(r"(bool|byte|char|w?string|u?int\d+|float\d+)")
_COPIED_AT_ONCE, _MAX_CHUNK_BYTES = 500, 1 << 28


def message_class(message_type: str) -> Any:
    """Of ``package/msg/Name``. ``ImportError`` where the package is not installed."""
    package, _, name = message_type.split("/")
    return getattr(import_module(f"{package}.msg"), name)


def definition(message_type: str) -> str:
    """The installed definition with all that it depends on, as MCAP's encoding ``ros2msg`` has it."""
    first = _text(message_type)
    found, todo = {message_type: first}, [(message_type, first)]
    while todo:
        package, text = todo[0][0].split("/")[0], todo.pop(0)[1]
        for one, other in _FIELD.findall(text):
            needed = f"{one}/msg/{other}" if other else f"{package}/msg/{one}"
            if needed not in found and not _PLAIN.fullmatch(one):
                found[needed] = _text(needed)
                todo.append((needed, found[needed]))
    del found[message_type]
    rest = (f"{'=' * 80}\nMSG: {name.replace('/msg', '')}\n{text}" for name, text in found.items())
    return "\n".join([first, *rest])


def _text(message_type: str) -> str:
    """Definitions lie beside their package, whether it came as a wheel or is sourced."""
    package, _, name = message_type.split("/")
    folders = Path(str(import_module(package).__file__)).parents
    at = next(f for folder in folders if (f := folder / "share" / package / "msg" / f"{name}.msg").exists())
    return at.read_text(encoding="utf-8")


class Bag:
    """A new file in ``folder``, for several threads. Files that a killed recorder left there are put in order first."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for part in sorted(folder.glob(f"*.mcap{PART}")):
            put_in_order(part)
        taken = [int(file.name.partition(".")[0]) for file in folder.glob("[0-9]*.mcap*")]
        path = folder / f"{max(taken, default=-1) + 1:03}.mcap"
        self._writer, self._lock = RecordingWriter(path, {}, definitions=definition), Lock()
        self.count: Counter[str] = Counter()
        """Messages by topic."""
        self.lost: Counter[str] = Counter()
        """Of them those that never came, as far as their publishers number them."""
        self._last: dict[tuple[str, bytes], int] = {}

    def add(
        self,
        topic: str,
        message_type: str,
        stamp_s: float,
        data: bytes,
        publisher: bytes = b"",
        number: int | None = None,
    ) -> None:
        """One message, serialized, that came at ``stamp_s``; ``number``: which of its ``publisher``."""
        with self._lock:
            if number is not None:
                last = self._last.get((topic, publisher), number - 1)
                self._last[topic, publisher] = number
                self.lost[topic] += max(0, number - last - 1)  # It counts anew where it was started again.
            self.count[topic] += 1
            self._writer.write(topic, message_type, stamp_s, data, self.count[topic])

    def flush(self) -> None:
        """Hand to the system what came. Raises ``OSError`` where there is no room."""
        with self._lock:
            self._writer.flush()

    def close(self) -> Path:
        """Give the file its name; what was counted stands in it too."""
        with self._lock:
            self.lost = +self.lost
            return self._writer.seal({"messages": dict(self.count), "lost": dict(self.lost)})


def put_in_order(part: Path) -> Path | None:
    """Copy a file that was cut off up to its last whole chunk, with an index, and give it its name: the path. None, and
    nothing done, where its recorder lives."""
    path, texts = part.with_name(part.name.removesuffix(PART)), dict[str, str]()
    with part.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None
        growing = path.with_suffix(".copy")
        growing.unlink(missing_ok=True)
        copy = RecordingWriter(path, {}, growing=growing, definitions=texts.__getitem__)
        for count, (schema, channel, message) in enumerate(_readable(file)):
            texts[schema.name] = schema.data.decode()
            copy.write(channel.topic, schema.name, message.log_time / 1e9, message.data, message.sequence)
            if count % _COPIED_AT_ONCE == 0:
                copy.flush()
        copy.seal(None)
    part.unlink()
    return path


def _readable(file: IO[bytes]) -> Iterator[tuple[Any, Channel, Message]]:
    """What checksums vouch for, up to the file's end, or to damage, of which the reader makes all kinds of errors."""
    try:
        reader = NonSeekingReader(file, validate_crcs=True, record_size_limit=_MAX_CHUNK_BYTES)
        yield from reader.iter_messages(log_time_order=False)
    except Exception:
        return
