"""What crosses between actor and learner, and lies in the spool: msgpack header, raw tensors, a checksum. No pickle.

::

    frame  = "RRL1" | crc32 of all that follows, u32 | length of header, u32 | header | tensors
    header = msgpack {kind, fields, tensors: [[name, dtype, shape], ...]}

:func:`decode` accepts a frame only if its kind is known, its fields are exactly those of :data:`SCHEMAS` with their
types, and its tensors have allowed names and dtypes and fill the rest of the frame to the byte. Whatever else arrives
raises :class:`WireError`, and nothing is allocated beyond the frame itself.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from math import isfinite, prod
from typing import Any

import msgpack
import numpy as np

from hardware.interfaces import Source
from robot_rl.types import REWARD_INPUTS, Observation, Step, StepId

MAGIC = b"RRL1"
_PREFIX = struct.Struct("<4sII")
MAX_HEADER_BYTES = 1 << 18
MAX_RECORD_BYTES = 16 << 20
"""A step: its observation and actions. Two cameras of 128² take 0.1 MB, four of 640 × 480 take 3.7."""
MAX_WEIGHTS_BYTES = 256 << 20
MAX_TENSORS, MAX_NDIM, MAX_NAME = 2048, 5, 200
DTYPES = {name: np.dtype(name) for name in ("float32", "float16", "uint8", "int64", "int32", "bool")}


class WireError(ValueError):
    """Bytes that are no frame of ours; one line that says why."""


@dataclass(frozen=True)
class Schema:
    """What a kind of frame holds: exactly these fields, and tensors of these names (``*`` for any rest)."""

    fields: Mapping[str, type]
    tensors: Mapping[str, str | None] = field(default_factory=dict)
    """Name pattern → dtype; None for any of :data:`DTYPES`."""
    max_bytes: int = 1 << 20


_ADDRESS = {"session": int, "to": int}
_STEP_ID = {"run": str, "actor": int, "episode": int, "step": int}
SCHEMAS: dict[str, Schema] = {
    # What is stored: without sessions, since it outlives them.
    "step": Schema(
        {
            **_STEP_ID, "source": int, "intervention_start": bool, "reward": float, "terminated": bool,
            "truncated": bool, "success": bool, "stamp_s": float, "reward_inputs": dict,
        },
        {"action.*": "float32", "observation.*": None},
        MAX_RECORD_BYTES,
    ),
    "final": Schema(_STEP_ID, {"base_action": "float32", "observation.*": None}, MAX_RECORD_BYTES),
    "discarded": Schema(_STEP_ID, {"base_action": "float32", "observation.*": None}, MAX_RECORD_BYTES),
    # Actor to learner.
    "hello": Schema({**_ADDRESS, "protocol": int, "spool": str, "actor": int, "first": int, "about": str}),
    "record": Schema(
        {**_ADDRESS, "spool": str, "sequence": int, "after": int}, {"payload": "uint8"}, MAX_RECORD_BYTES + 4096
    ),
    "want": Schema({**_ADDRESS, "learner": int, "version": int, "base": str}),
    "report": Schema({**_ADDRESS, "refused": int, "reason": str}),
    # Learner to actor.
    "welcome": Schema({**_ADDRESS, "run": str, "received": int}),
    "ack": Schema({**_ADDRESS, "received": int, "behind": int}),
    "no": Schema({**_ADDRESS, "reason": str}),
    "weights": Schema(
        {**_ADDRESS, "version": int, "digest": str, "about": str, "base": str}, {"*": None}, MAX_WEIGHTS_BYTES
    ),
}  # fmt: skip
"""Every kind of frame. ``session`` is the sender's, ``to`` the receiver's (0 while unknown)."""


@dataclass(frozen=True)
class Frame:
    """A decoded frame; its tensors are read-only views of the bytes received."""

    kind: str
    fields: Mapping[str, Any]
    tensors: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Final:
    """The end of an episode: the observation after its last step ``id``, and what the base would do there."""

    id: StepId
    observation: Observation
    base_action: np.ndarray | None = None
    discarded: bool = False
    """The person threw the episode away: nothing more is to be learned from it."""


Record = Step | Final
"""What an actor delivers."""


def encode(kind: str, fields: Mapping[str, Any], tensors: Mapping[str, np.ndarray] | None = None) -> bytes:
    """One frame. Raises :class:`WireError` for what :func:`decode` would refuse."""
    arrays = {name: np.asarray(array, order="C") for name, array in (tensors or {}).items()}
    about = [[name, array.dtype.name, list(array.shape)] for name, array in arrays.items()]
    header = msgpack.packb({"kind": kind, "fields": dict(fields), "tensors": about})
    body = b"".join([header, *(array.tobytes() for array in arrays.values())])
    frame = _PREFIX.pack(MAGIC, 0, len(header)) + body
    data = frame[:4] + struct.pack("<I", zlib.crc32(frame[8:])) + frame[8:]
    _check_schema(kind, dict(fields), about, len(data))
    return data


def decode(data: bytes | memoryview, expected: tuple[str, ...] = ()) -> Frame:
    """The frame in ``data``; of one of the ``expected`` kinds, where they are given. Raises :class:`WireError`."""
    try:
        return _decode(memoryview(data), expected)
    except WireError:
        raise
    except (ValueError, TypeError, KeyError, struct.error, OverflowError, RecursionError) as error:
        raise WireError(f"not a frame: {type(error).__name__}") from None
    except msgpack.exceptions.UnpackException as error:
        raise WireError(f"not a frame: {type(error).__name__}") from None


def _decode(data: memoryview, expected: tuple[str, ...]) -> Frame:
    if len(data) < _PREFIX.size or data[:4] != MAGIC:
        raise WireError("not a frame: it does not begin with our magic")
    _, checksum, length = _PREFIX.unpack_from(data)
    if length > min(MAX_HEADER_BYTES, len(data) - _PREFIX.size):
        raise WireError(f"not a frame: header of {length} bytes")
    if zlib.crc32(data[8:]) != checksum:
        raise WireError("not a frame: its checksum is wrong")
    at = _PREFIX.size + length
    header = msgpack.unpackb(
        data[_PREFIX.size : at], raw=False, strict_map_key=True, max_ext_len=0, max_bin_len=0,
        max_map_len=64, max_array_len=MAX_TENSORS, max_str_len=MAX_HEADER_BYTES,
    )  # fmt: skip
    kind, fields, about = header["kind"], header["fields"], header["tensors"]
    if expected and kind not in expected:
        raise WireError(f"a frame of the kind '{str(kind)[:40]}', where {' or '.join(expected)} is expected")
    _check_schema(kind, fields, about, len(data))
    tensors = {}
    for name, dtype, shape in about:
        size = prod(shape) * DTYPES[dtype].itemsize
        if size > len(data) - at:
            raise WireError(f"tensor '{name[:40]}' is longer than its frame")
        tensors[name] = np.frombuffer(data[at : at + size], DTYPES[dtype]).reshape(shape)
        at += size
    if at != len(data) or len(tensors) != len(about):
        raise WireError("the tensors do not fill the frame, or one is there twice")
    return Frame(kind, fields, tensors)


def _check_schema(kind: str, fields: Mapping[str, Any], about: list[Any], size: int) -> None:
    schema = SCHEMAS.get(kind)
    if schema is None:
        raise WireError(f"unknown kind of frame '{str(kind)[:40]}'")
    if size > schema.max_bytes:
        raise WireError(f"a {kind} of {size} bytes: {schema.max_bytes} are allowed")
    if type(fields) is not dict or fields.keys() != schema.fields.keys():
        raise WireError(f"a {kind} has exactly the fields {', '.join(schema.fields)}")
    for name, wanted in schema.fields.items():
        if type(fields[name]) is not wanted or (wanted is int and not -(2**63) <= fields[name] < 2**63):
            raise WireError(f"field '{name}' of a {kind} must be {wanted.__name__}")
    if len(about) > MAX_TENSORS:
        raise WireError(f"a {kind} of {len(about)} tensors: {MAX_TENSORS} are allowed")
    for name, dtype, shape in about:
        _check_tensor(schema, kind, name, dtype, shape)


def _check_tensor(schema: Schema, kind: str, name: Any, dtype: Any, shape: Any) -> None:
    if type(name) is not str or len(name) > MAX_NAME or dtype not in DTYPES:
        raise WireError(f"a {kind} with a tensor that has no name, or dtype '{str(dtype)[:20]}'")
    if len(shape) > MAX_NDIM or any(type(n) is not int or n < 0 or n > 1 << 31 for n in shape):
        raise WireError(f"tensor '{name}' of a {kind} has a shape that is none")
    allowed = next((d or dtype for pattern, d in schema.tensors.items() if fnmatchcase(name, pattern)), None)
    if allowed != dtype:
        raise WireError(f"a {kind} has no tensor '{name}' of {dtype}")


# -- records ---------------------------------------------------------------------------------------------------------

_ACTIONS = ("executed_action", "proposed_action", "base_action")


def encode_record(record: Record) -> bytes:
    """A step or an episode's end, as it is stored and sent. ``raw`` stays behind: it is in the episode's file."""
    seen = {f"observation.{name}": np.asarray(value) for name, value in record.observation.items()}
    if isinstance(record, Final):
        after = {} if record.base_action is None else {"base_action": np.asarray(record.base_action, np.float32)}
        return encode("discarded" if record.discarded else "final", _id_fields(record.id), {**after, **seen})
    actions = {f"action.{name}": np.asarray(getattr(record, name), np.float32) for name in _ACTIONS}
    flags = {n: bool(getattr(record, n)) for n in ("intervention_start", "terminated", "truncated", "success")}
    numbers = {"source": int(record.source), "reward": float(record.reward), "stamp_s": float(record.stamp_s)}
    inputs = {name: float(value) for name, value in record.reward_inputs.items()}
    return encode("step", {**_id_fields(record.id), **flags, **numbers, "reward_inputs": inputs}, {**actions, **seen})


def decode_record(data: bytes | memoryview) -> Record:
    """Inverse of :func:`encode_record`. Raises :class:`WireError`, also for numbers that are not finite."""
    frame = decode(data, ("step", "final", "discarded"))
    fields, tensors = dict(frame.fields), frame.tensors
    identity = StepId(*(fields.pop(name) for name in _STEP_ID))
    if not all(np.isfinite(t).all() for t in tensors.values() if t.dtype.kind == "f"):
        raise WireError(f"{frame.kind} {tuple(identity)} holds numbers that are not finite")
    seen = {name.removeprefix("observation."): t for name, t in tensors.items() if name.startswith("observation.")}
    if frame.kind != "step":
        return Final(identity, seen, tensors.get("base_action"), frame.kind == "discarded")
    inputs = fields["reward_inputs"]
    numbers = (fields["reward"], fields["stamp_s"], *inputs.values())
    if not set(inputs) <= set(REWARD_INPUTS) or not all(type(v) is float and isfinite(v) for v in numbers):
        raise WireError(f"step {tuple(identity)} holds a reward input that is unknown, or a number that is not finite")
    if any(f"action.{name}" not in tensors for name in _ACTIONS) or fields["source"] not in iter(Source):
        raise WireError(f"step {tuple(identity)} lacks an action, or nobody is its source")
    fields |= {name: tensors[f"action.{name}"] for name in _ACTIONS}
    return Step(id=identity, observation=seen, **(fields | {"source": Source(fields["source"])}))


def _id_fields(identity: StepId) -> dict[str, Any]:
    return dict(zip(_STEP_ID, identity, strict=True))
