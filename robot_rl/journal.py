"""What a learner has received and not yet put into a checkpoint: on disk before it is confirmed to the actor.

One thread keeps what arrives, another takes it. Each actor's spool numbers its records, and each number is kept once.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from robot_rl.spool import Spool, SpoolError
from robot_rl.wire import Record, WireError, decode, decode_record

MAX_BYTES = 16 << 30


class Journal:
    """The journal in ``folder``. ``position`` is where a checkpoint left off (:meth:`position`): what came after is
    taken again. Raises :class:`~robot_rl.spool.SpoolError` where another process has it."""

    def __init__(self, folder: Path, position: Mapping[str, int] | None = None, max_bytes: int = MAX_BYTES) -> None:
        self._spool = Spool(folder, max_bytes)
        self.session = self._spool.starts
        """Greater each time the journal is opened."""
        self.id = self._spool.id
        """Names the run that it belongs to."""
        self._lock, self._arrived = threading.Lock(), threading.Event()
        self._received = dict(position or {})
        self._taken = min(self._received.pop("journal", self._spool.first - 1), self._spool.last)
        self.left_out: deque[str] = deque(maxlen=64)
        """Why records were not taken, in words."""
        self._read_back()

    @property
    def last(self) -> int:
        """Number of the newest record."""
        return self._spool.last

    @property
    def taken(self) -> int:
        """Number of the record that was taken last."""
        return self._taken

    @property
    def waiting(self) -> int:
        """Records that wait to be taken."""
        return self.last - self.taken

    def meet(self, spool: str, first: int) -> int:
        """An actor's spool begins at record ``first``. Up to which number its records are here, or never will be."""
        with self._lock:
            self._received[spool] = max(self._received.get(spool, 0), first - 1)
            return self._received[spool]

    def received(self, spool: str) -> int:
        """Number up to which a spool's records are here."""
        return self._received.get(spool, 0)

    def keep(self, said: Mapping[str, Any], frame: bytes) -> bool:
        """Keep a ``record`` frame whose fields are ``said``; False for one that is here, or comes before its turn.
        Raises SpoolError when there is no room."""
        with self._lock:
            received = self._received.get(said["spool"], 0)
            if said["sequence"] <= received or said["after"] > received:
                return False
            self._spool.append(frame)
            self._received[said["spool"]] = said["sequence"]
        self._arrived.set()
        return True

    def take(self, limit: int, timeout_s: float = 0.0) -> Sequence[Record]:
        """Up to ``limit`` records in order of arrival, waiting at most ``timeout_s`` for the first. One that cannot be
        read is left out, and said to be."""
        records: list[Record] = []
        self._arrived.clear()
        if not self.waiting and timeout_s > 0:
            self._arrived.wait(timeout_s)
        while len(records) < limit:
            with self._lock:
                number = self._spool.next_held(self._taken + 1)
                if number is None:
                    break
                self._taken = number
                try:
                    data = self._spool.read(number)
                except SpoolError as error:
                    self.left_out.append(str(error))
                    continue
            try:
                records.append(decode_record(decode(data, ("record",)).tensors["payload"].data))
            except (WireError, KeyError) as error:
                self.left_out.append(f"a record was left out: {error}")
        return records

    def position(self) -> dict[str, int]:
        """What has been taken so far, for a checkpoint."""
        with self._lock:
            return {**self._received, "journal": self._taken}

    def forget(self, position: Mapping[str, int]) -> None:
        """No checkpoint needs what was taken up to ``position``."""
        with self._lock:
            self._spool.forget(min(position["journal"], self._taken))

    def close(self) -> None:
        self._spool.close()

    def _read_back(self) -> None:
        number = self._spool.next_held(self._spool.first)
        while number is not None:
            try:
                said = decode(self._spool.read(number), ("record",)).fields
                self._received[said["spool"]] = max(self.received(said["spool"]), said["sequence"])
            except (WireError, SpoolError) as error:
                self.left_out.append(f"record {number} of the journal: {error}")
            number = self._spool.next_held(number + 1)
