"""The link: one contract for both kinds, then what only two processes can do to one another."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq

from robot_rl.journal import Journal
from robot_rl.keys import actor_keys, learner_keys, make_keys
from robot_rl.link import PROTOCOL, ActorEnd, InProcessLink, LearnerEnd, Weights, digest_of
from robot_rl.link_actor import ZmqActorEnd
from robot_rl.link_learner import ZmqLearnerEnd
from robot_rl.spool import Spool
from robot_rl.wire import Final, Record, encode, encode_record
from tests.robot_rl.link_fuzz import Fuzzed, fuzz_actor, fuzz_learner
from tests.robot_rl.test_wire import make_step

PATIENCE_S = 10.0


def until(condition: Callable[[], Any], seconds: float = PATIENCE_S) -> Any:
    """The first true value of ``condition``; fails when there is none in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.005)
    raise AssertionError("it did not happen in time")


def make_weights(version: int, base: str = "", size: int = 8) -> Weights:
    tensors = {"actor.w": np.full(size, version, np.float32)}
    if base:
        tensors["base/w"] = np.ones(4, np.float32)
    weights = Weights(version, "{}", tensors, base)
    return Weights(version, "{}", tensors, base, digest_of(weights))


def steps(first: int, count: int) -> list[Record]:
    return [make_step(number) for number in range(first, first + count)]


def numbers(records: list[Record]) -> list[int]:
    return [record.id.step for record in records]


class Pair:
    """Both ends over ZMQ, each of which can be ended and begun again over the same folders."""

    def __init__(self, folder: Path, endpoint: str = ""):
        self.folder, self.endpoint = folder, endpoint or f"ipc://{folder / 'link'}"
        self.taken: list[Record] = []
        self.position: dict[str, int] = {}
        self.start_learner()
        self.start_actor()

    def start_learner(self, **options: Any) -> None:
        self.journal = Journal(self.folder / "journal", self.position)
        self.learner = ZmqLearnerEnd(self.endpoint, self.journal, **options)

    def start_actor(self, **options: Any) -> None:
        self.spool = Spool(self.folder / "spool")
        self.actor = ZmqActorEnd(self.endpoint, self.spool, **options)

    def stop_learner(self) -> None:
        self.learner.close()
        self.journal.close()

    def stop_actor(self, flush_s: float = 0.0) -> None:
        self.actor.close(flush_s)
        self.spool.close()

    def take(self, count: int) -> list[int]:
        """Step numbers of everything taken so far, once there are ``count``."""
        until(lambda: self.taken.extend(self.learner.take(100)) or len(self.taken) >= count)
        return numbers(self.taken)

    def close(self) -> None:
        self.stop_actor()
        self.stop_learner()


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    both = Pair(tmp_path)
    yield both
    both.close()


@pytest.fixture(params=["in process", "zmq"])
def ends(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[ActorEnd, LearnerEnd]]:
    if request.param == "in process":
        link = InProcessLink()
        yield link, link
        return
    both = Pair(tmp_path)
    yield both.actor, both.learner
    both.close()


# -- the contract ------------------------------------------------------------------------------------------------------


def test_records_arrive_once_and_in_order(ends: tuple[ActorEnd, LearnerEnd]) -> None:
    actor, learner = ends
    sent = [*steps(0, 300), Final(make_step(299).id, make_step(300).observation)]
    for record in sent:
        actor.post(record)
    got: list[Record] = []
    until(lambda: got.extend(learner.take(50, 0.1)) or len(got) >= len(sent))
    assert [encode_record(r) for r in got] == [encode_record(r) for r in sent]
    assert not learner.take(50, 0.05)
    until(lambda: actor.state().backlog == 0)


def test_only_the_newest_weights_are_given_out_and_once(ends: tuple[ActorEnd, LearnerEnd]) -> None:
    actor, learner = ends
    for version in (1, 2, 3):
        learner.publish(make_weights(version))
    weights = until(actor.weights)
    newest = weights if weights.version == 3 else until(actor.weights)
    assert newest.version == 3 and np.all(newest.tensors["actor.w"] == 3.0)
    assert newest.digest == digest_of(newest)
    assert actor.weights() is None


def test_refusals_and_debts_reach_the_other_side(ends: tuple[ActorEnd, LearnerEnd]) -> None:
    actor, learner = ends
    until(lambda: actor.state().alive)
    learner.owe(17)
    actor.refuse(4, "not finite")
    (said,) = until(learner.refusals)
    assert "4" in said and "not finite" in said
    until(lambda: actor.state().behind == 17)


# -- two processes' worth of trouble -----------------------------------------------------------------------------------


def test_what_was_taken_and_not_yet_reckoned_in_counts_as_owed(pair: Pair) -> None:
    for record in steps(0, 5):
        pair.actor.post(record)
    until(lambda: pair.actor.state().behind == 5 and pair.actor.state().backlog == 0)
    pair.take(5)
    pair.actor.post(make_step(5))
    until(lambda: pair.actor.state().backlog == 0)
    assert pair.actor.state().behind == 6
    pair.take(6)
    pair.learner.owe(2)
    until(lambda: pair.actor.state().behind == 2)


def test_steps_of_a_time_without_learner_are_delivered_once(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    for step in steps(0, 20):
        pair.actor.post(step)
    assert pair.take(20) == list(range(20))
    pair.position = pair.journal.position()
    pair.stop_learner()
    for step in steps(20, 500):
        pair.actor.post(step)
        time.sleep(0.0005)
    until(lambda: not pair.actor.state().alive)
    pair.start_learner()
    assert pair.take(520) == list(range(520))
    pair.close()


def test_an_actor_that_starts_again_delivers_what_it_had_not(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    pair.take(0)
    pair.stop_learner()
    for step in steps(0, 50):
        pair.actor.post(step)
    pair.stop_actor()
    pair.start_actor()
    pair.actor.post(make_step(50))
    pair.stop_actor()
    pair.start_learner()
    pair.start_actor()
    assert pair.take(51) == list(range(51))
    pair.close()


def test_what_a_checkpoint_lacks_is_taken_again_from_the_journal(tmp_path: Path) -> None:
    """The learner was killed after its checkpoint at 10: steps 10 to 29 had been confirmed, the actor forgot them."""
    pair = Pair(tmp_path)
    for step in steps(0, 10):
        pair.actor.post(step)
    pair.take(10)
    pair.position = pair.journal.position()
    for step in steps(10, 20):
        pair.actor.post(step)
    pair.take(30)
    until(lambda: pair.actor.state().backlog == 0)
    pair.stop_learner()
    pair.taken.clear()
    pair.start_learner()
    pair.actor.post(make_step(30))
    assert pair.take(21) == list(range(10, 31))
    pair.close()


def test_weights_of_a_restarted_learner_are_taken_though_their_number_is_lower(pair: Pair) -> None:
    pair.learner.publish(make_weights(100))
    assert until(pair.actor.weights).version == 100
    pair.stop_learner()
    pair.start_learner()
    pair.learner.publish(make_weights(7))
    assert until(pair.actor.weights).version == 7


def test_a_frozen_base_is_sent_once(pair: Pair) -> None:
    pair.learner.publish(make_weights(1, base="b1"))
    assert "base/w" in until(pair.actor.weights).tensors
    pair.learner.publish(make_weights(2, base="b1"))
    assert "base/w" not in until(pair.actor.weights).tensors
    pair.learner.publish(make_weights(3, base="b2"))
    assert "base/w" in until(pair.actor.weights).tensors


def test_weights_that_are_not_what_was_sent_are_refused_and_said_so(pair: Pair) -> None:
    good = make_weights(1)
    pair.learner.publish(Weights(1, "{}", {"actor.w": np.zeros(8, np.float32)}, "", good.digest))
    assert "SHA-256" in until(pair.learner.refusals)[0]
    assert pair.actor.weights() is None


def test_an_actor_that_does_not_fit_is_told_why_and_keeps_its_steps(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    pair.stop_learner()
    pair.start_learner(admit=lambda about: "this learner learns 'reach': give --task reach")
    pair.actor.post(make_step(0))
    problem = until(lambda: pair.actor.state().problem)
    assert problem == "this learner learns 'reach': give --task reach"
    assert pair.actor.state().backlog == 1
    pair.close()


def test_several_actors_feed_one_learner(pair: Pair, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "second")
    other = ZmqActorEnd(pair.endpoint, spool, actor=1)
    pair.learner.publish(make_weights(1))
    for number in range(200):
        pair.actor.post(make_step(number))
        other.post(make_step(1000 + number))
    assert sorted(pair.take(400)) == [*range(200), *range(1000, 1200)]
    assert until(pair.actor.weights).version == until(other.weights).version == 1
    other.close()
    spool.close()


def test_a_second_learner_at_the_same_address_is_refused(pair: Pair, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "other")
    with pytest.raises(ValueError, match=r"listens on .* already"):
        ZmqLearnerEnd(pair.endpoint, journal)
    journal.close()


def test_old_sessions_are_not_listened_to(pair: Pair) -> None:
    """Every frame of a connection is recorded and played back in a later one: nothing of it counts."""
    for step in steps(0, 5):
        pair.actor.post(step)
    pair.take(5)
    learner, actor = pair.learner._session, pair.actor._session
    old = {"session": actor - (1 << 32), "to": learner}
    replay = [
        encode("hello", {**old, "protocol": PROTOCOL, "spool": pair.spool.id, "actor": 0, "first": 1, "about": "{}"}),
        encode(
            "record",
            {**old, "spool": pair.spool.id, "sequence": 6, "after": 5},
            {"payload": np.frombuffer(encode_record(make_step(77)), np.uint8)},
        ),
        encode("want", {**old, "learner": learner, "version": 0, "base": ""}),
    ]
    before = pair.learner.refused_frames
    stranger = zmq.Context.instance().socket(zmq.DEALER)
    stranger.connect(pair.endpoint)
    for frame in replay:
        stranger.send(frame)
    until(lambda: pair.learner.refused_frames == before + 3)
    pair.actor.post(make_step(5))
    assert pair.take(6) == [0, 1, 2, 3, 4, 5]
    stranger.close(0)


@pytest.mark.parametrize("fuzz", [fuzz_learner, fuzz_actor])
def test_a_socket_takes_only_what_is_meant_for_it(fuzz: Callable[[Path, int], Fuzzed], tmp_path: Path) -> None:
    """Noise, damage and good frames out of place: counted, nothing escapes, memory is bounded, the link goes on."""
    seen = fuzz(tmp_path, 2_000)
    assert seen.alive and seen.refused == seen.sent == 2_000 and seen.grown_mb < 100.0


# -- keys --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("endpoint", ["tcp://0.0.0.0:5555", "tcp://*:5555", "tcp://192.168.1.7:5555", "tcp://host:1"])
def test_addresses_that_others_reach_need_keys(endpoint: str, tmp_path: Path) -> None:
    journal, spool = Journal(tmp_path / "journal"), Spool(tmp_path / "spool")
    with pytest.raises(ValueError, match="give --keys FOLDER"):
        ZmqLearnerEnd(endpoint, journal)
    with pytest.raises(ValueError, match="give --keys FOLDER"):
        ZmqActorEnd(endpoint, spool)
    journal.close()
    spool.close()


@pytest.mark.parametrize("endpoint", ["", "5555", "inproc://x", "tcp://127.0.0.1", "udp://127.0.0.1:5", "ipc://x"])
def test_what_is_no_address_is_refused(endpoint: str, tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    with pytest.raises(ValueError, match="is no address"):
        ZmqActorEnd(endpoint, spool)
    spool.close()


def test_only_listed_keys_get_through(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    make_keys(keys, ("arm", "stranger"))
    (keys / "allowed" / "stranger.key").unlink()
    journal = Journal(tmp_path / "journal")
    learner = ZmqLearnerEnd("tcp://127.0.0.1:*".replace("*", "0"), journal, keys=learner_keys(keys))
    spools = [Spool(tmp_path / name) for name in ("a", "b", "c")]
    good = ZmqActorEnd(learner.endpoint, spools[0], keys=actor_keys(keys, "arm"))
    bad = ZmqActorEnd(learner.endpoint, spools[1], keys=actor_keys(keys, "stranger"))
    none = ZmqActorEnd(learner.endpoint, spools[2])
    for number, end in enumerate((good, bad, none)):
        end.post(make_step(number))
    until(lambda: good.state().backlog == 0)
    time.sleep(0.5)
    assert numbers(list(learner.take(10))) == [0]
    assert not bad.state().alive and not none.state().alive and len(learner._peers) == 1
    for end in (good, bad, none, learner):
        end.close(0.0) if isinstance(end, ZmqActorEnd) else end.close()
    for store in (*spools, journal):
        store.close()


def test_keys_are_private_and_never_overwritten(tmp_path: Path) -> None:
    assert len(make_keys(tmp_path, ("arm",))) == 4 and make_keys(tmp_path, ("arm",)) == []
    secret = tmp_path / "learner.key_secret"
    assert secret.stat().st_mode & 0o777 == 0o600
    secret.chmod(0o644)
    with pytest.raises(ValueError, match="can be read by others"):
        learner_keys(tmp_path)
    with pytest.raises(ValueError, match="cannot be an actor's name"):
        make_keys(tmp_path, ("../arm",))
    with pytest.raises(ValueError, match="make keys with"):
        actor_keys(tmp_path, "leg")
