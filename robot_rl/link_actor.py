"""The actor's end of the link over ZMQ: a thread that spools, sends, and keeps the newest weights.

The control loop only ever puts an object into a deque. The thread writes it to the spool first, so that a killed actor
loses at most the step in hand, then sends it within a window, and forgets what the learner confirmed. While no learner
answers, everything stays on disk. A full disk or spool is a ``problem`` of :meth:`ZmqActorEnd.state`: the actor stops
at it, since a step that cannot be kept should not be taken.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections import deque
from contextlib import suppress

import numpy as np
import zmq

from robot_rl.keys import ActorKeys, check_endpoint, secure_actor
from robot_rl.link import PROTOCOL, LinkState, Weights, digest_of
from robot_rl.spool import Spool, SpoolError
from robot_rl.wire import MAX_WEIGHTS_BYTES, Frame, Record, WireError, decode, encode, encode_record

WINDOW = 128
"""Records under way at a time."""
WINDOW_BYTES = 32 << 20
POSTED_RECORDS = 512
"""Steps that may wait in memory for a disk that is slow; more are a problem, and lost to learning."""
ALIVE_S, BEAT_S, QUIET_S, RESEND_S = 3.0, 0.3, 1.0, 2.0
FROM_LEARNER = ("welcome", "ack", "weights", "no")


class ZmqActorEnd:
    """An :class:`~robot_rl.link.ActorEnd`. ``about`` (JSON) tells the learner what this actor is made for."""

    def __init__(
        self, endpoint: str, spool: Spool, about: str = "{}", actor: int = 0, keys: ActorKeys | None = None
    ) -> None:
        """Raises ValueError for an address that needs keys and has none."""
        check_endpoint(endpoint, keys)
        self._spool, self._about, self._actor = spool, about, actor
        self._session = spool.starts << 32 | secrets.randbits(32)
        self._learner = 0
        self._posted: deque[Record] = deque()
        self._newest: Weights | None = None
        self._held_version, self._held_base = 0, ""
        self._refusals: deque[tuple[int, str]] = deque(maxlen=16)
        self._sent, self._flight, self._flight_bytes = spool.forgotten, deque[tuple[int, int]](), 0
        self._started_s = self._heard_s = self._said_s = self._progress_s = time.monotonic()
        self._behind, self._dropped, self.refused_frames = 0, 0, 0
        self._full, self._rejected = "", ""
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
        for option, value in (
            (zmq.LINGER, 0), (zmq.SNDHWM, 2 * WINDOW), (zmq.RCVHWM, 16), (zmq.MAXMSGSIZE, MAX_WEIGHTS_BYTES),
            (zmq.RECONNECT_IVL, 50), (zmq.RECONNECT_IVL_MAX, 500),
            (zmq.IMMEDIATE, 1),  # nothing is queued for a learner that is away
        ):  # fmt: skip
            self._socket.setsockopt(option, value)
        if keys is not None:
            secure_actor(self._socket, keys)
        self._socket.connect(endpoint)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="link", daemon=True)
        self._thread.start()

    # -- what the control loop calls ---------------------------------------------------------------------------------

    def post(self, record: Record) -> None:
        if len(self._posted) >= POSTED_RECORDS:
            self._dropped += 1
            return
        self._posted.append(record)
        os.eventfd_write(self._wake, 1)

    def weights(self) -> Weights | None:
        newest, self._newest = self._newest, None
        return newest

    def refuse(self, version: int, reason: str) -> None:
        self._refusals.append((version, reason[:1000]))
        os.eventfd_write(self._wake, 1)

    def forget_base(self) -> None:
        """Have the next weights come with their frozen base: what came could not be put to use."""
        self._held_base = ""

    def state(self) -> LinkState:
        silent_s = time.monotonic() - (self._heard_s if self._learner else self._started_s)
        dropped = f"{self._dropped} steps were lost to learning: the disk is too slow" if self._dropped else ""
        return LinkState(
            alive=bool(self._learner) and silent_s < ALIVE_S,
            silent_s=silent_s,
            backlog=len(self._posted) + self._spool.last - self._spool.forgotten,
            behind=self._behind,
            problem=self._rejected or self._full or dropped,
        )

    def close(self, flush_s: float = 2.0) -> None:
        """Safe to call twice. The spool stays its owner's."""
        if self._closing.is_set():
            return
        until = time.monotonic() + flush_s
        while time.monotonic() < until and (self._posted or self.state().alive) and self.state().backlog:
            time.sleep(0.01)
        self._closing.set()
        os.eventfd_write(self._wake, 1)
        self._thread.join()
        os.close(self._wake)

    # -- the thread --------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._wake, zmq.POLLIN)
        while not self._closing.is_set():
            ready = dict(poller.poll(int(1000 * BEAT_S / 2)))
            if self._wake in ready:
                with suppress(BlockingIOError):
                    os.eventfd_read(self._wake)
            self._store()
            for _ in range(WINDOW):
                try:
                    self._hear(self._socket.recv(zmq.NOBLOCK))
                except zmq.Again:
                    break
            self._say()
        self._store()
        self._socket.close()

    def _store(self) -> None:
        """Move what was posted into the spool."""
        while self._posted:
            try:
                self._spool.append(encode_record(self._posted[0]))
                self._full = ""
            except SpoolError as error:
                self._full = str(error)
                return
            except WireError as error:
                self._full = f"a step cannot be sent: {error}"
            self._posted.popleft()

    def _hear(self, data: bytes) -> None:
        try:
            frame = decode(data, FROM_LEARNER)
        except WireError:
            self.refused_frames += 1
            return
        said, session = frame.fields, frame.fields["session"]
        known = session == self._learner or frame.kind in ("welcome", "no")
        if said["to"] != self._session or not known:  # from before one of the two started again
            self.refused_frames += 1
            return
        self._heard_s = time.monotonic()
        if frame.kind == "no":
            self._rejected = said["reason"]
        elif frame.kind == "welcome":
            self._rejected = ""
            if not self._spool.claim(said["run"]):
                self._rejected = f"'{self._spool.folder}' holds steps for another learner's run: give another --out"
            elif session != self._learner:
                self._learner, self._held_version = session, 0
                self._confirm(said["received"])
                self._rewind()
                self._said_s = 0.0  # ask for weights at once
        elif frame.kind == "ack":
            self._behind = said["behind"]
            self._confirm(said["received"])
        else:
            self._take_weights(frame)

    def _take_weights(self, frame: Frame) -> None:
        said = frame.fields
        weights = Weights(said["version"], said["about"], frame.tensors, said["base"], said["digest"])
        if weights.version <= self._held_version:
            return
        if weights.digest != digest_of(weights):
            self.refused_frames += 1
            self._refusals.append((weights.version, "they are not what was sent: their SHA-256 differs"))
            return
        self._held_version, self._held_base = weights.version, weights.base
        self._newest = weights
        self._said_s = 0.0  # ask for the next at once

    def _confirm(self, received: int) -> None:
        if received <= self._spool.forgotten:
            return
        self._spool.forget(received)
        self._progress_s = time.monotonic()
        self._sent = max(self._sent, received)
        while self._flight and self._flight[0][0] <= received:
            self._flight_bytes -= self._flight.popleft()[1]

    def _rewind(self) -> None:
        """Send everything that is not confirmed again."""
        self._sent, self._flight_bytes = self._spool.forgotten, 0
        self._flight.clear()
        self._progress_s = time.monotonic()

    def _say(self) -> None:
        now = time.monotonic()
        address = {"session": self._session, "to": self._learner}
        alive = self._learner and now - self._heard_s < QUIET_S
        if now - self._said_s > BEAT_S:
            self._said_s = now
            if not alive:
                hello = {"protocol": PROTOCOL, "spool": self._spool.id, "actor": self._actor}
                self._send(encode("hello", {**address, **hello, "first": self._spool.first, "about": self._about}))
                return
            want = {"learner": self._learner, "version": self._held_version, "base": self._held_base}
            self._send(encode("want", {**address, **want}))
        if not alive or self._rejected:
            return
        while self._refusals:
            version, reason = self._refusals.popleft()
            self._send(encode("report", {**address, "refused": version, "reason": reason}))
        if self._flight and now - self._progress_s > RESEND_S:
            self._rewind()
        self._send_records(address)

    def _send_records(self, address: dict[str, int]) -> None:
        while len(self._flight) < WINDOW and self._flight_bytes < WINDOW_BYTES:
            number = self._spool.next_held(self._sent + 1)
            if number is None:
                return
            try:
                payload = self._spool.read(number)
            except SpoolError:  # damaged on disk since: it is gone, go on after it
                self._sent = number
                continue
            fields = {"spool": self._spool.id, "sequence": number, "after": self._sent}
            if not self._send(encode("record", {**address, **fields}, {"payload": np.frombuffer(payload, np.uint8)})):
                return
            if not self._flight:
                self._progress_s = time.monotonic()
            self._flight.append((number, len(payload)))
            self._flight_bytes += len(payload)
            self._sent = number

    def _send(self, data: bytes) -> bool:
        try:
            self._socket.send(data, zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True
