"""The six servos of an SO-101 on their bus, by Feetech's SDK: one packet asks all, one tells all."""

from __future__ import annotations

import os
import time
from math import pi
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from hardware.arm_model import ArmModel
from hardware.arms.servoed import Controller
from hardware.cell import GripperSettings
from hardware.device_settings import ControllerSettings
from hardware.geometry import IDENTITY_POSE, pose_delta
from hardware.interfaces import ZERO6, ArmState, Pose, Vector6
from hardware.kinematics import jacobian

NAMES = ("shoulder pan", "shoulder lift", "elbow", "wrist flex", "wrist roll", "jaw")
"""In the order of their ids, from 1, as LeRobot has them."""
COUNTS = 4096
"""A turn."""
SIGNS = (-1.0, 1.0, 1.0, 1.0, -1.0)
ZEROS_RAD = (0.0, -1.3270, 1.2885, -1.5323, -1.5221)
"""The model's angles with each servo at the middle of its joint, as the published drawing has it."""
TORQUE_SHARE = 0.6
"""Of what a servo can: it bounds the force at the fingertips, to some 10 N with the arm stretched."""
_BAUD = 1_000_000
_MODEL = 777
_ACCELERATION, _GOAL, _TORQUE_LIMIT = 41, 42, 48
_TORQUE, _POSITION, _SPEED, _STATUS, _END = 40, 56, 58, 65, 71
_FAULTS = {1: "voltage", 2: "angle sensor", 4: "too hot", 8: "too much current", 32: "overload"}
_SILENT = 15
"""So many questions without an answer, half a second of them, are a lost bus."""
_TRIES = 10
"""For a first answer: the adapter may still hold somebody else's."""
_TURN_WEIGHT_M = 0.03
"""What a radian of turn counts for against metres of place: the arm cannot do both."""
_DAMPING = 1e-3
_MAX_STEP_RAD = 0.1


def sdk() -> Any:
    """Feetech's SDK; ``ConnectionError`` saying how to install it."""
    try:
        import scservo_sdk
    except ImportError as error:
        raise ConnectionError(f"SO-101 arms need scservo_sdk ({error}): pip install 'robot-rl[so101]'") from None
    return scservo_sdk


def connected_ports() -> str:
    """Serial ports of this computer by the names that stay, for people."""
    return ", ".join(sorted(map(str, Path("/dev/serial/by-id").glob("*")))) or "no serial ports"


class So101Bus(Controller):
    """Servos keep the last goal they were told, whatever becomes of whoever told it."""

    def __init__(self, settings: ControllerSettings, model: ArmModel, gripper: GripperSettings) -> None:
        if not settings.address:
            raise ConnectionError(
                "the arm has no address: set controller.address in the cell file (/dev/serial/by-id/...)"
            )
        scs = sdk()
        self.settings, self.time_s, self._gripper = settings, 0.0, gripper
        self._chain, self._joints = model.chain(IDENTITY_POSE), model.joints
        self._ids = tuple(range(1, len(NAMES) + 1))
        self._goal = np.zeros(len(model.joints))
        self._jaw_goal: int | None = None
        self._silent = 0
        self._seen: dict[int, bytes] = {}
        """The newest memory of each servo, from ``_TORQUE`` on."""
        self._talking = Lock()
        self._port, self._packets = scs.PortHandler(settings.address), scs.PacketHandler(0)
        try:
            self._port.setBaudRate(_BAUD)
            self._port.ser.timeout = 0.001  # The SDK asks without waiting, as fast as it can.
        except OSError as error:
            why = f"{os.strerror(error.errno)}; here are: {connected_ports()}" if error.errno else str(error)
            raise ConnectionError(f"SO-101 at {settings.address}: {why}") from None
        self._reader = scs.GroupSyncRead(self._port, self._packets, _TORQUE, _END - _TORQUE)
        for number, name in zip(self._ids, NAMES, strict=True):
            if not any(self._is_there(number) for _ in range(_TRIES)):
                self.close()
                raise ConnectionError(
                    f"SO-101 at {settings.address}: servo {number} ({name}) does not answer as an STS3215: power, plug?"
                )
            self._reader.addParam(number)

    def _is_there(self, number: int) -> bool:
        self._port.ser.reset_input_buffer()
        try:
            kind, result, _ = self._packets.ping(self._port, number)
        except IndexError:  # The SDK's word for an answer that is shorter than it must be.
            return False
        return bool(result == sdk().COMM_SUCCESS and kind == _MODEL)

    # -- states ------------------------------------------------------------------------------------------------------

    def news(self) -> bool:
        with self._talking:
            try:
                self._port.ser.reset_input_buffer()  # An answer that came too late is none to this question.
                answered = self._reader.txRxPacket() == sdk().COMM_SUCCESS
                told = {number: bytes(self._reader.data_dict[number]) for number in self._ids}
                answered = answered and all(len(memory) == _END - _TORQUE for memory in told.values())
                if answered:  # All of them: where one was silent the SDK has noughts.
                    self._seen = told
            except IndexError:
                answered = False
            except OSError as error:
                raise ConnectionError(f"SO-101 at {self.settings.address}: {error}") from None
        self._silent = 0 if answered else self._silent + 1
        if self._silent >= _SILENT:
            raise ConnectionError(f"SO-101 at {self.settings.address}: the bus is silent; power or cable?")
        if answered:
            self.time_s = time.monotonic()
        return answered

    def state(self, now: float) -> ArmState:
        joints, speeds = self._angles(), self._speeds()
        frames = self._chain.frames(joints.tolist())
        a, b, c, d, e, f = (np.array(jacobian(frames)).T @ speeds).tolist()
        twist: Vector6 = (a, b, c, d, e, f)
        closed, opened = self.settings.jaw_counts
        share = (self._word(self._ids[-1], _POSITION) - closed) / (opened - closed)
        span_m = self._gripper.open_width_m - self._gripper.closed_width_m
        return ArmState(
            stamp_s=now,
            T_base_ee=frames[-1].pose,
            ee_twist=twist,
            joint_positions_rad=tuple(joints.tolist()),
            joint_velocities_rad_s=tuple(speeds.tolist()),
            wrench=ZERO6,
            gripper_width_m=self._gripper.closed_width_m + share * span_m,
            stopped=self._trouble(),
        )

    def _trouble(self) -> str:
        for number, name in zip(self._ids, NAMES, strict=True):
            status = self._seen[number][_STATUS - _TORQUE]
            if status:
                faults = ", ".join(text for bit, text in _FAULTS.items() if status & bit)
                return f"servo {number} ({name}): {faults or f'status {status}'}"
            if not self._seen[number][0]:
                return f"servo {number} ({name}) holds nothing: it was switched off"
        return ""

    def _angles(self) -> np.ndarray:
        counts = np.array([self._word(number, _POSITION) for number in self._ids[:-1]])
        turned = (counts - np.array(self.settings.servo_middles)) * (2.0 * pi / COUNTS)
        return np.array(ZEROS_RAD) + np.array(SIGNS) * turned

    def _speeds(self) -> np.ndarray:
        counts = np.array([self._word(number, _SPEED) for number in self._ids[:-1]])
        return np.array(SIGNS) * counts * (2.0 * pi / COUNTS)

    def _word(self, number: int, address: int) -> int:
        """Sign and magnitude, as the servo has them."""
        value = int.from_bytes(self._seen[number][address - _TORQUE :][:2], "little")
        return -(value & 0x7FFF) if value & 0x8000 else value

    # -- goals -------------------------------------------------------------------------------------------------------

    def set_up(self) -> None:
        """Goals first, to where the joints are: holding moves nothing."""
        if not any(self.news() for _ in range(_TRIES)):
            raise ConnectionError(f"SO-101 at {self.settings.address}: the bus is silent; power or cable?")
        self._goal, self._jaw_goal = self._angles(), self._word(self._ids[-1], _POSITION)
        self._tell(_GOAL, self._goal_counts())
        self._tell(_TORQUE_LIMIT, [round(1000 * TORQUE_SHARE)] * len(self._ids))
        self._tell(_ACCELERATION, [254] * len(self._ids), size=1)
        self._tell(_TORQUE, [1] * len(self._ids), size=1)

    def servo(self, pose: Pose) -> None:
        """By damped least squares from the last goal; what cannot be had of the turn is left."""
        goal = self._goal
        for _ in range(3):
            frames = self._chain.frames(goal.tolist())
            weights = np.array([1.0] * 3 + [_TURN_WEIGHT_M] * 3)
            columns = np.array(jacobian(frames)).T * weights[:, None]
            error = np.array(pose_delta(frames[-1].pose, pose)) * weights
            square = columns.T @ columns + _DAMPING**2 * np.eye(len(goal))
            goal = goal + np.linalg.solve(square, columns.T @ error)
        goal = np.clip(goal, self._goal - _MAX_STEP_RAD, self._goal + _MAX_STEP_RAD)
        self._goal = np.clip(goal, [j.min_rad for j in self._joints], [j.max_rad for j in self._joints])
        self._tell(_GOAL, self._goal_counts())

    def keep_alive(self) -> None:
        """They have no watchdog."""

    def grip(self, width_m: float) -> None:
        """Told with the next target."""
        gripper, (closed, opened) = self._gripper, self.settings.jaw_counts
        share = (width_m - gripper.closed_width_m) / (gripper.open_width_m - gripper.closed_width_m)
        self._jaw_goal = round(closed + min(max(share, 0.0), 1.0) * (opened - closed))

    def restart(self) -> None:
        self.set_up()

    def close(self) -> None:
        """Servos go on holding: switched off, the arm would fall."""
        if self._port.ser is not None:
            self._port.closePort()

    def _goal_counts(self) -> list[int]:
        turned = (self._goal - np.array(ZEROS_RAD)) * np.array(SIGNS)
        counts = np.array(self.settings.servo_middles) + turned * (COUNTS / (2.0 * pi))
        return [*np.round(counts).astype(int).tolist(), self._jaw_goal or 0]

    def _tell(self, address: int, values: list[int], size: int = 2) -> None:
        """One packet for all; none answers."""
        scs = sdk()
        with self._talking:
            writer = scs.GroupSyncWrite(self._port, self._packets, address, size)
            for number, value in zip(self._ids, values, strict=True):
                writer.addParam(number, list(value.to_bytes(size, "little")))
            try:
                writer.txPacket()
            except OSError as error:
                raise ConnectionError(f"SO-101 at {self.settings.address}: {error}") from None
