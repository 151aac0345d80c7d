"""The driver that reaches the twin's arm in a process of its own, as a real arm's driver reaches its controller box.

The controller (:mod:`sim.arm_server`) runs the physics in real time and streams the arm's state; whoever drives streams
references. Both are packets of float64 over a local socket. The controller's watchdog lives there, so that it stops the
arm whatever becomes of the process that drove it (S3). Stamps are of the machine's monotonic clock.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import replace
from pathlib import Path

from hardware import drivers
from hardware.cell import Cell
from hardware.clock import RealClock
from hardware.device_settings import ControllerSettings
from hardware.devices import Devices
from hardware.interfaces import Arm, ArmReference, ArmState, Pose

SOCKET = "arm.sock"
"""Name of the controller's socket in the folder that it shares with the guard."""
WATCHDOG_S = 0.1
_JOINTS = 7
REFERENCE = struct.Struct("<14d")
STATE = struct.Struct(f"<{1 + 7 + 6 + 2 * _JOINTS + 6 + 1}d")


def pack_reference(reference: ArmReference) -> bytes:
    """Pose (position, quaternion xyzw), twist, gripper width."""
    pose = reference.T_base_ee
    return REFERENCE.pack(*pose.position_m, *pose.quat_xyzw, *reference.twist, reference.gripper_width_m)


def unpack_reference(packet: bytes) -> ArmReference:
    """Raises ``struct.error`` for a packet of another length."""
    numbers = REFERENCE.unpack(packet)
    return ArmReference(Pose(numbers[:3], numbers[3:7]), numbers[7:13], numbers[13])


def pack_state(state: ArmState, stamp_s: float) -> bytes:
    """Stamp (``stamp_s``, not the world's own), pose, twist, joint positions and velocities, wrench, gripper width."""
    pose, joints, rates = state.T_base_ee, state.joint_positions_rad, state.joint_velocities_rad_s
    numbers = (*pose.position_m, *pose.quat_xyzw, *state.ee_twist, *joints, *rates, *state.wrench)
    return STATE.pack(stamp_s, *numbers, state.gripper_width_m)


def unpack_state(packet: bytes) -> ArmState:
    """Raises ``struct.error`` for a packet of another length."""
    numbers = STATE.unpack(packet)
    return ArmState(
        stamp_s=numbers[0],
        T_base_ee=Pose(numbers[1:4], numbers[4:8]),
        ee_twist=numbers[8:14],
        joint_positions_rad=numbers[14:21],
        joint_velocities_rad_s=numbers[21:28],
        wrench=numbers[28:34],
        gripper_width_m=numbers[34],
    )


class RemoteArm(Arm):
    """Implements :class:`hardware.interfaces.Arm` over the socket of a running :mod:`sim.arm_server`."""

    def __init__(self, path: Path, timeout_s: float = 1.0, settings: ControllerSettings = ControllerSettings()):
        """``path``: the controller's socket. ``timeout_s``: how long to wait for the first state. ``settings``: of them
        the twin has the wrench's bias."""
        self.path, self._timeout_s, self._settings = path, timeout_s, settings
        self._socket: socket.socket | None = None
        self._state: ArmState | None = None

    @property
    def watchdog_s(self) -> float:
        return WATCHDOG_S

    def connect(self) -> None:
        """Raises ``ConnectionError`` where no controller listens, or it is driven by another process already."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.settimeout(self._timeout_s)
        try:
            self._socket.connect(str(self.path))
            packet = self._socket.recv(STATE.size)
        except OSError as error:
            self.close()
            raise ConnectionError(
                f"no twin answers at {self.path} ({error.strerror or error}); start one with `robot-rl twin`"
            ) from None
        if not packet:
            self.close()
            raise ConnectionError(f"the twin at {self.path} is driven by another process; end that one first")
        self._state = unpack_state(packet)
        self._socket.setblocking(False)

    def read(self) -> ArmState:
        """The newest state; its stamp says how old it is."""
        link = self._link()
        while True:
            try:
                packet = link.recv(STATE.size)
            except BlockingIOError:
                break
            if not packet:
                raise ConnectionError(f"the twin at {self.path} is gone; start it again and restart the guard")
            self._state = unpack_state(packet)
        assert self._state is not None  # connect() has waited for one
        return replace(self._state, wrench=self._settings.unbiased(self._state.wrench))

    def command(self, reference: ArmReference) -> None:
        try:
            self._link().send(pack_reference(reference))
        except BlockingIOError:  # It does not read: its watchdog stops the arm.
            pass
        except OSError as error:
            raise ConnectionError(f"the twin at {self.path} is gone ({error.strerror or error})") from None

    def recover(self) -> None:
        """The twin's controller has no errors of its own to clear."""

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _link(self) -> socket.socket:
        if self._socket is None:
            raise ConnectionError(f"the twin at {self.path} is not connected")
        return self._socket


def devices(cell: Cell, folder: Path) -> Devices:
    """The twin's cell as separate processes: named by ``devices`` in its file. ``folder`` is where the twin listens. A
    teleop device that the file names is the real one."""
    clock = RealClock()
    arm = RemoteArm(folder / SOCKET, settings=cell.controller)
    return Devices(arm, teleop=drivers.teleop(cell, clock), cameras={}, clock=clock)
