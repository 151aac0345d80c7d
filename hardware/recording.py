"""What is recorded of a robot: its observations as ROS 2 topics of an MCAP file, bit for bit.

Episodes and the black box both write through this. ``ros2 bag play``, Foxglove, PlotJuggler and ``rosbags`` read it.
A message's ``sequence`` numbers the observation it belongs to; 0 is the one that a reset returned.

=========================  ==================================================================================
/joint_states              joints and ``gripper_width``
/ee_pose /ee_twist         measured end effector, base frame
/wrench                    filtered external wrench, base axes, about the end effector
/command                   each accepted target: first the changes since the last step's command, then the newest
/command/state             beside each /command: source, mode, gripper, reference, and one entry a refusal
/camera/NAME/image_raw     truth as the camera delivered it
/robot                     exact stamps and frame counters (headers and log times are rounded to nanoseconds)
=========================  ==================================================================================
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

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
from hardware.mcap_reader import Message, Recording, RecordingError, read_recording
from hardware.mcap_writer import PART, RecordingWriter, recover_recording, sync_folder, to_json
from hardware.ros_messages import (
    IMAGE,
    JOINT_STATE,
    JOY,
    POSE,
    TWIST,
    WRENCH,
    decode_geometry,
    decode_image,
    decode_joints,
    decode_vector,
    encode_geometry,
    encode_image,
    encode_joints,
    encode_vector,
)

__all__ = [
    "IMAGE",
    "JOINT_STATE",
    "JOY",
    "PART",
    "Message",
    "Recording",
    "RecordingError",
    "RecordingWriter",
    "decode_geometry",
    "decode_image",
    "decode_joints",
    "decode_vector",
    "encode_image",
    "encode_joints",
    "encode_vector",
    "group_by_topic",
    "image_topic",
    "read_command",
    "read_recording",
    "read_robot",
    "recover_recording",
    "sync_folder",
    "to_json",
    "write_arm",
    "write_command",
    "write_pose",
    "write_robot",
]

_BASE = "base"
_GRIPPER_JOINT = "gripper_width"
_COMMAND_NAMES = (
    "stamp_s",
    "is_change",
    "gripper",
    "source",
    "mode",
    *(f"reference.{name}" for name in ("x", "y", "z", "qx", "qy", "qz", "qw", "vx", "vy", "vz", "wx", "wy", "wz")),
    "reference.gripper_width_m",
)
_REFUSAL = "refusal."
_REFUSED_SOURCE = "refused_source"


def image_topic(camera: str) -> str:
    """Where the frames of ``camera`` stand."""
    return f"/camera/{camera}/image_raw"


def write_robot(writer: RecordingWriter, observation: RobotObservation, sequence: int) -> None:
    """Append all of ``observation`` as the ``sequence``-th observation."""
    arm = observation.arm
    write_arm(writer, arm, sequence)
    for change in observation.changes:
        write_command(writer, change, True, sequence)
    write_command(writer, observation.executed, False, sequence)
    exact = {"stamp_s": observation.stamp_s, "arm.stamp_s": arm.stamp_s}
    for name, frame in observation.frames.items():
        exact |= {f"{name}.stamp_s": frame.stamp_s, f"{name}.sequence": float(frame.sequence)}
        writer.write(image_topic(name), IMAGE, frame.stamp_s, encode_image(frame.stamp_s, frame.image), sequence)
    at = observation.stamp_s
    writer.write("/robot", JOINT_STATE, at, encode_joints(at, tuple(exact), tuple(exact.values())), sequence)


def write_arm(writer: RecordingWriter, arm: ArmState, sequence: int) -> None:
    """Append what the arm measures."""
    at = arm.stamp_s
    joints = tuple(f"joint{i + 1}" for i in range(len(arm.joint_positions_rad)))
    positions = (*arm.joint_positions_rad, arm.gripper_width_m)
    velocities = (*arm.joint_velocities_rad_s, 0.0)
    writer.write(
        "/joint_states", JOINT_STATE, at, encode_joints(at, (*joints, _GRIPPER_JOINT), positions, velocities), sequence
    )
    pose = arm.T_base_ee
    write_pose(writer, "/ee_pose", at, (*pose.position_m, *pose.quat_xyzw), sequence)
    writer.write("/ee_twist", TWIST, at, encode_geometry(at, arm.ee_twist, _BASE), sequence)
    writer.write("/wrench", WRENCH, at, encode_geometry(at, arm.wrench, _BASE), sequence)


def write_pose(writer: RecordingWriter, topic: str, at: float, pose: Sequence[float], sequence: int) -> None:
    """Append a pose of 7 numbers: position and quaternion xyzw."""
    writer.write(topic, POSE, at, encode_geometry(at, pose, _BASE), sequence)


def write_command(writer: RecordingWriter, command: ExecutedCommand, is_change: bool, sequence: int) -> None:
    """Append what the guard executed; ``is_change`` where it is one of the changes before the newest."""
    at, target, reference = command.stamp_s, command.target, command.reference
    write_pose(writer, "/command", at, (*target.position_m, *target.quat_xyzw), sequence)
    names: tuple[str, ...] = _COMMAND_NAMES
    values: tuple[float, ...] = (at, is_change, command.gripper, command.source, command.mode)
    values = (*values, *reference.T_base_ee.position_m, *reference.T_base_ee.quat_xyzw, *reference.twist)
    values = (*values, reference.gripper_width_m)
    for refusal in command.refusals:
        names = (*names, _REFUSAL + refusal.limit, _REFUSED_SOURCE)
        values = (*values, refusal.amount, refusal.source)
    writer.write("/command/state", JOINT_STATE, at, encode_joints(at, names, values), sequence)


def group_by_topic(messages: Sequence[Message]) -> dict[str, list[bytes]]:
    """The data of ``messages`` by topic, in the order written."""
    topics: dict[str, list[bytes]] = defaultdict(list)
    for message in messages:
        topics[message.topic].append(message.data)
    return dict(topics)


def read_robot(topics: dict[str, list[bytes]]) -> RobotObservation | None:
    """The observation whose messages are ``topics`` (one sequence number's); None where no robot was recorded."""
    if "/robot" not in topics:
        return None
    names, numbers, _ = decode_joints(topics["/robot"][0])
    exact = dict(zip(names, numbers, strict=True))
    _, positions, velocities = decode_joints(topics["/joint_states"][0])
    arm = ArmState(
        stamp_s=exact["arm.stamp_s"],
        T_base_ee=_pose(decode_geometry(topics["/ee_pose"][0])),
        ee_twist=decode_geometry(topics["/ee_twist"][0]),  # type: ignore[arg-type]
        joint_positions_rad=positions[:-1],
        joint_velocities_rad_s=velocities[:-1],
        wrench=decode_geometry(topics["/wrench"][0]),  # type: ignore[arg-type]
        gripper_width_m=positions[-1],
    )
    frames = {}
    for name in (key.removesuffix(".sequence") for key in names if key.endswith(".sequence")):
        image = decode_image(topics[image_topic(name)][0])
        frames[name] = CameraFrame(exact[f"{name}.stamp_s"], int(exact[f"{name}.sequence"]), image)
    pairs = zip(topics["/command"], topics["/command/state"], strict=True)
    *changes, executed = [read_command(pose, state) for pose, state in pairs]
    return RobotObservation(exact["stamp_s"], arm, frames, executed, tuple(changes))


def _pose(values: Sequence[float]) -> Pose:
    return Pose(tuple(values[:3]), tuple(values[3:7]))  # type: ignore[arg-type]


def read_command(pose: bytes, state: bytes) -> ExecutedCommand:
    """What :func:`write_command` wrote, from the data of its two messages."""
    names, values, _ = decode_joints(state)
    stamp_s, _, gripper, source, mode = values[:5]
    fixed = len(_COMMAND_NAMES)
    refusals = tuple(
        Refusal(names[i].removeprefix(_REFUSAL), values[i], Source(int(values[i + 1])))
        for i in range(fixed, len(names), 2)
    )
    return ExecutedCommand(
        stamp_s=stamp_s,
        target=_pose(decode_geometry(pose)),
        gripper=Gripper(int(gripper)),
        source=Source(int(source)),
        mode=GuardMode(int(mode)),
        reference=ArmReference(_pose(values[5:12]), values[12:18], values[18]),  # type: ignore[arg-type]
        refusals=refusals,
    )
