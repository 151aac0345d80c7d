"""An arm behind ros2_control: a Cartesian controller follows a pose on a topic, broadcasters tell where the arm is.

* **Topics**: the rows ``CONTROLLER_*`` of :mod:`robot_rl_nodes.topics`, to be remapped to the controllers' own names.
* **Watchdog (S3)**: the controller has to stop the arm by itself 0.1 s after the last target. One that holds the last
  target does so, short of a press; one that goes on with a speed does not and must not be used. References that stop
  while this process lives: a thread of the driver makes the arm stop where it is.
* **Frames**: ``current_pose`` and ``target_pose`` in the base's frame, of the point where the arm's model has its end
  effector: compared with the joints when connecting. A wrench in another frame than the base's is taken for the end
  effector's axes. It must be what the world does to the tool.
* **Recovery (S12)**: none by these topics. A controller that is switched off sends no pose, and that is a lost link.
"""

from __future__ import annotations

import logging
from array import array
from pathlib import Path
from threading import Event
from typing import Any, cast

import numpy as np
from geometry_msgs.msg import PoseStamped, WrenchStamped
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray

from hardware.arm_model import load_arm_model
from hardware.arms.servoed import Controller, ServoedArm
from hardware.cell import Cell
from hardware.clock import RealClock
from hardware.devices import Devices
from hardware.drivers import camera, teleop
from hardware.geometry import IDENTITY_POSE, pose_distance, quat_normalize, quat_rotate, vector6
from hardware.interfaces import ArmState, Pose, Vector6
from hardware.kinematics import jacobian
from robot_rl_nodes import topics
from robot_rl_nodes.conversions import from_time, to_time
from robot_rl_nodes.ros import Spinning, qos, start
from robot_rl_nodes.standard_messages import GRIPPER_WIDTH

_LOG = logging.getLogger(__name__)
_FIRST_S = 10.0
_OFF_M, _OFF_RAD = 0.02, 0.1
_DEAF_S = 0.5
"""Nothing on a topic for this long: who sends it is gone."""


class TopicController(Controller):
    """The controller and its broadcasters, over topics."""

    def __init__(self, cell: Cell) -> None:
        start()
        import rclpy

        self.time_s, self._cell = 0.0, cell
        model = load_arm_model(cell.arm)
        self._chain, self._names = model.chain(IDENTITY_POSE), cell.controller.joint_names
        if len(self._names) != len(model.joints):
            raise ConnectionError(
                f"controller.joint_names has {len(self._names)} entries; {cell.arm} has {len(model.joints)} joints"
            )
        self._clock = RealClock()
        self._pose: PoseStamped | None = None
        self._joints: dict[str, tuple[float, float]] = {}
        self._wrench: WrenchStamped | None = None
        self._arrived = Event()
        self._heard: dict[topics.Topic, float] = {}
        """When each was last heard; one that never was, a wrench say, is not missed."""
        node = self._node = rclpy.create_node("ros2_control_arm")
        self._target = node.create_publisher(PoseStamped, *_of(topics.CONTROLLER_TARGET))
        self._gripper = node.create_publisher(Float64MultiArray, *_of(topics.CONTROLLER_GRIPPER))
        for message, topic, take in (
            (PoseStamped, topics.CONTROLLER_POSE, self._take_pose),
            (JointState, topics.CONTROLLER_JOINTS, self._take_joints),
            (WrenchStamped, topics.CONTROLLER_WRENCH, self._take_wrench),
        ):
            name, quality = _of(topic)
            node.create_subscription(message, name, take, quality)
        self._spinning = Spinning(node)

    # -- what it hears -----------------------------------------------------------------------------------------------

    def _take_pose(self, message: PoseStamped) -> None:
        self._pose, self._heard[topics.CONTROLLER_POSE] = message, self._clock.now()
        self._arrived.set()

    def _take_joints(self, message: JointState) -> None:
        if GRIPPER_WIDTH in message.name:  # The arm node's own, where a remap brings both to one topic.
            return
        self._heard[topics.CONTROLLER_JOINTS] = self._clock.now()
        speeds = message.velocity or array("d", [0.0] * len(message.name))
        self._joints = {
            **self._joints,
            **dict(zip(message.name, zip(message.position, speeds, strict=True), strict=True)),
        }

    def _take_wrench(self, message: WrenchStamped) -> None:
        self._wrench, self._heard[topics.CONTROLLER_WRENCH] = message, self._clock.now()

    def _missing(self) -> str:
        """What has not come yet; empty where all is here."""
        if self._pose is None:
            return topics.CONTROLLER_POSE.name
        absent = [name for name in self._names if name not in self._joints]
        return f"{', '.join(absent)} on {topics.CONTROLLER_JOINTS.name}" if absent else ""

    # -- Controller --------------------------------------------------------------------------------------------------

    def set_up(self) -> None:
        deadline_s = self._clock.now() + _FIRST_S
        while (missing := self._missing()) and self._clock.now() < deadline_s:
            self._arrived.wait(0.05)
        if missing:
            raise ConnectionError(f"nobody sends {missing}; is the controller active, and the topic remapped?")
        if self._wrench is None:
            _LOG.warning("nothing on %s: force is not limited (S8)", topics.CONTROLLER_WRENCH.name)
        state = self.state(self._clock.now())
        by_joints = self._chain.frames(state.joint_positions_rad)[-1].pose
        metres, radians = pose_distance(state.T_base_ee, by_joints)
        if metres > _OFF_M or radians > _OFF_RAD:
            raise ConnectionError(
                f"the controller's pose is {1000 * metres:.0f} mm and {radians:.2f} rad from where hardware/arm_models/"
                f"{self._cell.arm}.toml has the end effector: set the controller's end effector and base, or that file"
            )

    def news(self) -> bool:
        if self._pose is None:
            return False
        now = self._clock.now()
        for topic, heard_s in list(self._heard.items()):  # Old joints or forces would blind the guard.
            if now - heard_s > _DEAF_S:
                raise ConnectionError(f"nothing on {topic.name} for {_DEAF_S:g} s; is its controller still active?")
        arrived = self._arrived.is_set() and not self._missing()
        self._arrived.clear()
        return arrived

    def state(self, now: float) -> ArmState:
        pose, joints = cast(PoseStamped, self._pose), [self._joints[name] for name in self._names]
        self.time_s = from_time(pose.header.stamp)
        positions, speeds = zip(*joints, strict=True)
        columns = np.array(jacobian(self._chain.frames(positions))).T
        ee = _pose(pose)
        width_m = self._joints.get(self._cell.controller.gripper_joint, (self._cell.gripper.open_width_m, 0.0))[0]
        return ArmState(
            stamp_s=now,
            T_base_ee=ee,
            ee_twist=vector6(columns @ np.array(speeds)),
            joint_positions_rad=tuple(positions),
            joint_velocities_rad_s=tuple(speeds),
            wrench=self._cell.controller.unbiased(self._felt(ee, pose.header.frame_id)),
            gripper_width_m=width_m,
        )

    def _felt(self, ee: Pose, base: str) -> Vector6:
        message = self._wrench
        if message is None:
            return vector6([0.0] * 6)
        force, torque = message.wrench.force, message.wrench.torque
        vectors = ((force.x, force.y, force.z), (torque.x, torque.y, torque.z))
        if message.header.frame_id != base:
            vectors = (quat_rotate(ee.quat_xyzw, vectors[0]), quat_rotate(ee.quat_xyzw, vectors[1]))
        return vector6([*vectors[0], *vectors[1]])

    def servo(self, pose: Pose) -> None:
        message = PoseStamped()
        message.header.stamp = to_time(self._clock.now())
        message.header.frame_id = cast(PoseStamped, self._pose).header.frame_id
        place, turn = message.pose.position, message.pose.orientation
        place.x, place.y, place.z = pose.position_m
        turn.x, turn.y, turn.z, turn.w = pose.quat_xyzw
        self._target.publish(message)

    def keep_alive(self) -> None:
        """A controller that counts silence as loss is to hold, as it does when disarmed."""

    def grip(self, width_m: float) -> None:
        self._gripper.publish(Float64MultiArray(data=array("d", [float(width_m)])))

    def restart(self) -> None:
        """Nothing that these topics could undo."""

    def close(self) -> None:
        self._spinning.close()


class Ros2ControlArm(ServoedArm):
    """Implements :class:`hardware.interfaces.Arm`."""

    name = "ros2_control"

    def _open(self) -> TopicController:
        """:meth:`connect` raises ``ConnectionError`` where no controller answers, or its end effector is elsewhere."""
        return TopicController(self.cell)


def devices(cell: Cell, folder: Path) -> Devices:
    """For a cell file: ``devices = "robot_rl_nodes.ros2_control_arm:devices"``."""
    clock = RealClock()
    cameras = {name: camera(cell, name, clock) for name in cell.cameras}
    return Devices(Ros2ControlArm(cell, clock), teleop(cell, clock), cameras, clock)


def _of(topic: topics.Topic) -> tuple[str, Any]:
    return topic.name, qos(topic)


def _pose(message: PoseStamped) -> Pose:
    place, turn = message.pose.position, message.pose.orientation
    return Pose((place.x, place.y, place.z), quat_normalize((turn.x, turn.y, turn.z, turn.w)))
