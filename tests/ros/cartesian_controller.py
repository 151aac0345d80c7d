"""Stands in for ros2_control: a Cartesian position controller and its broadcasters as a node of their own.

Its joints follow as in :mod:`tests.hardware.arms.ur_machine`; a target is held until the next. Its time passes at half
the pace of ours, is the stamp of what it says, and stops where a line ``until SECONDS`` on stdin has it wait. After
``mute KIND`` it says no more messages of that kind.
"""

from __future__ import annotations

import os
import select
import sys
import time
from array import array

import rclpy
from geometry_msgs.msg import PoseStamped, WrenchStamped
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray

from hardware.interfaces import Pose
from robot_rl_nodes import topics
from robot_rl_nodes.conversions import to_time
from robot_rl_nodes.ros import Spinning, qos, start
from tests.hardware.arms.ur_machine import STEP_S, Arm

PACE = 2.0
BASE = "base_link"


class CartesianController:
    def __init__(self, node) -> None:
        self.arm, self.time_s, self.until_s, self.width_m = Arm(), 0.0, float("inf"), 0.085
        self.arm.tcp = self.arm.tip_of_model
        self.wanted_m = self.width_m
        self.muted: set[str] = set()
        rows = (topics.CONTROLLER_POSE, topics.CONTROLLER_JOINTS, topics.CONTROLLER_WRENCH)
        kinds = (PoseStamped, JointState, WrenchStamped)
        self.says = [node.create_publisher(kind, row.name, qos(row)) for kind, row in zip(kinds, rows, strict=True)]
        for kind, row, take in (
            (PoseStamped, topics.CONTROLLER_TARGET, self.follow),
            (Float64MultiArray, topics.CONTROLLER_GRIPPER, self.grip),
        ):
            node.create_subscription(kind, row.name, take, qos(row))

    def follow(self, message: PoseStamped) -> None:
        place, turn = message.pose.position, message.pose.orientation
        pose = Pose((place.x, place.y, place.z), (turn.x, turn.y, turn.z, turn.w))
        self.arm.target, self.arm.servoing = self.arm.inverse(pose), True

    def grip(self, message: Float64MultiArray) -> None:
        self.wanted_m = message.data[0]

    def step(self) -> None:
        self.time_s += STEP_S
        self.arm.step()
        self.width_m += min(max(self.wanted_m - self.width_m, -0.0002), 0.0002)

    def say(self) -> None:
        stamp = to_time(self.time_s)
        pose, joints, wrench = PoseStamped(), JointState(), WrenchStamped()
        for message in (pose, joints, wrench):
            message.header.stamp, message.header.frame_id = stamp, BASE
        at, _ = self.arm.tool(self.arm.q)
        place, turn = pose.pose.position, pose.pose.orientation
        place.x, place.y, place.z = at.position_m
        turn.x, turn.y, turn.z, turn.w = at.quat_xyzw
        joints.name = ["finger", *(f"joint_{i}" for i in range(6, 0, -1))]  # In no order that one might count on.
        joints.position = array("d", [self.width_m, *self.arm.q[::-1].tolist()])
        joints.velocity = array("d", [0.0, *self.arm.qd[::-1].tolist()])
        wrench.header.frame_id = "tool0"
        wrench.wrench.force.z = 5.0  # Along the hand, which points down.
        for publisher, message in zip(self.says, (wrench, joints, pose)[::-1], strict=True):
            if type(message).__name__ not in self.muted:
                publisher.publish(message)


def main() -> None:
    start()
    node = rclpy.create_node("cartesian_controller")
    controller = CartesianController(node)
    spinning = Spinning(node)
    print("controlling", flush=True)
    heard, stepped_s = b"", time.monotonic()
    while True:
        while select.select([sys.stdin], [], [], max(0.0, stepped_s + PACE * STEP_S - time.monotonic()))[0]:
            said = os.read(sys.stdin.fileno(), 65536)
            if not said:
                spinning.close()
                return
            *whole, heard = (heard + said).split(b"\n")
            for line in whole:
                word, what = line.decode().split()
                if word == "until":
                    controller.until_s = float(what)
                else:
                    controller.muted.add(what)
        stepped_s = time.monotonic()
        if controller.time_s < controller.until_s:
            controller.step()
        controller.say()  # While it waits too: a message may be lost.


if __name__ == "__main__":
    main()
