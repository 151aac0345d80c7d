"""An episode's file in other people's hands: the `mcap` library and `rosbags` decode joints, pictures and actions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from rosbags.highlevel import AnyReader

from robot_rl.episodes import EpisodeStore
from tests.robot_rl.test_episodes import make_episode, save


def by_mcap(path: Path) -> dict[str, list[Any]]:
    found = defaultdict(list)
    with path.open("rb") as file:
        for _, channel, _, message in make_reader(file, decoder_factories=[DecoderFactory()]).iter_decoded_messages():
            found[channel.topic].append(message)
    return found


def by_rosbags(path: Path) -> dict[str, list[Any]]:
    found = defaultdict(list)
    with AnyReader([path]) as reader:
        for connection, _, data in reader.messages():
            found[connection.topic].append(reader.deserialize(data, connection.msgtype))
    return found


@pytest.mark.parametrize("read", [by_mcap, by_rosbags])
def test_an_episode_is_decoded(read: Callable[[Path], dict[str, list[Any]]], tmp_path: Path) -> None:
    episode = make_episode()
    found = read(save(EpisodeStore(tmp_path), episode))
    robots = [episode.header.initial_robot, *(step.raw for step in episode.steps)]
    for robot, joints, image in zip(robots, found["/joint_states"], found["/camera/wrist/image_raw"], strict=True):
        assert robot is not None
        assert tuple(joints.position[:7]) == robot.arm.joint_positions_rad
        picture = np.frombuffer(bytes(image.data), np.uint8).reshape(image.height, image.width, 3)
        np.testing.assert_array_equal(picture, robot.frames["wrist"].image)
    for step, executed in zip(episode.steps, found["/action/executed"], strict=True):
        np.testing.assert_array_equal(np.float32(executed.axes), step.executed_action)
    crops = [*(step.observation["crop"] for step in episode.steps), episode.final_observation["crop"]]
    for crop, image in zip(crops, found["/observation/crop"], strict=True):
        assert bytes(image.data) == crop.tobytes()
