"""The recorder: what it writes reads as any bag, and a kill costs no more than what came since the last flush."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed; `make test-ros` runs this")

from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from rosbags.typesys import get_types_from_msg

from hardware.interfaces import GuardMode
from hardware.recording import PART
from robot_rl_nodes.bag import Bag, _readable, definition, put_in_order
from robot_rl_nodes.conversions import from_tick, to_numbers
from robot_rl_nodes.node_table import recording
from robot_rl_nodes.topics import TOPICS
from tests.ros.ros_cell import RosCell

MARK = "sensor_msgs/msg/JointState"
PICTURES, FRAMES = "/camera/front/image_raw", "/camera/front/frame"
RECORDED = {"/guard/tick", "/teleop", "/clock", PICTURES, FRAMES}


def messages(path: Path) -> dict[str, list[Any]]:
    """By topic, decoded by MCAP's own reader and its ROS 2 support, from the schemas in the file."""
    found: dict[str, list[Any]] = {}
    with path.open("rb") as file:
        reader = make_reader(file, decoder_factories=[DecoderFactory()])
        assert reader.get_header().profile == "ros2" and reader.get_summary() is not None
        for _, channel, _, message in reader.iter_decoded_messages():
            found.setdefault(channel.topic, []).append(message)
    return found


def marks(folder: Path, count: int) -> Path:
    """A bag of ``count`` messages, flushed after each, not closed."""
    from rclpy.serialization import serialize_message

    bag = Bag(folder)
    for number in range(count):
        bag.add("/n", MARK, float(number), serialize_message(to_numbers(float(number), ["n"], [float(number)])))
        bag.flush()
    bag._writer.abandon()  # The process ends.
    return folder / f"000.mcap{PART}"


def numbers(path: Path) -> list[float]:
    return [message.position[0] for message in messages(path).get("/n", [])]


def test_definitions_are_complete() -> None:
    for name in {topic.type for topic in TOPICS if not topic.type.startswith("tf2")}:
        assert name in get_types_from_msg(definition(name), name)


@pytest.mark.parametrize("cut", [0, 1, 40, 150, 400])
def test_whatever_was_whole_is_kept_wherever_the_file_ends(cut: int, tmp_path: Path) -> None:
    part = marks(tmp_path, 10)
    os.truncate(part, part.stat().st_size - cut)
    found = numbers(put_in_order(part))
    assert found == [float(n) for n in range(len(found))] and len(found) >= 10 - 1 - cut // 100
    assert list(tmp_path.iterdir()) == [tmp_path / "000.mcap"]


def test_no_damage_makes_another_message_of_one(tmp_path: Path) -> None:
    whole = marks(tmp_path / "whole", 4).read_bytes()
    lengths = set()
    for at in range(len(whole) // 4, len(whole), 13):
        damaged = tmp_path / str(at) / f"000.mcap{PART}"
        damaged.parent.mkdir()
        damaged.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        found = numbers(put_in_order(damaged))
        assert found == sorted(set(found) & {0.0, 1.0, 2.0, 3.0})
        lengths.add(len(found))
    assert {1, 2, 3} <= lengths, "the rest is kept"


def test_a_bag_that_grows_is_left_alone(tmp_path: Path) -> None:
    first = Bag(tmp_path)
    second = Bag(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == [f"000.mcap{PART}", f"001.mcap{PART}"]
    for bag in (first, second):
        bag.close()


def test_what_a_publisher_numbered_and_never_came_is_lost(tmp_path: Path) -> None:
    bag = Bag(tmp_path)
    for publisher, number in ((b"a", 7), (b"a", 8), (b"b", 1), (b"a", 11), (b"b", 2), (b"a", 1), (b"a", 2)):
        bag.add("/n", MARK, 0.0, b"", publisher, number)
    bag.close()
    assert bag.lost == {"/n": 2}, "9 and 10; the last two are of a publisher that was started again"


class RecordedCell(RosCell):
    def changed(self, nodes: Any) -> Any:
        return [*nodes, *recording("twin", "front", str(self.folder / "bag"))]


def wait_for(happened: Callable[[], bool], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.fixture(scope="module", name="bags")
def recorded() -> Any:
    """Files of a recorder that was killed, and of the one that was started again and ended with all others."""
    cell = RecordedCell(cameras=["front"])
    folder, kept = cell.folder / "bag", Path(tempfile.mkdtemp(prefix="bag-"))

    def hears_all(number: int) -> bool:  # A publisher is heard from when it has been discovered, each at its own time.
        part = folder / f"{number:03}.mcap{PART}"
        if not part.exists():
            return False
        with part.open("rb") as file:
            heard = Counter(channel.topic for _, channel, _ in _readable(file))
        return all(heard[topic] > 10 for topic in RECORDED)

    try:
        wait_for(lambda: hears_all(0))
        os.kill(cell.pid("recorder"), signal.SIGKILL)
        wait_for(lambda: hears_all(1))
        cell.stop_watching()
        cell.supervisor.stop()
        shutil.copytree(folder, kept, dirs_exist_ok=True)
        yield kept, cell.words("recorder")
    finally:
        cell.close()
        shutil.rmtree(kept)


def test_a_killed_recorder_is_started_again_and_both_files_are_whole(bags: Any) -> None:
    folder, said = bags
    assert [file.name for file in sorted(folder.iterdir())] == ["000.mcap", "001.mcap"]
    for file in folder.iterdir():
        found = messages(file)
        assert found.keys() >= RECORDED
        assert all(from_tick(tick).executed.mode is GuardMode.DISARMED for tick in found["/guard/tick"])
    assert "001.mcap: " in said and "lost on the way here" in said


def test_every_picture_is_there_or_said_to_be_lost(bags: Any) -> None:
    folder, said = bags
    found = messages(folder / "001.mcap")
    stamps = [message.header.stamp for message in found[PICTURES]]
    pictures = {(stamp.sec, stamp.nanosec) for stamp in stamps}
    told = {(mark.header.stamp.sec, mark.header.stamp.nanosec) for mark in found[FRAMES]}
    missing = {stamp for stamp in told - pictures if min(pictures) < stamp < max(pictures)}
    assert not missing or "image_raw" in said.rpartition("lost on the way here")[2]
    image = found[PICTURES][0]
    assert np.frombuffer(image.data, np.uint8).reshape(image.height, image.width, 3).std() > 1.0
