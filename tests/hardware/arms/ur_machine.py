"""A UR's joints, and the program on its controller, for :mod:`tests.hardware.arms.ur_server`.

The script that ur_rtde uploads is not interpreted: :class:`Program` plays its part, as the script's source has it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hardware.arm_model import load_arm_model
from hardware.geometry import IDENTITY_POSE, pose_delta, pose_inverse, pose_multiply, quat_from_rotvec
from hardware.interfaces import Pose
from hardware.kinematics import jacobian

STEP_S = 0.002
HOME = (3.1416, -1.5708, 1.5708, -1.5708, -1.5708, 0.0)


class Arm:
    """Six joints that follow ``servoj`` as its documentation describes: where the joint would be ``lookahead`` from now
    is drawn to the target by ``gain``."""

    def __init__(self) -> None:
        self.chain = load_arm_model("ur5e").chain(IDENTITY_POSE)
        self.tip_of_model = load_arm_model("ur5e").tip
        self.q, self.qd = np.array(HOME), np.zeros(6)
        self.target, self.lookahead_s, self.gain = self.q.copy(), 0.1, 300.0
        self.tcp = IDENTITY_POSE
        self.servoing = False

    def step(self) -> None:
        if self.servoing:
            pull = self.gain * (self.target - self.q - self.lookahead_s * self.qd)
        else:
            pull = np.clip(-self.qd / STEP_S, -5.0, 5.0)
        self.qd = self.qd + np.clip(pull, -30.0, 30.0) * STEP_S
        self.q = self.q + self.qd * STEP_S

    def tool(self, q: np.ndarray) -> tuple[Pose, np.ndarray]:
        """``T_base_tcp`` and its Jacobian (6, 6)."""
        frames = self.chain.frames(q.tolist())
        ee = frames[-1].pose
        pose = pose_multiply(pose_multiply(ee, pose_inverse(self.tip_of_model)), self.tcp)
        columns = np.array(jacobian(frames)).T
        way = np.subtract(pose.position_m, ee.position_m)
        columns[:3] += np.cross(columns[3:].T, way).T
        return pose, columns

    def inverse(self, pose: Pose) -> np.ndarray:
        q = self.target.copy() if self.servoing else self.q.copy()
        for _ in range(20):
            at, columns = self.tool(q)
            delta = np.array(pose_delta(at, pose))
            if np.linalg.norm(delta) < 1e-10:
                return q
            q = q + np.linalg.lstsq(columns, delta, rcond=None)[0]
        raise ValueError("get_inverse_kin: no solution")


@dataclass
class Program:
    """What the uploaded script does with its registers, cycle by cycle."""

    arm: Arm
    say: Callable[[str], None]
    running: bool = False
    ready: int = 0
    """``output_int_register_0``: 1 ready for a command, 2 done with it."""
    min_hz: float = 0.0
    silent_s: float = 0.0
    payload_kg: float = 0.0
    executing: bool = False

    def start(self) -> None:
        self.running, self.ready, self.min_hz, self.executing = True, 1, 0.0, False

    def end(self, why: str) -> None:
        if self.running:
            self.say(f"program ended: {why}")
        self.running, self.arm.servoing = False, False

    def step(self, integers: dict[int, int], reals: dict[int, float]) -> None:
        self.silent_s += STEP_S
        if not self.running:
            return
        if self.min_hz and self.silent_s > 1.0 / self.min_hz:
            self.end(f"watchdog after {self.silent_s:.3f} s")
            return
        command = integers.get(0, 0)
        if command == 24:
            self.servo([reals[i] for i in range(11)])
            self.ready = 1
        elif command == 0:
            self.executing, self.ready = False, 1
        elif not self.executing:
            self.once(command, reals)
            self.executing, self.ready = True, 2

    def servo(self, values: list[float]) -> None:
        try:
            target = self.arm.inverse(pose_of(values[:6]))
        except ValueError as error:
            self.end(str(error))
            return
        self.arm.target, self.arm.servoing = target, True
        self.arm.lookahead_s, self.arm.gain = values[9], values[10]

    def once(self, command: int, reals: dict[int, float]) -> None:
        if command == 16:
            self.arm.servoing = False
        elif command == 29:
            self.arm.tcp = pose_of([reals[i] for i in range(6)])
        elif command == 17:
            self.payload_kg = reals[0]
            self.say(f"payload {self.payload_kg:g} kg at {reals[1]:g} {reals[2]:g} {reals[3]:g}")
        elif command == 35:
            self.min_hz = reals[0]
            self.say(f"watchdog at {self.min_hz:g} Hz")
        elif command == 255:
            self.end("told to")
        else:
            self.say(f"unknown command {command}")


def pose_of(values: list[float]) -> Pose:
    x, y, z, a, b, c = values
    return Pose((x, y, z), quat_from_rotvec((a, b, c)))
