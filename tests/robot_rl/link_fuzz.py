"""Corrupt frames for either socket of the link: noise, cut and bent frames, well-formed frames out of place."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import zmq

from robot_rl.journal import Journal
from robot_rl.link import Weights, digest_of
from robot_rl.link_actor import ZmqActorEnd
from robot_rl.link_learner import ZmqLearnerEnd
from robot_rl.spool import Spool
from robot_rl.wire import decode, encode, encode_record
from tests.robot_rl.test_wire import make_step

BATCH = 500


class Fuzzed(NamedTuple):
    """What a socket made of ``sent`` frames."""

    sent: int
    refused: int
    alive: bool
    """Its thread still runs, and what is right still comes through."""
    grown_mb: float
    """Peak memory of the process, against before."""


def corrupt(rng: np.random.Generator, whole: list[bytes]) -> bytes:
    """One frame that must not count."""
    data = bytearray(whole[rng.integers(len(whole))])
    kind = rng.integers(4)
    if kind == 0:
        return bytes(rng.bytes(int(rng.integers(0, 400))))
    if kind == 1:
        return bytes(data[: rng.integers(0, len(data))])
    if kind == 2:
        for at in rng.integers(0, len(data), 1 + rng.integers(4)):
            data[at] ^= int(rng.integers(1, 256))
        return bytes(data)
    return bytes(data)  # well-formed, from nobody


def _frames() -> list[bytes]:
    payload = np.frombuffer(encode_record(make_step(1)), np.uint8)
    address = {"session": 11, "to": 12}
    weights = {"version": 9, "digest": "", "about": "{}", "base": ""}
    return [
        encode("record", {**address, "spool": "x", "sequence": 1, "after": 0}, {"payload": payload}),
        encode("want", {**address, "learner": 1, "version": 2, "base": ""}),
        encode("ack", {**address, "received": 10**9, "behind": 3}),
        encode("weights", {**address, **weights}, {"actor.w": np.ones(30, np.float32)}),
        encode("report", {**address, "refused": 1, "reason": "x"}),
    ]


def _batches(count: int, seed: int) -> Iterator[list[bytes]]:
    rng, whole = np.random.default_rng(seed), _frames()
    for first in range(0, count, BATCH):
        yield [corrupt(rng, whole) for _ in range(min(BATCH, count - first))]


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def fuzz_learner(folder: Path, count: int, seed: int = 0) -> Fuzzed:
    """Corrupt frames at the learner's door, and one good actor."""
    journal, spool = Journal(folder / "journal"), Spool(folder / "spool")
    learner = ZmqLearnerEnd(f"ipc://{folder}/link", journal)
    actor = ZmqActorEnd(learner.endpoint, spool)
    stranger = zmq.Context.instance().socket(zmq.DEALER)
    stranger.connect(learner.endpoint)
    before, sent = _peak_mb(), 0
    for batch in _batches(count, seed):
        for data in batch:
            stranger.send(data)
        sent += len(batch)
        _until(lambda: learner.refused_frames >= sent)  # noqa: B023 - called at once
    actor.post(make_step(0))
    alive = _until(lambda: actor.state().backlog == 0 and actor.state().alive)
    alive = alive and [record.id.step for record in learner.take(10)] == [0]
    grown = _peak_mb() - before
    stranger.close(0)
    actor.close(0.0)
    learner.close()
    journal.close()
    spool.close()
    return Fuzzed(sent, learner.refused_frames, alive, grown)


def fuzz_actor(folder: Path, count: int, seed: int = 0) -> Fuzzed:
    """A learner that says nonsense to an actor, and then what is right."""
    spool, router = Spool(folder / "spool"), zmq.Context.instance().socket(zmq.ROUTER)
    router.bind(f"ipc://{folder}/link")
    actor = ZmqActorEnd(f"ipc://{folder}/link", spool)
    identity, hello = router.recv_multipart()
    session = decode(hello, ("hello",)).fields["session"]
    before, sent = _peak_mb(), 0
    for batch in _batches(count, seed):
        for data in batch:
            router.send_multipart([identity, data])
        sent += len(batch)
        _until(lambda: actor.refused_frames >= sent)  # noqa: B023 - called at once
    address = {"session": 5, "to": session}
    weights = Weights(1, "{}", {"actor.w": np.ones(3, np.float32)})
    about = {"version": 1, "digest": digest_of(weights), "about": "{}", "base": ""}
    router.send_multipart([identity, encode("welcome", {**address, "run": "r", "received": 0})])
    router.send_multipart([identity, encode("weights", {**address, **about}, weights.tensors)])
    alive = _until(lambda: actor.weights() is not None)
    grown = _peak_mb() - before
    actor.close(0.0)
    router.close(0)
    spool.close()
    return Fuzzed(sent, actor.refused_frames, alive, grown)


def _until(condition: object, seconds: float = 30.0) -> bool:
    assert callable(condition)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.001)
    return False
