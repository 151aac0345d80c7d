"""The learner's end of the link over ZMQ: a thread that keeps what arrives, confirms it, and hands weights out.

A record is written to the journal before it is confirmed, so that a learner killed at any instant finds in its journal
what its last checkpoint lacks. Records of one spool are numbered: one that was received before is confirmed again and
not kept again, one that comes too early waits to be sent again. Sessions keep apart what an actor or learner said
before it started anew. Updates may take as long as they like: the thread answers meanwhile.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import zmq

from robot_rl.journal import Journal
from robot_rl.keys import LearnerKeys, check_endpoint, claim_endpoint, secure_learner
from robot_rl.link import PROTOCOL, Weights
from robot_rl.spool import SpoolError
from robot_rl.wire import MAX_RECORD_BYTES, Frame, Record, WireError, decode, encode

FROM_ACTOR = ("hello", "record", "want", "report")
MAX_ACTORS = 64
WEIGHTS_RESEND_S = 5.0
GONE_S = 3.0
"""An actor that was silent for so long is not waited for."""
_BATCH = 64


@dataclass
class Peer:
    """An actor that said hello."""

    identity: bytes
    session: int
    spool: str
    offered: int = 0
    """Version of the weights sent last."""
    offered_s: float = 0.0
    wants: tuple[int, str] | None = None
    """Version and base it has; None until it asks."""
    told: int = -1
    """How far behind the learner was when last it said so."""
    heard_s: float = 0.0


class ZmqLearnerEnd:
    """A :class:`~robot_rl.link.LearnerEnd`.

    ``admit`` says of an actor's description why it cannot be served (empty: it can); it is called on the link's thread.
    """

    def __init__(
        self,
        endpoint: str,
        journal: Journal,
        admit: Callable[[str], str] = lambda about: "",
        keys: LearnerKeys | None = None,
    ) -> None:
        """Raises ValueError for an address that needs keys and has none, or that another learner has."""
        check_endpoint(endpoint, keys)
        self._journal, self._admit = journal, admit
        self._session = journal.session << 32 | secrets.randbits(32)
        self._peers: dict[bytes, Peer] = {}
        self._newest: tuple[Weights, Weights] | None = None  # with and without their frozen base
        self._said: deque[str] = deque(maxlen=64)
        self._owed = (0, journal.taken)  # rounds, and up to which record; replaced whole: another thread reads it
        self.refused_frames = 0
        """Frames that were no frames, or of an old session."""
        self._full = ""
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._exclusive = claim_endpoint(endpoint)
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        for option, value in (
            (zmq.LINGER, 0), (zmq.ROUTER_MANDATORY, 1), (zmq.ROUTER_HANDOVER, 1), (zmq.RCVHWM, _BATCH),
            (zmq.SNDHWM, 8), (zmq.MAXMSGSIZE, MAX_RECORD_BYTES + 8192), (zmq.HANDSHAKE_IVL, 5000),
        ):  # fmt: skip
            self._socket.setsockopt(option, value)
        self._authenticator = None if keys is None else secure_learner(self._context, self._socket, keys)
        try:
            self._socket.bind(endpoint)
        except zmq.ZMQError as error:
            raise ValueError(f"cannot listen on '{endpoint}': {error}; does another learner?") from None
        self.endpoint = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)
        """Where it listens; tells the port where any (``:0``) was asked for."""
        if endpoint.startswith("ipc://"):
            Path(endpoint.removeprefix("ipc://")).chmod(0o600)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="link", daemon=True)
        self._thread.start()

    # -- what the learner calls --------------------------------------------------------------------------------------

    def take(self, limit: int, timeout_s: float = 0.0) -> Sequence[Record]:
        return self._journal.take(limit, timeout_s)

    def publish(self, weights: Weights) -> None:
        self._newest = weights, weights.without_base() if weights.base else weights
        os.eventfd_write(self._wake, 1)

    def owe(self, rounds: int) -> None:
        owed = (min(rounds, 1 << 40), self._journal.taken)
        if owed != self._owed:
            self._owed = owed
            os.eventfd_write(self._wake, 1)

    def refusals(self) -> Sequence[str]:
        queues = (self._said, self._journal.left_out)
        return [queue.popleft() for queue in queues for _ in range(len(queue))]

    @property
    def delivered(self) -> bool:
        """Whether every actor that is there, and asks for weights, has the newest."""
        version, now = self._newest[0].version if self._newest else 0, time.monotonic()
        there = [peer for peer in list(self._peers.values()) if now - peer.heard_s < GONE_S]
        return all(peer.wants is None or peer.wants[0] >= version for peer in there)

    def close(self) -> None:
        """Safe to call twice. The journal stays its owner's."""
        if self._closing.is_set():
            return
        self._closing.set()
        os.eventfd_write(self._wake, 1)
        self._thread.join()
        if self._authenticator is not None:
            self._authenticator.stop()
        self._context.term()
        os.close(self._wake)
        if self._exclusive is not None:
            self._exclusive.close()

    # -- the thread --------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._wake, zmq.POLLIN)
        while not self._closing.is_set():
            ready = dict(poller.poll(200))
            if self._wake in ready:
                os.eventfd_read(self._wake)
            touched: set[bytes] = set()
            for _ in range(_BATCH):
                try:
                    identity, *parts = self._socket.recv_multipart(zmq.NOBLOCK)
                except zmq.Again:
                    break
                self._hear(identity, parts[0] if len(parts) == 1 else b"", touched)  # several parts are no frame
            behind = self._behind()
            for peer in list(self._peers.values()):
                if peer.identity in touched or peer.told != behind:
                    self._acknowledge(peer, behind)
            self._offer()
        self._socket.close()

    def _hear(self, identity: bytes, data: bytes, touched: set[bytes]) -> None:
        try:
            frame = decode(data, FROM_ACTOR)
        except WireError:
            self.refused_frames += 1
            return
        said, peer = frame.fields, self._peers.get(identity)
        if peer is not None:
            peer.heard_s = time.monotonic()
        if frame.kind == "hello":
            self._meet(identity, frame)
        elif peer is None or said["session"] != peer.session or said["to"] != self._session:
            self.refused_frames += 1  # it will say hello to this session when nobody answers
        elif frame.kind == "record":
            self._keep(peer, frame, data)
            touched.add(identity)
        elif frame.kind == "want":
            peer.wants = (said["version"], said["base"])
            touched.add(identity)
        else:
            self._said.append(f"actor refused weights {said['refused']}: {said['reason']}")

    def _meet(self, identity: bytes, frame: Frame) -> None:
        said = frame.fields
        address = {"session": self._session, "to": said["session"]}
        older = [p for p in self._peers.values() if p.spool == said["spool"]]
        if any(said["session"] < peer.session for peer in older):
            self.refused_frames += 1
            return
        reason = self._admit(said["about"])
        if said["protocol"] != PROTOCOL:
            reason = f"this learner speaks version {PROTOCOL} of the link, the actor {said['protocol']}: update either"
        if not older and len(self._peers) >= MAX_ACTORS:
            reason = f"{MAX_ACTORS} actors are connected already"
        if reason:
            self._send(identity, encode("no", {**address, "reason": reason}))
            return
        for peer in older:
            self._peers.pop(peer.identity, None)
        self._peers[identity] = Peer(identity, said["session"], said["spool"], heard_s=time.monotonic())
        received = self._journal.meet(said["spool"], said["first"])
        self._send(identity, encode("welcome", {**address, "run": self._journal.id, "received": received}))

    def _keep(self, peer: Peer, frame: Frame, data: bytes) -> None:
        if frame.fields["spool"] != peer.spool:
            self.refused_frames += 1
            return
        try:
            self._journal.keep(frame.fields, data)
            self._full = ""
        except SpoolError as error:  # not confirmed, so the actor keeps it
            if not self._full:
                self._said.append(f"steps cannot be kept: {error}")
            self._full = str(error)

    def _behind(self) -> int:
        """Rounds owed, what is not yet reckoned in counted as one each."""
        rounds, reckoned = self._owed
        return rounds + self._journal.last - reckoned

    def _acknowledge(self, peer: Peer, behind: int) -> None:
        fields = {"received": self._journal.received(peer.spool), "behind": behind}
        if self._send(peer.identity, encode("ack", {"session": self._session, "to": peer.session, **fields})):
            peer.told = behind

    def _offer(self) -> None:
        """Send the newest weights to whoever asked and has nothing under way."""
        if self._newest is None:
            return
        (whole, light), now = self._newest, time.monotonic()
        for peer in list(self._peers.values()):
            if peer.wants is None or peer.wants[0] >= whole.version:
                continue
            if peer.offered > peer.wants[0] and now - peer.offered_s < WEIGHTS_RESEND_S:
                continue
            given = light if peer.wants[1] == whole.base else whole
            fields = {"version": given.version, "digest": given.digest, "about": given.about, "base": given.base}
            address = {"session": self._session, "to": peer.session}
            if self._send(peer.identity, encode("weights", {**address, **fields}, given.tensors)):
                peer.offered, peer.offered_s = given.version, now

    def _send(self, identity: bytes, data: bytes) -> bool:
        try:
            self._socket.send_multipart([identity, data], zmq.NOBLOCK)
        except zmq.ZMQError:  # it is gone, or does not read: it will ask again
            return False
        return True
