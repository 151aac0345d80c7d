"""Recordings: bitwise round trips, other people's readers, and files cut off or damaged anywhere."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware import ros_messages
from hardware.interfaces import (
    ArmReference,
    ArmState,
    CameraFrame,
    ExecutedCommand,
    Gripper,
    GuardMode,
    Pose,
    Refusal,
    RobotObservation,
    Source,
)
from hardware.recording import (
    PART,
    RecordingError,
    RecordingWriter,
    group_by_topic,
    image_topic,
    read_recording,
    read_robot,
    recover_recording,
    write_robot,
)

pytestmark = pytest.mark.no_cover  # not of the guard's core


def _pose(rng: np.random.Generator) -> Pose:
    quat = rng.normal(size=4)
    return Pose(tuple(rng.normal(size=3).tolist()), tuple((quat / np.linalg.norm(quat)).tolist()))


def make_robot(
    rng: np.random.Generator, at: float, cameras: tuple[str, ...] = (), changes: int = 2
) -> RobotObservation:
    """An observation with no round number in it."""

    def six() -> tuple[float, ...]:
        return tuple(rng.normal(size=6).tolist())

    def command(stamp_s: float, refusals: tuple[Refusal, ...] = ()) -> ExecutedCommand:
        reference = ArmReference(_pose(rng), six(), rng.random())
        return ExecutedCommand(stamp_s, _pose(rng), Gripper.CLOSE, Source.HUMAN, GuardMode.RUNNING, reference, refusals)

    joints = tuple(rng.normal(size=7).tolist()), tuple(rng.normal(size=7).tolist())
    arm = ArmState(at - 1e-3 * rng.random(), _pose(rng), six(), *joints, six(), rng.random())
    frames = {
        name: CameraFrame(at - 0.03, 17 + i, rng.integers(0, 256, (6, 5, 3), dtype=np.uint8))
        for i, name in enumerate(cameras)
    }
    refused = (Refusal("workspace", rng.random(), Source.HUMAN), Refusal("speed", rng.random(), Source.POLICY))
    moves = tuple(command(at - 0.01 * (changes - i)) for i in range(changes))
    return RobotObservation(at, arm, frames, command(at, refused), moves)


def assert_same_robot(a: RobotObservation | None, b: RobotObservation | None) -> None:
    assert a is not None and b is not None
    assert replace(a, frames={}) == replace(b, frames={})
    assert list(a.frames) == list(b.frames)
    for name, frame in a.frames.items():
        assert (frame.stamp_s, frame.sequence) == (b.frames[name].stamp_s, b.frames[name].sequence)
        np.testing.assert_array_equal(frame.image, b.frames[name].image)


def record(path: Path, observations: int = 4) -> list[RobotObservation]:
    rng = np.random.default_rng(1)
    written = [make_robot(rng, 0.1 * k + 1 / 3, ("wrist",), changes=k) for k in range(observations)]
    writer = RecordingWriter(path, {"task": "reach", "scale": np.float64(0.1)}, {"state": b"\x00\xff" * 40})
    for k, observation in enumerate(written):
        write_robot(writer, observation, k)
        writer.flush()
    assert writer.seal({"steps": observations}) == path
    return written


def robots(recording) -> list[RobotObservation]:
    count = sum(message.topic == "/robot" for message in recording.messages)
    found = [read_robot(group_by_topic([m for m in recording.messages if m.sequence == k])) for k in range(count)]
    return [robot for robot in found if robot is not None]


def test_a_recording_gives_back_every_bit(tmp_path):
    written = record(tmp_path / "a.mcap")
    recording = read_recording(tmp_path / "a.mcap")
    assert recording.complete
    assert recording.metadata == {"header": {"task": "reach", "scale": 0.1}, "outcome": {"steps": 4}}
    assert recording.attachments == {"state": b"\x00\xff" * 40}
    for a, b in zip(written, robots(recording), strict=True):
        assert_same_robot(a, b)
    assert not list(tmp_path.glob(f"*{PART}"))


def test_equal_input_gives_equal_files(tmp_path):
    record(tmp_path / "a.mcap")
    record(tmp_path / "b.mcap")
    assert (tmp_path / "a.mcap").read_bytes() == (tmp_path / "b.mcap").read_bytes()


def test_a_recording_is_never_overwritten(tmp_path):
    record(tmp_path / "a.mcap")
    with pytest.raises(FileExistsError, match=r"a\.mcap exists"):
        RecordingWriter(tmp_path / "a.mcap", {})


def test_rosbags_reads_it(tmp_path):
    from rosbags.highlevel import AnyReader

    written = record(tmp_path / "a.mcap")
    with AnyReader([tmp_path / "a.mcap"]) as reader:
        messages = [
            (connection.topic, stamp_ns, reader.deserialize(data, connection.msgtype))
            for connection, stamp_ns, data in reader.messages()
        ]
    joints = [m for topic, _, m in messages if topic == "/joint_states"]
    images = [m for topic, _, m in messages if topic == image_topic("wrist")]
    wrenches = [(stamp, m) for topic, stamp, m in messages if topic == "/wrench"]
    for observation, joint, image, (stamp, wrench) in zip(written, joints, images, wrenches, strict=True):
        assert joint.name == [*(f"joint{i}" for i in range(1, 8)), "gripper_width"]
        assert tuple(joint.position[:7]) == observation.arm.joint_positions_rad
        assert tuple(joint.velocity[:7]) == observation.arm.joint_velocities_rad_s
        assert (image.height, image.width, image.encoding, image.step) == (6, 5, "rgb8", 15)
        np.testing.assert_array_equal(image.data.reshape(6, 5, 3), observation.frames["wrist"].image)
        assert wrench.wrench.torque.z == observation.arm.wrench[5]
        assert stamp == round(observation.arm.stamp_s * 1e9)
        assert wrench.header.stamp.sec * 10**9 + wrench.header.stamp.nanosec == stamp
    assert sum(topic == "/command" for topic, *_ in messages) == 0 + 1 + 2 + 3 + 4


def test_the_mcap_ros2_decoder_reads_it(tmp_path):
    from mcap.reader import make_reader
    from mcap_ros2.decoder import DecoderFactory

    written = record(tmp_path / "a.mcap")
    with (tmp_path / "a.mcap").open("rb") as file:
        reader = make_reader(file, decoder_factories=[DecoderFactory()])
        poses = [m.pose for *_, m in reader.iter_decoded_messages(["/ee_pose"])]
        summary = reader.get_summary()
        assert summary and summary.statistics and summary.statistics.chunk_count == 4
    positions = [(pose.position.x, pose.position.y, pose.position.z) for pose in poses]
    assert positions == [observation.arm.T_base_ee.position_m for observation in written]


@pytest.mark.parametrize("message_type", [ros_messages.JOINT_STATE, ros_messages.POSE, ros_messages.TWIST])
def test_definitions_are_those_of_ros(message_type):
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    ours = get_types_from_msg(ros_messages.definition(message_type), message_type)
    assert ours.items() <= get_typestore(Stores.ROS2_HUMBLE).fielddefs.items()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.text(min_size=1, max_size=9), st.floats(allow_nan=False)), min_size=1, max_size=9),
    st.floats(0, 1e6),
)
def test_named_numbers_survive_any_alignment(entries, stamp_s):
    names, values = zip(*entries, strict=True)
    assert ros_messages.decode_joints(ros_messages.encode_joints(stamp_s, names, values)) == (names, values, ())
    data = ros_messages.encode_joints(stamp_s, names, values, values)
    assert ros_messages.decode_joints(data) == (names, values, values)


@pytest.mark.parametrize("channels", [1, 3, 4, 6])
def test_images_of_any_channel_count(channels):
    image = np.arange(4 * 3 * channels, dtype=np.uint8).reshape(4, 3, channels)
    np.testing.assert_array_equal(ros_messages.decode_image(ros_messages.encode_image(1.0, image)), image)


def test_a_vector_keeps_its_bits_even_where_it_is_not_a_number():
    vector = np.array([np.nan, -0.0, np.inf, 1e-42], np.float32)
    assert ros_messages.decode_vector(ros_messages.encode_vector(1.0, vector)).tobytes() == vector.tobytes()


def test_a_file_cut_anywhere_gives_its_longest_valid_prefix(tmp_path):
    written = record(tmp_path / "a.mcap")
    data = (tmp_path / "a.mcap").read_bytes()
    counts = []
    for size in range(8, len(data), 7):
        (tmp_path / "cut.mcap").write_bytes(data[:size])
        found = robots(read_recording(tmp_path / "cut.mcap"))
        counts.append(len(found))
        for a, b in zip(written, found, strict=False):
            assert_same_robot(a, b)
    assert counts == sorted(counts)
    assert set(counts) == {0, 1, 2, 3, 4}


def test_damage_is_refused_in_one_line_and_skipped_on_recovery(tmp_path):
    path = tmp_path / "a.mcap"
    record(path)
    good = path.read_bytes()
    refused = 0
    for at in np.random.default_rng(2).integers(8, len(good), 60):
        damaged = bytearray(good)
        damaged[at] ^= 0x40
        path.write_bytes(damaged)
        read_recording(path, recover=True)
        try:
            read_recording(path)
        except RecordingError as error:
            refused += 1
            assert str(path) in str(error) and "corrupt" in str(error) and "\n" not in str(error)
    assert refused > 30  # the rest hit the index at the end, which is not read


def test_not_a_recording(tmp_path):
    path = tmp_path / "a.mcap"
    path.write_bytes(b"hello")
    with pytest.raises(RecordingError, match="not a recording"):
        read_recording(path)


def test_a_part_is_cut_and_sealed(tmp_path):
    from rosbags.highlevel import AnyReader

    record(tmp_path / "a.mcap")
    data = (tmp_path / "a.mcap").read_bytes()
    for fraction in (0.5, 0.7, 0.99):
        part = tmp_path / f"b{fraction}.mcap{PART}"
        part.write_bytes(data[: int(len(data) * fraction)] + b"\0" * 512)  # zeros: a block allocated, never written
        path = recover_recording(part)
        assert path is not None and path.name == f"b{fraction}.mcap" and not part.exists()
        recording = read_recording(path)
        assert 0 < len(robots(recording)) <= 4
        with AnyReader([path]) as reader:
            assert sum(1 for _ in reader.messages()) == len(recording.messages)


def test_a_part_with_nothing_in_it_is_removed(tmp_path):
    part = tmp_path / f"a.mcap{PART}"
    part.write_bytes(b"\x89MC")
    assert recover_recording(part) is None
    assert not part.exists()


def test_a_part_still_being_written_is_left_alone(tmp_path):
    writer = RecordingWriter(tmp_path / "a.mcap", {})
    write_robot(writer, make_robot(np.random.default_rng(0), 1.0), 0)
    writer.flush()
    assert recover_recording(tmp_path / f"a.mcap{PART}") is None
    writer.seal({})
    assert len(robots(read_recording(tmp_path / "a.mcap"))) == 1


def test_the_disk_is_synced_in_the_background(tmp_path, monkeypatch):
    from hardware import mcap_writer

    monkeypatch.setattr(mcap_writer, "_SYNC_PERIOD_S", 0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        record(tmp_path / "a.mcap")
    assert len(robots(read_recording(tmp_path / "a.mcap"))) == 4


def test_what_is_older_than_the_clock_is_recorded(tmp_path):
    observation = make_robot(np.random.default_rng(0), 0.0, ("wrist",))
    writer = RecordingWriter(tmp_path / "a.mcap", {})
    write_robot(writer, observation, 0)
    writer.seal({})
    assert observation.frames["wrist"].stamp_s < 0
    assert_same_robot(robots(read_recording(tmp_path / "a.mcap"))[0], observation)


def test_seconds_become_whole_nanoseconds():
    assert ros_messages.nanoseconds(0.1 + 0.2) == 300_000_000
