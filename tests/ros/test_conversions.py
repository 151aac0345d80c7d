"""Whatever goes into a message comes out of it, through the wire's bytes; what cannot be read is refused."""

from __future__ import annotations

from array import array
from math import isnan, nan

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed; `make test-ros` runs this")

from hypothesis import given, settings
from hypothesis import strategies as st
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import Image, JointState, Joy

from hardware.camera_geometry import Extrinsics, Intrinsics
from hardware.interfaces import (
    ArmCommand,
    ArmReference,
    ArmState,
    ExecutedCommand,
    Gripper,
    GuardMode,
    Pose,
    Refusal,
    ResetPlan,
    Source,
    TeleopSample,
)
from robot_rl_nodes.conversions import (
    Proposal,
    Tick,
    from_plan,
    from_proposal,
    from_tick,
    from_time,
    to_numbers,
    to_plan,
    to_proposal,
    to_tick,
)
from robot_rl_nodes.standard_messages import (
    FrameMark,
    ImageWriter,
    camera_transform,
    ee_transform,
    from_image,
    from_joy,
    from_mark,
    to_camera_info,
    to_joint_state,
    to_joy,
    to_mark,
    to_pose,
    to_wrench,
)

number = st.floats(allow_nan=False, allow_infinity=False)
stamp = st.floats(0.0, 1e6)


def many(count: int) -> st.SearchStrategy[tuple[float, ...]]:
    return st.tuples(*[number] * count)


poses = st.builds(Pose, many(3), many(4))
grippers, sources, modes = st.sampled_from(Gripper), st.sampled_from(Source), st.sampled_from(GuardMode)
arms = st.integers(0, 8).flatmap(
    lambda n: st.builds(
        ArmState, stamp, poses, many(6), many(n), many(n), many(6), number, st.sampled_from(["", "reflex"])
    )
)
references = st.builds(ArmReference, poses, many(6), number)
refusals = st.lists(
    st.builds(Refusal, st.sampled_from(["S1", "S4", "S32"]), number, sources),
    max_size=3,
    unique_by=lambda r: (r.limit, r.source),
).map(tuple)
reasons = st.sampled_from(["", "not engaged", "S8: the arm presses, over by 3 N: let go"])
executed = st.builds(ExecutedCommand, stamp, poses, grippers, sources, modes, references, refusals, reasons)
commands = st.builds(ArmCommand, poses, grippers, st.integers(0, 2**40), st.integers(0, 2**40))


def wire(message):
    return deserialize_message(serialize_message(message), type(message))


@given(st.builds(Tick, arms, executed, st.integers(0, 2**40)))
@settings(deadline=None)
def test_a_tick_comes_out_as_it_went_in(tick):
    read = from_tick(wire(to_tick(tick)))
    assert read == tick
    assert read.executed.reason == tick.executed.reason  # Equality leaves it out.


@given(st.builds(Proposal, commands, st.integers(0, 2**48), st.none() | number))
@settings(deadline=None)
def test_a_command_comes_out_as_it_went_in(proposal):
    assert from_proposal(wire(to_proposal(1.5, proposal))) == proposal


def test_a_nan_passes_for_the_guard_to_judge():
    proposal = Proposal(ArmCommand(Pose((nan, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))), 1, None)
    assert isnan(from_proposal(wire(to_proposal(0.0, proposal))).command.T_base_ee.position_m[0])


@given(
    st.builds(ResetPlan, poses, grippers, st.lists(poses, max_size=3).map(tuple), st.none(), number, number, number),
    st.integers(0, 2**40),
)
@settings(deadline=None)
def test_a_plan_comes_out_as_it_went_in(plan, request_id):
    assert from_plan(wire(to_plan(1.0, plan, request_id))) == (plan, request_id)


unit = st.floats(-1.0, 1.0, width=32)
samples = st.builds(
    TeleopSample, stamp, st.tuples(*[unit] * 6), st.booleans(), grippers, st.booleans(), st.booleans(),
    st.sampled_from([None, False, True]),
)  # fmt: skip


@given(samples)
@settings(deadline=None)
def test_a_teleop_sample_comes_out_as_it_went_in(sample):
    read = from_joy(wire(to_joy(sample)))
    assert read.heartbeat_s == pytest.approx(sample.heartbeat_s, abs=1e-9)
    assert read == TeleopSample(read.heartbeat_s, *[getattr(sample, n) for n in list(TeleopSample.__slots__)[1:]])


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 255))
@settings(deadline=None)
def test_images_are_copied_byte_for_byte(height, width, first):
    write = ImageWriter("front")
    for shift in range(2):
        image = (np.arange(height * width * 3, dtype=np.uint8) + first + shift).reshape(height, width, 3)
        message = wire(write(12.25, image))
        assert (from_image(message) == image).all()
        assert (message.header.frame_id, message.encoding) == ("front", "rgb8")


@given(st.builds(FrameMark, stamp, st.integers(0, 2**40), st.integers(0, 2**32 - 1)))
@settings(deadline=None)
def test_a_mark_comes_out_as_it_went_in(mark):
    assert from_mark(wire(to_mark(mark))) == mark


@given(arms)
@settings(deadline=None)
def test_peoples_tools_see_the_same_numbers(arm):
    joints, wrench, pose = wire(to_joint_state(arm)), wire(to_wrench(arm)), wire(to_pose(arm.stamp_s, arm.T_base_ee))
    assert tuple(joints.position) == (*arm.joint_positions_rad, arm.gripper_width_m)
    assert len(joints.name) == len(joints.position) == len(joints.velocity)
    force, torque, turn = wrench.wrench.force, wrench.wrench.torque, pose.pose.orientation
    assert (force.x, force.y, force.z, torque.x, torque.y, torque.z) == arm.wrench
    assert (turn.x, turn.y, turn.z, turn.w) == arm.T_base_ee.quat_xyzw


@given(arms, st.sampled_from(["ee", "base"]))
@settings(deadline=None)
def test_frames_are_told_as_they_are(arm, frame):
    place = Extrinsics(frame, arm.T_base_ee.position_m, (0.5, -0.5, 0.5, -0.5))
    told = wire(camera_transform(1.5, "wrist", place)), wire(ee_transform(arm))
    assert [(message.header.frame_id, message.child_frame_id) for message in told] == [(frame, "wrist"), ("base", "ee")]
    for message, (position, quat) in zip(told, (place.pose, arm.T_base_ee), strict=True):
        move, turn = message.transform.translation, message.transform.rotation
        assert ((move.x, move.y, move.z), (turn.x, turn.y, turn.z, turn.w)) == (position, quat)


def test_a_lens_is_told_as_ros_has_it():
    lens = Intrinsics((340.0, 350.0), (63.5, 60.0), (0.1, -0.2, 0.01, 0.02, 0.3))
    told = wire(to_camera_info(1.5, "wrist", lens, (128, 120)))
    assert (told.header.frame_id, told.width, told.height, told.distortion_model) == ("wrist", 128, 120, "plumb_bob")
    assert from_time(told.header.stamp) == 1.5
    assert list(told.d) == list(lens.distortion) and list(told.r) == [1, 0, 0, 0, 1, 0, 0, 0, 1]
    assert list(told.k) == [340, 0, 63.5, 0, 350, 60, 0, 0, 1]
    assert list(told.p) == [340, 0, 63.5, 0, 0, 350, 60, 0, 0, 0, 1, 0]
    assert list(wire(to_camera_info(0.0, "wrist", Intrinsics((1.0, 1.0), (0.0, 0.0)), (2, 2))).d) == [0.0] * 5


@pytest.mark.parametrize("read", [from_tick, from_proposal, from_plan, from_mark])
@pytest.mark.parametrize(
    "message",
    [
        JointState(),
        JointState(name=["a"], position=array("d")),
        to_numbers(0.0, ("gripper", "sequence", "session", "actor"), (0.5, 1.0, 1.0, 1.0)),
        to_numbers(0.0, ("gripper", "sequence", "session", "actor"), (7.0, 1.0, 1.0, 1.0)),
        to_numbers(0.0, ("gripper", "sequence", "session", "actor"), (nan, 1.0, 1.0, 1.0)),
    ],
)
def test_s21_what_cannot_be_read_is_a_value_error(read, message):
    with pytest.raises(ValueError):
        read(message)


def test_s21_images_and_samples_of_another_kind_are_refused():
    with pytest.raises(ValueError, match="rgb8"):
        from_image(Image(encoding="mono8"))
    with pytest.raises(ValueError):
        from_image(Image(encoding="rgb8", height=2, width=2, step=6))
    with pytest.raises(ValueError, match="6 and 5"):
        from_joy(Joy())
