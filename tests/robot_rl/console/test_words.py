"""Snapshots in words: who drives and why not, when to take over, how well it goes."""

from __future__ import annotations

from math import nan
from typing import Any

import numpy as np
import pytest

from hardware.interfaces import CameraFrame, Gripper, GuardMode, Pose, Source
from robot_rl.console.snapshot import HELPED, MAX_FRAME_BYTES, SUCCESS, Snapshot
from robot_rl.console.timing import Timing
from robot_rl.console.words import action_bars, hint, status, streak, success_curve

POSE = Pose((0.5, 0.0, 0.2), (1.0, 0.0, 0.0, 0.0))


def snapshot(mode: GuardMode = GuardMode.RUNNING, source: Source = Source.POLICY, **more: Any) -> Snapshot:
    return Snapshot(1.0, POSE, mode, source=source, **more)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (snapshot(), ["policy drives", "RUNNING"]),
        (snapshot(source=Source.HUMAN), ["you drive"]),
        (snapshot(GuardMode.HOLD, Source.HOLD, reason="S8: 43 N & more"), ["guard holds", "HOLD: S8: 43 N &amp; more"]),
        (snapshot(GuardMode.DISARMED), ["nobody drives"]),
        (snapshot(refusal=("S4", 0.012, 0.5)), ["S4 by 0.012, 0.5 s ago"]),
        (snapshot(step=10, human_steps=3), ["30% of this episode"]),
        (
            snapshot(timing=Timing(0.0994, 0.1312, 0.0021, 9.84, 10.0, 100, 3)),
            ["99, 131 ms old", "2.1 ms", "9.8 of 10 Hz", "3 of 100"],
        ),
        (snapshot(training={"env_steps": 1200.0, "buffer": 0.25}), ["1,200", "25%"]),
    ],
)
def test_the_status_says(given, words):
    assert all(word in status(given) for word in words)


def test_the_hint_comes_only_where_the_policy_gets_nowhere():
    assert hint(snapshot(stalled_s=1.0)) == ""
    assert "no progress for 4 s" in hint(snapshot(stalled_s=4.0))
    assert hint(snapshot(GuardMode.HOLD, stalled_s=4.0)) == ""
    assert hint(snapshot(source=Source.HUMAN, stalled_s=4.0)) == ""


def test_a_streak_is_broken_by_help_and_by_failure():
    alone, helped, failed = SUCCESS, SUCCESS | HELPED, 0
    for outcomes, expected in (((), 0), ((alone, alone), 2), ((alone, helped, alone), 1), ((alone, failed), 0)):
        assert streak(np.array(outcomes, np.uint8)) == expected


def test_the_curve_counts_unaided_successes_within_its_interval():
    number, share, low, high = success_curve(np.array([SUCCESS, SUCCESS | HELPED, 0, SUCCESS], np.uint8))
    assert number.tolist() == [1, 2, 3, 4] and share.tolist() == [1.0, 0.5, 1 / 3, 0.5]
    assert np.all(low <= share) and np.all(share <= high)
    assert [len(column) for column in success_curve(np.zeros(0, np.uint8))] == [0, 0, 0, 0]


def test_bars_of_an_action_stay_in_the_picture_whatever_was_proposed():
    picture = action_bars(snapshot(proposed_action=(nan, 7.0, -0.5), executed_action=(0.0, 1.0, -0.5)))
    assert "nan" not in picture and "width='100.0'" in picture and "x='100.0'" in picture


def test_a_snapshot_crosses_to_the_page_as_it_is():
    image = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    sent = snapshot(
        GuardMode.HOLD, Source.HOLD, reason="é", gripper=Gripper.CLOSE, accepted=POSE, refusal=("S4", 0.1, 2.0),
        timing=Timing(0.1, 0.2, 0.003, 9.9, 10.0, 100, 1),
        executed_action=(0.1, -1.0), training={"q": 0.5}, frames={"front": CameraFrame(0.9, 7, image)},
        body_poses=np.random.default_rng(0).random((3, 7)), outcomes=np.array([SUCCESS, 0], np.uint8),
    )  # fmt: skip
    got = Snapshot.unpack(sent.pack())
    for name in (
        "stamp_s",
        "hand",
        "mode",
        "source",
        "reason",
        "gripper",
        "accepted",
        "proposed",
        "refusal",
        "timing",
        "training",
    ):
        assert getattr(got, name) == getattr(sent, name), name
    assert got.executed_action == sent.executed_action and type(got.mode) is GuardMode and type(got.timing) is Timing
    assert np.array_equal(got.body_poses, sent.body_poses) and np.array_equal(got.outcomes, sent.outcomes)
    frame = got.frames["front"]
    assert (frame.stamp_s, frame.sequence) == (0.9, 7) and np.array_equal(frame.image, image)


def test_large_pictures_cross_with_fewer_pixels():
    frames = {"front": CameraFrame(0.0, 0, np.zeros((480, 640, 3), np.uint8))}
    image = Snapshot.unpack(snapshot(frames=frames).pack()).frames["front"].image
    assert image.nbytes <= MAX_FRAME_BYTES and image.shape == (120, 160, 3)


@pytest.mark.parametrize("packet", [b"", b"1234", b"\xff\xff\xff\xff{}"])
def test_what_is_no_packet_is_refused(packet):
    with pytest.raises(ValueError):
        Snapshot.unpack(packet)
