"""The ROS 2 messages that recordings are made of: definitions, and CDR encoding by precompiled templates.

A message here is little-endian XCDR1, which ``rmw`` puts in bag files. All types used start with ``std_msgs/Header``
and keep the lengths of their variable parts from one message to the next, so a message is a constant template with two
or three packed ranges: a microsecond, where a generic encoder takes fifty. Sources: OMG DDS-XTypes 1.3, sec. 7.4.1;
``common_interfaces``.

Named numbers for which there is no standard message travel as ``JointState`` (``name[]`` beside ``position[]``), which
plotting tools show under their names.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

_HEADER = "std_msgs/Header header"
_DEPENDENCIES = {
    "std_msgs/Header": "builtin_interfaces/Time stamp\nstring frame_id\n",
    "builtin_interfaces/Time": "int32 sec\nuint32 nanosec\n",
    "geometry_msgs/Pose": "geometry_msgs/Point position\ngeometry_msgs/Quaternion orientation\n",
    "geometry_msgs/Point": "float64 x\nfloat64 y\nfloat64 z\n",
    "geometry_msgs/Quaternion": "float64 x\nfloat64 y\nfloat64 z\nfloat64 w\n",
    "geometry_msgs/Twist": "geometry_msgs/Vector3 linear\ngeometry_msgs/Vector3 angular\n",
    "geometry_msgs/Wrench": "geometry_msgs/Vector3 force\ngeometry_msgs/Vector3 torque\n",
    "geometry_msgs/Vector3": "float64 x\nfloat64 y\nfloat64 z\n",
}
_DEFINITIONS = {
    "sensor_msgs/msg/JointState": "string[] name\nfloat64[] position\nfloat64[] velocity\nfloat64[] effort",
    "geometry_msgs/msg/PoseStamped": "geometry_msgs/Pose pose",
    "geometry_msgs/msg/TwistStamped": "geometry_msgs/Twist twist",
    "geometry_msgs/msg/WrenchStamped": "geometry_msgs/Wrench wrench",
    "sensor_msgs/msg/Joy": "float32[] axes\nint32[] buttons",
    "sensor_msgs/msg/Image": (
        "uint32 height\nuint32 width\nstring encoding\nuint8 is_bigendian\nuint32 step\nuint8[] data"
    ),
}

JOINT_STATE, POSE, TWIST, WRENCH, JOY, IMAGE = _DEFINITIONS

_STAMP = struct.Struct("<iI")
_U32 = struct.Struct("<I")
_STAMP_AT = 4
"""Every message opens with the four bytes of the encapsulation header; alignment counts from after them."""


def definition(message_type: str) -> str:
    """The ``ros2msg`` definition of a type with all it depends on, as MCAP wants it.

    Raises ``KeyError`` for a type that recordings do not use.
    """
    text = f"{_HEADER}\n{_DEFINITIONS[message_type]}\n"
    wanted, seen = [text], {message_type}
    while wanted:
        for name in (line.split(" ")[0] for line in wanted.pop().splitlines()):
            if name in _DEPENDENCIES and name not in seen:
                seen.add(name)
                wanted.append(_DEPENDENCIES[name])
                text += f"{'=' * 80}\nMSG: {name}\n{_DEPENDENCIES[name]}"
    return text


def nanoseconds(stamp_s: float) -> int:
    """Clock seconds as the whole nanoseconds of ROS and MCAP."""
    return round(stamp_s * 1e9)


def _align(buffer: bytearray, size: int) -> None:
    buffer.extend(bytes(-(len(buffer) - _STAMP_AT) % size))


def _put_u32(buffer: bytearray, value: int) -> None:
    _align(buffer, 4)
    buffer += _U32.pack(value)


def _put_string(buffer: bytearray, text: str) -> None:
    encoded = text.encode() + b"\0"
    _put_u32(buffer, len(encoded))
    buffer += encoded


def _opening(frame_id: str) -> bytearray:
    buffer = bytearray(b"\0\1\0\0" + bytes(_STAMP.size))
    _put_string(buffer, frame_id)
    return buffer


def _stamp(buffer: bytearray, stamp_s: float) -> None:
    _STAMP.pack_into(buffer, _STAMP_AT, *divmod(nanoseconds(stamp_s), 1_000_000_000))


def _after_opening(data: bytes, alignment: int) -> int:
    """Offset of the first field after the header, for a field of ``alignment``."""
    end = 16 + _U32.unpack_from(data, 12)[0]
    return end + -(end - _STAMP_AT) % alignment


@lru_cache(maxsize=64)
def _doubles(count: int) -> struct.Struct:
    return struct.Struct(f"<{count}d")


@lru_cache(maxsize=16)
def _geometry_template(frame_id: str, count: int) -> tuple[bytes, int]:
    buffer = _opening(frame_id)
    _align(buffer, 8)
    return bytes(buffer) + bytes(8 * count), len(buffer)


def encode_geometry(stamp_s: float, values: Sequence[float], frame_id: str) -> bytes:
    """``PoseStamped`` of 7 values (position, quaternion xyzw); ``TwistStamped`` or ``WrenchStamped`` of 6."""
    template, offset = _geometry_template(frame_id, len(values))
    buffer = bytearray(template)
    _stamp(buffer, stamp_s)
    _doubles(len(values)).pack_into(buffer, offset, *values)
    return bytes(buffer)


def decode_geometry(data: bytes) -> tuple[float, ...]:
    """The 7 or 6 values of :func:`encode_geometry`."""
    offset = _after_opening(data, 8)
    return _doubles((len(data) - offset) // 8).unpack_from(data, offset)


@lru_cache(maxsize=256)
def _joint_template(names: tuple[str, ...], velocities: int) -> tuple[bytes, int, int]:
    """The constant bytes, and where positions and velocities go."""
    buffer = _opening("")
    _put_u32(buffer, len(names))
    for name in names:
        _put_string(buffer, name)
    offsets = []
    for count in (len(names), velocities, 0):
        _put_u32(buffer, count)
        if count:
            _align(buffer, 8)
        offsets.append(len(buffer))
        buffer.extend(bytes(8 * count))
    return bytes(buffer), offsets[0], offsets[1]


def encode_joints(
    stamp_s: float, names: tuple[str, ...], positions: Sequence[float], velocities: Sequence[float] = ()
) -> bytes:
    """``JointState`` of at least one name with its position and, if given, its velocity; efforts are left out."""
    template, positions_at, velocities_at = _joint_template(names, len(velocities))
    buffer = bytearray(template)
    _stamp(buffer, stamp_s)
    _doubles(len(names)).pack_into(buffer, positions_at, *positions)
    if velocities:
        _doubles(len(velocities)).pack_into(buffer, velocities_at, *velocities)
    return bytes(buffer)


@lru_cache(maxsize=256)
def _joint_names(data: bytes) -> tuple[str, ...]:
    names, at = [], 0
    while at < len(data):
        at += -at % 4
        length = _U32.unpack_from(data, at)[0]
        names.append(data[at + 4 : at + 3 + length].decode())
        at += 4 + length
    return tuple(names)


def decode_joints(data: bytes) -> tuple[tuple[str, ...], tuple[float, ...], tuple[float, ...]]:
    """Names, positions and velocities of :func:`encode_joints`."""
    start = _after_opening(data, 4)
    count = _U32.unpack_from(data, start)[0]
    at = start + 4
    for _ in range(count):
        at += -at % 4
        at += 4 + _U32.unpack_from(data, at)[0]
    names = _joint_names(data[start + 4 : at])
    columns = []
    for _ in range(2):
        at += -at % 4
        size = _U32.unpack_from(data, at)[0]
        at += 4
        if size:
            at += -(at - _STAMP_AT) % 8
        columns.append(_doubles(size).unpack_from(data, at))
        at += 8 * size
    return names, columns[0], columns[1]


@lru_cache(maxsize=64)
def _joy_template(count: int) -> tuple[bytes, int]:
    buffer = _opening("")
    _put_u32(buffer, count)
    return bytes(buffer) + bytes(4 * count + 4), len(buffer)


def encode_vector(stamp_s: float, vector: np.ndarray) -> bytes:
    """``Joy`` whose axes are ``vector``, float32 (n,), bit for bit."""
    template, offset = _joy_template(vector.size)
    buffer = bytearray(template)
    _stamp(buffer, stamp_s)
    buffer[offset : offset + 4 * vector.size] = vector.tobytes()
    return bytes(buffer)


def decode_vector(data: bytes) -> np.ndarray:
    """The float32 vector of :func:`encode_vector`."""
    offset = _after_opening(data, 4)
    return np.frombuffer(data, np.dtype("<f4"), _U32.unpack_from(data, offset)[0], offset + 4).astype(np.float32)


@lru_cache(maxsize=64)
def _image_template(shape: tuple[int, int, int]) -> bytes:
    height, width, channels = shape
    buffer = _opening("camera")
    _put_u32(buffer, height)
    _put_u32(buffer, width)
    _put_string(buffer, {1: "mono8", 3: "rgb8", 4: "rgba8"}.get(channels, f"8UC{channels}"))
    buffer.append(0)
    _put_u32(buffer, width * channels)
    _put_u32(buffer, height * width * channels)
    return bytes(buffer)


def encode_image(stamp_s: float, image: np.ndarray) -> bytes:
    """``Image`` of ``image``, uint8 (height, width, channels): mono8, rgb8, rgba8 or 8UCn by its channels."""
    height, width, channels = image.shape
    buffer = bytearray(_image_template((height, width, channels)))
    _stamp(buffer, stamp_s)
    return bytes(buffer) + image.tobytes()


def decode_image(data: bytes) -> np.ndarray:
    """The uint8 (height, width, channels) array of :func:`encode_image`."""
    offset = _after_opening(data, 4)
    height, width, text = struct.unpack_from("<III", data, offset)
    offset += 12 + text + 1
    offset += -offset % 4
    row, size = struct.unpack_from("<II", data, offset)
    return np.frombuffer(data, np.uint8, size, offset + 8).reshape(height, width, row // width).copy()
