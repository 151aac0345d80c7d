"""The one table of what the nodes say to one another: names, types, quality of service, rates, frames.

Names are relative, so that a namespace or a remap moves them. Every message is stamped with the cell's clock, the
machine's monotonic one (``/clock`` carries it: start other tools with ``use_sim_time``). Wall time never enters (S20),
and no receiver believes a stamp later than the arrival. So all nodes run on one host; from another, stamps look old.

Numbers for which there is no standard message travel as ``JointState`` (``name[]`` beside ``position[]``), as in
recordings: plotting tools show them under their names.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

BASE_FRAME, EE_FRAME = "base", "ee"
"""Frames of poses, twists and wrenches; ``/tf`` says where the one is in the other. A camera's frame has its name, and
looks along z with x to the right of its picture."""


@dataclass(frozen=True)
class Topic:
    """One row."""

    name: str
    type: str
    qos: Literal["newest", "every", "latched", "reliable"]
    """``newest``: best effort, depth 1. ``every``: reliable, depth 200. ``latched``: reliable, and for
    latecomers. ``reliable``: the newest, for a subscriber that asks for reliability."""
    publisher: str
    hz: float
    """Nominal rate; 0 for what is said when it happens."""
    says: str

    def of(self, camera: str) -> Topic:
        """The row as ``camera`` has it."""
        return Topic(self.name.format(camera=camera), self.type, self.qos, self.publisher, self.hz, self.says)


JOINTS, DIAGNOSTICS = "sensor_msgs/msg/JointState", "diagnostic_msgs/msg/DiagnosticArray"
POSE = "geometry_msgs/msg/PoseStamped"

IMAGE = Topic(
    "camera/{camera}/image_raw", "sensor_msgs/msg/Image", "newest", "camera", 30.0, "rgb8, as the policy sees it"
)
CAMERA_INFO = Topic(
    "camera/{camera}/camera_info", "sensor_msgs/msg/CameraInfo", "newest", "camera", 30.0, "how it maps, where known"
)
FRAME = Topic(
    "camera/{camera}/frame", JOINTS, "every", "camera", 30.0, "sequence and digest of the image of this stamp"
)
TELEOP = Topic(
    "teleop", "sensor_msgs/msg/Joy", "newest", "teleop", 100.0, "axes: twist; buttons: see standard_messages.py"
)
TICK = Topic("guard/tick", JOINTS, "every", "arm", 100.0, "all that was measured and executed in a tick")
STATUS = Topic("guard/status", DIAGNOSTICS, "latched", "arm", 0.0, "mode, reason, session, outcome of the last reset")
JOINT_STATES = Topic("joint_states", JOINTS, "every", "arm", 50.0, "joints and gripper_width")
EE_POSE = Topic("ee_pose", POSE, "every", "arm", 50.0, "measured end effector")
WRENCH = Topic("wrench", "geometry_msgs/msg/WrenchStamped", "every", "arm", 50.0, "external, base axes, about the tip")
TARGET = Topic("command", POSE, "every", "arm", 50.0, "the accepted target")
TF = Topic("/tf", "tf2_msgs/msg/TFMessage", "every", "arm", 50.0, "base → ee, where tf2_msgs is installed")
TF_STATIC = Topic(
    "/tf_static", "tf2_msgs/msg/TFMessage", "latched", "camera", 0.0, "base or ee → a calibrated camera, likewise"
)
COMMAND = Topic("guard/command", JOINTS, "every", "actor", 10.0, "a proposed target")
RESET_PLAN = Topic("guard/reset_plan", JOINTS, "every", "actor", 0.0, "poses to go to before an episode")
CLOCK = Topic("/clock", "rosgraph_msgs/msg/Clock", "newest", "twin or arm", 100.0, "the cell's clock")
HEALTH = Topic("/diagnostics", DIAGNOSTICS, "every", "all", 1.0, "how each node is")

PER_CAMERA = (IMAGE, CAMERA_INFO, FRAME)
TOPICS = (
    *PER_CAMERA,
    *(TELEOP, TICK, STATUS, JOINT_STATES, EE_POSE, WRENCH, TARGET, TF, TF_STATIC),
    *(COMMAND, RESET_PLAN, CLOCK, HEALTH),
)

CONTROLLER_TARGET = Topic(
    "controller/target_pose", POSE, "reliable", "arm", 100.0, "where the end effector is drawn to"
)
CONTROLLER_GRIPPER = Topic(
    "controller/gripper", "std_msgs/msg/Float64MultiArray", "reliable", "arm", 100.0, "distance between the fingers, m"
)
CONTROLLER_POSE = Topic("controller/current_pose", POSE, "newest", "controller", 100.0, "measured end effector")
CONTROLLER_JOINTS = Topic("controller/joint_states", JOINTS, "newest", "controller", 100.0, "positions and velocities")
CONTROLLER_WRENCH = Topic(
    "controller/wrench",
    "geometry_msgs/msg/WrenchStamped",
    "newest",
    "controller",
    100.0,
    "what the world does to the tool",
)
"""Between the arm's driver and ros2_control, where that drives the cell's arm: remap them to the controllers' names."""

TRIGGER, SET_BOOL = "std_srvs/srv/Trigger", "std_srvs/srv/SetBool"
GUARD_SERVICES = ("engage", "hold", "resume", "reset", "disarm", "recover", "end_episode")
"""``guard/NAME``, each a Trigger whose message says what was refused and why."""
EPISODE_SERVICES = {"episode/start": TRIGGER, "episode/stop": TRIGGER, "episode/label": SET_BOOL}
"""Of the actor. A label is true for success; it ends the episode."""


def recorded(cameras: Iterable[str]) -> list[Topic]:
    """All rows, those of ``cameras`` among them."""
    per_camera = [topic.of(camera) for camera in cameras for topic in PER_CAMERA]
    return [*per_camera, *(topic for topic in TOPICS if topic not in PER_CAMERA)]
