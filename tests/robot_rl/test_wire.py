"""The wire: exact round trips, and nothing but a WireError for whatever else arrives."""

from __future__ import annotations

import dataclasses
import struct
import zlib
from typing import Any

import msgpack
import numpy as np
import pytest

from hardware.interfaces import Source
from robot_rl.types import Step, StepId
from robot_rl.wire import MAGIC, Final, Frame, WireError, decode, decode_record, encode, encode_record

WEIGHTS = {"session": 1, "to": 2, "version": 1, "digest": "", "about": "{}", "base": ""}


def make_step(number: int = 3, **changes: Any) -> Step:
    rng = np.random.default_rng(number)
    step = Step(
        id=StepId("run-1", 2, 7, number),
        observation={
            "state": rng.normal(size=9).astype(np.float32),
            "wrist": rng.integers(0, 256, (4, 6, 3), dtype=np.uint8),
        },
        executed_action=rng.uniform(-1, 1, 7).astype(np.float32),
        proposed_action=rng.uniform(-1, 1, 7).astype(np.float32),
        base_action=rng.uniform(-1, 1, 7).astype(np.float32),
        source=Source.HUMAN,
        intervention_start=True,
        reward=1 / 3,
        terminated=False,
        truncated=True,
        success=False,
        stamp_s=12.1,
        reward_inputs={"key": 1.0},
    )
    return dataclasses.replace(step, **changes)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a) if isinstance(a, dict) else a == b


def test_a_step_comes_back_bit_for_bit() -> None:
    step = make_step()
    back = decode_record(encode_record(step))
    assert all(same(getattr(step, f.name), getattr(back, f.name)) for f in dataclasses.fields(Step))


@pytest.mark.parametrize("discarded", [False, True])
@pytest.mark.parametrize("base", [None, np.ones(7, np.float32)])
def test_an_episodes_end_comes_back(base: np.ndarray | None, discarded: bool) -> None:
    final = Final(StepId("r", 0, 1, 2), make_step().observation, base, discarded)
    back = decode_record(encode_record(final))
    assert isinstance(back, Final) and back.id == final.id and back.discarded is discarded
    assert same(dict(back.observation), dict(final.observation))
    assert back.base_action is None if base is None else same(back.base_action, base)


def test_tensors_without_dimensions_keep_their_shape() -> None:
    back = decode(encode("weights", WEIGHTS, {"temperature": np.float32(0.5)[...]}))
    assert back.tensors["temperature"].shape == () and back.tensors["temperature"] == np.float32(0.5)


def test_what_was_received_cannot_be_written_to() -> None:
    back = decode_record(encode_record(make_step()))
    with pytest.raises(ValueError, match="read-only"):
        back.observation["state"][0] = 1.0  # type: ignore[index]


@pytest.mark.parametrize(
    "step",
    [
        make_step(reward=float("nan")),
        make_step(executed_action=np.array([np.nan] * 7, np.float32)),
        make_step(observation={"state": np.array([np.inf], np.float32)}),
        make_step(reward_inputs={"potential": float("inf")}),
        make_step(reward_inputs={"bribe": 1.0}),
    ],
)
def test_numbers_that_are_not_finite_or_not_known_are_refused(step: Step) -> None:
    with pytest.raises(WireError, match=r"run-1.*7, 3"):
        decode_record(encode_record(step))


def test_what_the_receiver_would_refuse_is_not_sent() -> None:
    with pytest.raises(WireError, match="float64"):
        encode_record(make_step(observation={"x": np.zeros(3)}))
    with pytest.raises(WireError, match="are allowed"):
        encode_record(make_step(observation={"x": np.zeros((17 << 20,), np.uint8)}))
    with pytest.raises(WireError, match="exactly the fields"):
        encode("ack", {"session": 1})


def forged(header: Any, tail: bytes = b"") -> bytes:
    """A frame with a right checksum around whatever ``header`` is."""
    packed = header if isinstance(header, bytes) else msgpack.packb(header)
    body = struct.pack("<I", len(packed)) + packed + tail
    return MAGIC + struct.pack("<I", zlib.crc32(body)) + body


ACK = {"session": 1, "to": 2, "received": 3, "behind": 0}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"RRL1",
        b"\x80\x04K\x01.",
        encode("ack", ACK)[:-1],
        encode("ack", ACK) + b"x",
        forged(b"\xc1"),
        forged(b"\xdf\xff\xff\xff\xff"),
        forged(b"\x91" * 100_000),
        forged(msgpack.packb(msgpack.ExtType(1, b"x"))),
        forged([1, 2]),
        forged({}),
        forged({"kind": "ack", "fields": ACK}),
        forged({"kind": "exec", "fields": {}, "tensors": []}),
        forged({"kind": ["ack"], "fields": ACK, "tensors": []}),
        forged({"kind": "ack", "fields": ACK | {"more": 1}, "tensors": []}),
        forged({"kind": "ack", "fields": ACK | {"received": True}, "tensors": []}),
        forged({"kind": "ack", "fields": ACK | {"received": 2**64 - 1}, "tensors": []}),
        forged({"kind": "ack", "fields": ACK, "tensors": [["x", "uint8", [0]]]}),
        forged({"kind": "weights", "fields": {}, "tensors": []}),
        forged({"kind": "ack", "fields": [1], "tensors": []}),
    ],
)
def test_forged_frames_are_refused(data: bytes) -> None:
    with pytest.raises(WireError) as caught:
        decode(data)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "tensor",
    [
        ["observation.x", "object", [1]],
        ["observation.x", "float64", [1]],
        ["observation.x", "uint8", [1 << 31, 1 << 31]],
        ["observation.x", "uint8", [-1]],
        ["observation.x", "uint8", [2]],
        ["observation.x", "uint8", [1, 1, 1, 1, 1, 1]],
        ["other.x", "uint8", [1]],
        ["observation.x", "uint8"],
        [1, "uint8", [1]],
    ],
)
def test_forged_tensors_are_refused(tensor: list[Any]) -> None:
    fields = dict(decode(encode_record(make_step())).fields)
    with pytest.raises(WireError):
        decode(forged({"kind": "step", "fields": fields, "tensors": [tensor]}, b"x"))


def test_only_an_expected_kind_is_taken() -> None:
    with pytest.raises(WireError, match="where step or final or discarded is expected"):
        decode_record(encode("ack", ACK))
    assert isinstance(decode(encode("ack", ACK), ("ack",)), Frame)


def test_random_damage_never_passes_and_never_escapes() -> None:
    rng = np.random.default_rng(0)
    whole = encode_record(make_step())
    for _ in range(5_000):
        data = bytearray(whole)
        for at in rng.integers(0, len(data), rng.integers(1, 4)):
            data[at] ^= int(rng.integers(1, 256))
        if bytes(data) != whole:
            with pytest.raises(WireError):
                decode_record(bytes(data))


def test_random_headers_with_a_right_checksum_never_escape() -> None:
    """The checksum guards against accidents, the schema against whoever can compute one."""
    rng = np.random.default_rng(1)
    whole = encode_record(make_step())
    length = struct.unpack_from("<I", whole, 8)[0]
    header, tail = whole[12 : 12 + length], whole[12 + length :]
    passed = 0
    for _ in range(5_000):
        data = bytearray(header)
        for at in rng.integers(0, len(data), rng.integers(1, 4)):
            data[at] = int(rng.integers(0, 256))
        try:
            record = decode_record(forged(bytes(data), tail))
        except WireError:
            continue
        passed += 1
        assert isinstance(record, Step) and np.isfinite(record.reward)
    assert passed < 2_500, "most damage is noticed even so"
