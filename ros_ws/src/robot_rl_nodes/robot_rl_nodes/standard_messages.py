"""Between devices' values and ROS messages, and what people's tools get to see. Pure; what cannot be read raises
``ValueError``.

A teleop twist becomes float32, as ``Joy`` has it; images are copied byte for byte.
"""

from __future__ import annotations

from array import array
from typing import NamedTuple

import numpy as np
from geometry_msgs.msg import PoseStamped, TransformStamped, WrenchStamped
from sensor_msgs.msg import CameraInfo, Image, JointState, Joy

from hardware.camera_geometry import Extrinsics, Intrinsics
from hardware.interfaces import ArmState, Gripper, Pose, TeleopSample
from robot_rl_nodes.conversions import from_numbers, from_time, read, to_numbers, to_time, whole
from robot_rl_nodes.topics import BASE_FRAME, EE_FRAME

_ENABLED = {None: -1, False: 0, True: 1}


class FrameMark(NamedTuple):
    """What goes beside an image."""

    stamp_s: float
    sequence: int
    digest: int


def to_joy(sample: TeleopSample) -> Joy:
    """Axes: the twist. Buttons: takeover, gripper (-1, 0, 1), success, failure, enabled (-1: no such switch)."""
    message = Joy(axes=array("f", sample.twist))
    flags = (sample.takeover, sample.gripper, sample.success, sample.failure, _ENABLED[sample.enabled])
    message.buttons = array("i", (int(flag) for flag in flags))
    message.header.stamp = to_time(sample.heartbeat_s)
    return message


def from_joy(message: Joy) -> TeleopSample:
    """What :func:`to_joy` was given."""
    if len(message.axes) != 6 or len(message.buttons) != 5:
        raise ValueError(f"{len(message.axes)} axes and {len(message.buttons)} buttons; a teleop sample has 6 and 5")
    takeover, gripper, success, failure, enabled = message.buttons
    twist = tuple(float(v) for v in message.axes)
    switch = None if enabled < 0 else bool(enabled)
    stamp_s = from_time(message.header.stamp)
    flags = (bool(takeover), Gripper(gripper), bool(success), bool(failure), switch)
    return TeleopSample(stamp_s, twist, *flags)  # type: ignore[arg-type]


class ImageWriter:
    """Makes images of one shape: its message and the array behind it are used again (0.1 ms instead of 30)."""

    def __init__(self, frame_id: str):
        self._message = Image(encoding="rgb8")
        self._message.header.frame_id = frame_id

    def __call__(self, stamp_s: float, image: np.ndarray) -> Image:
        """``image``: uint8 (height, width, 3). The message is good until the next call."""
        message, (height, width, _) = self._message, image.shape
        if (message.height, message.width) != (height, width):
            message.height, message.width, message.step = height, width, 3 * width
            message.data = array("B", bytes(image.size))
        np.frombuffer(message.data, np.uint8)[:] = image.ravel()
        message.header.stamp = to_time(stamp_s)
        return message


def from_image(message: Image) -> np.ndarray:
    """uint8 (height, width, 3); a view of the message's bytes."""
    if message.encoding != "rgb8" or message.step != 3 * message.width:
        raise ValueError(
            f"an image in {message.encoding!r}, rows of {message.step} bytes; rgb8 without padding is read"
        )
    return np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, 3)


def to_mark(mark: FrameMark) -> JointState:
    """What goes beside an image."""
    return to_numbers(mark.stamp_s, ("stamp_s", "sequence", "digest"), mark)


def from_mark(message: JointState) -> FrameMark:
    """What :func:`to_mark` was given."""
    stamp_s, sequence, digest = read(from_numbers(message), ("stamp_s", "sequence", "digest"))
    return FrameMark(stamp_s, whole(sequence), whole(digest))


# -- for people and their tools --------------------------------------------------------------------------------------


def to_pose(stamp_s: float, pose: Pose) -> PoseStamped:
    """In the base frame."""
    message = PoseStamped()
    message.header.stamp, message.header.frame_id = to_time(stamp_s), BASE_FRAME
    point, turn = message.pose.position, message.pose.orientation
    point.x, point.y, point.z = map(float, pose.position_m)
    turn.x, turn.y, turn.z, turn.w = map(float, pose.quat_xyzw)
    return message


def to_wrench(arm: ArmState) -> WrenchStamped:
    """In base axes, about the end effector."""
    message = WrenchStamped()
    message.header.stamp, message.header.frame_id = to_time(arm.stamp_s), BASE_FRAME
    force, torque = message.wrench.force, message.wrench.torque
    force.x, force.y, force.z, torque.x, torque.y, torque.z = map(float, arm.wrench)
    return message


GRIPPER_WIDTH = "gripper_width"
"""The arm node's joint states alone name it."""


def to_joint_state(arm: ArmState) -> JointState:
    """Joints by number, and the gripper's width."""
    names = [f"joint{i + 1}" for i in range(len(arm.joint_positions_rad))]
    message = to_numbers(arm.stamp_s, [*names, GRIPPER_WIDTH], (*arm.joint_positions_rad, arm.gripper_width_m))
    message.velocity = array("d", (*arm.joint_velocities_rad_s, 0.0))
    return message


def to_transform(stamp_s: float, parent: str, child: str, pose: Pose) -> TransformStamped:
    """``T_parent_child``."""
    message = TransformStamped(child_frame_id=child)
    message.header.stamp, message.header.frame_id = to_time(stamp_s), parent
    move, turn = message.transform.translation, message.transform.rotation
    move.x, move.y, move.z = map(float, pose.position_m)
    turn.x, turn.y, turn.z, turn.w = map(float, pose.quat_xyzw)
    return message


def ee_transform(arm: ArmState) -> TransformStamped:
    """``T_base_ee``."""
    return to_transform(arm.stamp_s, BASE_FRAME, EE_FRAME, arm.T_base_ee)


def camera_transform(stamp_s: float, camera: str, place: Extrinsics) -> TransformStamped:
    """``T_ee_camera`` or ``T_base_camera``."""
    parent = {"ee": EE_FRAME, "base": BASE_FRAME}[place.frame]
    return to_transform(stamp_s, parent, camera, place.pose)


def to_camera_info(stamp_s: float, camera: str, lens: Intrinsics, size_px: tuple[int, int]) -> CameraInfo:
    """How images of ``size_px`` (width, height) map, beside the one of this stamp: not rectified, by the model that ROS
    calls plumb_bob."""
    (fx, fy), (cx, cy) = lens.focal_px, lens.centre_px
    message = CameraInfo(width=size_px[0], height=size_px[1], distortion_model="plumb_bob")
    message.d = [float(k) for k in lens.distortion or (0.0,) * 5]
    message.k = [fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0]
    message.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    message.p = [fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0]
    message.header.stamp, message.header.frame_id = to_time(stamp_s), camera
    return message
