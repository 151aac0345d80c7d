"""A UR that is not there: the controller's ports as its vendor documents them, for the real ur_rtde to talk to.

Dashboard (29999), script (30001 to 30003), Real-Time Data Exchange (30004) and the Robotiq URCap's socket (63352), all
on the address given. Its time passes at half the pace of ours, and slower yet while a client that should send does
not: on a busy machine only one that is really silent trips the watchdog.

Lines on stdin: ``protective``, ``emergency``, ``released`` (the button), ``push N`` (a force along z), ``deactivate``
(the gripper), ``until SECONDS`` (of its time: from there on it hardly passes).
"""

from __future__ import annotations

import os
import selectors
import socket
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import TextIO

import numpy as np

from hardware.geometry import rotvec_from_quat
from tests.hardware.arms.ur_machine import STEP_S, Arm, Program

PACE, LATE, WAITING = 2.0, 15.0, 100.0
LATE_S = 0.014
"""A client that should send and has not for so long is late."""
TYPES = {
    **dict.fromkeys(("timestamp", "actual_execution_time", "speed_scaling", "target_speed_fraction"), "DOUBLE"),
    **dict.fromkeys(("actual_digital_input_bits", "actual_digital_output_bits"), "UINT64"),
    **dict.fromkeys(("robot_status_bits", "safety_status_bits", "runtime_state"), "UINT32"),
    **dict.fromkeys(("robot_mode", "safety_mode"), "INT32"),
    "joint_mode": "VECTOR6INT32",
    **dict.fromkeys(("actual_tool_accelerometer", "payload_cog"), "VECTOR3D"),
    "speed_slider_mask": "UINT32",
    **dict.fromkeys(("standard_digital_output", "standard_digital_output_mask"), "UINT8"),
}
VECTORS = (
    "_q",
    "_qd",
    "_qdd",
    "_pose",
    "_speed",
    "_force",
    "_output",
    "_temperatures",
    "_current",
    "_moment",
    "_wrench",
)
FORMATS = {"DOUBLE": "d", "UINT64": "Q", "UINT32": "I", "INT32": "i", "UINT8": "B", "BOOL": "?"}
FORMATS |= {"VECTOR6D": "6d", "VECTOR3D": "3d", "VECTOR6INT32": "6i"}
NORMAL, PROTECTIVE_STOP, EMERGENCY_STOP = 1, 3, 7
STOPPED, PLAYING = 1, 2


def type_of(name: str) -> str:
    if "_int_register_" in name:
        return "INT32"
    known = TYPES.get(name)
    return known or ("VECTOR6D" if name.endswith(VECTORS) else "DOUBLE")


@dataclass
class Client:
    """One connection to port 30004."""

    buffer: bytes = b""
    outputs: list[str] = field(default_factory=list)
    inputs: dict[int, list[str]] = field(default_factory=dict)
    started: bool = False


class Controller:
    """Ports, safety, program, arm, gripper."""

    def __init__(self, address: str) -> None:
        self.address, self.selector = address, selectors.DefaultSelector()
        self.arm = Arm()
        self.program = Program(self.arm, lambda text: print(text, flush=True))
        self.time_s, self.until_s, self.safety, self.force_z_n = 0.0, inf, NORMAL, 0.0
        self.stopped_s = 0.0
        self.integers: dict[int, int] = {}
        self.reals: dict[int, float] = {}
        self.script, self.wishes, self.clients = "", b"", {}
        self.gripper = {"ACT": 1, "STA": 3, "POS": 3, "PRE": 3, "GTO": 1, "SPE": 255, "FOR": 150, "OBJ": 3, "FLT": 0}
        self.position = 3.0
        for port, greet in ((29999, self.dashboard), (30001, self.load), (30002, self.load), (30003, self.load)):
            self.listen(port, greet)
        self.listen(30004, self.exchange)
        self.listen(63352, self.grip)

    def listen(self, port: int, handle: Callable[[socket.socket, bytes], None]) -> None:
        server = socket.create_server((self.address, port), backlog=8)
        self.selector.register(server, selectors.EVENT_READ, (self.accept, handle))

    def accept(self, server: socket.socket, handle: Callable[[socket.socket, bytes], None]) -> None:
        client, _ = server.accept()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.selector.register(client, selectors.EVENT_READ, (self.receive, handle))
        if handle == self.dashboard:
            client.sendall(b"Connected: Universal Robots Dashboard Server\n")
        if handle == self.exchange:
            self.clients[client] = Client()

    def receive(self, client: socket.socket, handle: Callable[[socket.socket, bytes], None]) -> None:
        try:
            data = client.recv(65536)
        except OSError:
            data = b""
        if data:
            handle(client, data)
        else:
            self.drop(client)

    def drop(self, client: socket.socket) -> None:
        self.clients.pop(client, None)
        self.selector.unregister(client)
        client.close()

    # -- dashboard, script, gripper ----------------------------------------------------------------------------------

    def dashboard(self, client: socket.socket, data: bytes) -> None:
        for line in data.decode().splitlines():
            client.sendall(f"{self.answer(line)}\n".encode())

    def answer(self, line: str) -> str:
        if line == "unlock protective stop":
            if self.safety != PROTECTIVE_STOP:
                return "Protective stop releasing"
            if self.time_s - self.stopped_s < 0.5:  # The real one wants 5 s.
                return (
                    "Cannot unlock protective stop until 5s after occurrence. Always inspect cause of protective stop"
                )
            self.safety = NORMAL
            return "Protective stop releasing"
        if line == "stop":
            self.program.end("the dashboard's stop")
            return "Stopped"
        known = {
            "is in remote control": "true",
            "PolyscopeVersion": "URSoftware 5.12.2.1101534 (Jul 06 2022)",
            "close safety popup": "closing safety popup",
            "get serial number": "20225500001",
            "get robot model": "UR5",
            "robotmode": "Robotmode: RUNNING",
        }
        return known.get(line, f"could not understand: {line!r}")

    def load(self, _: socket.socket, data: bytes) -> None:
        self.script += data.decode(errors="replace")
        if "\nend\n" in self.script and self.script.rstrip().endswith("end"):
            known = "rtde_set_watchdog" in self.script and "get_inverse_kin(pose)" in self.script
            print("script loaded" if known else "script of another kind", flush=True)
            self.script = ""
            if self.safety == NORMAL:
                self.program.start()

    def grip(self, client: socket.socket, data: bytes) -> None:
        for line in data.decode().splitlines():
            verb, *words = line.split()
            if verb == "GET":
                client.sendall(f"{words[0]} {self.gripper.get(words[0], '?')}\n".encode())
            elif verb == "SET":
                for name, value in zip(words[::2], words[1::2], strict=True):
                    self.gripper["PRE" if name == "POS" else name] = int(value)
                client.sendall(b"ack\n")

    # -- Real-Time Data Exchange -------------------------------------------------------------------------------------

    def exchange(self, client: socket.socket, data: bytes) -> None:
        state = self.clients[client]
        state.buffer += data
        while len(state.buffer) >= 3:
            size, kind = struct.unpack(">HB", state.buffer[:3])
            if len(state.buffer) < size:
                return
            payload, state.buffer = state.buffer[3:size], state.buffer[size:]
            reply = self.package(state, chr(kind), payload)
            if reply is not None:
                client.sendall(struct.pack(">HB", 3 + len(reply), kind) + reply)

    def package(self, state: Client, kind: str, payload: bytes) -> bytes | None:
        if kind == "V":
            return b"\x01" if struct.unpack(">H", payload) == (2,) else b"\x00"
        if kind == "v":
            return struct.pack(">4I", 5, 12, 2, 1101534)
        if kind == "O":
            state.outputs = [name for name in payload[8:].decode().split(",") if name]
            return b"\x01" + ",".join(map(type_of, state.outputs)).encode()
        if kind == "I":
            number = len(state.inputs) + 1
            state.inputs[number] = [name for name in payload.decode().split(",") if name]
            return bytes([number]) + ",".join(map(type_of, state.inputs[number])).encode()
        if kind == "S":
            state.started = True
            return b"\x01"
        if kind == "U":
            self.take(state.inputs[payload[0]], payload[1:])
        return None

    def take(self, names: list[str], payload: bytes) -> None:
        values = struct.unpack(">" + "".join(FORMATS[type_of(name)] for name in names), payload)
        for name, value in zip(names, values, strict=True):
            number = int(name.rsplit("_", 1)[-1]) if "_register_" in name else -1
            (self.integers if "_int_" in name else self.reals)[number] = value
            if name == "input_int_register_0":
                self.program.silent_s = 0.0

    def measured(self) -> dict[str, object]:
        pose, columns = self.arm.tool(self.arm.q)
        flags = 1 | 2 * self.program.running
        safety = {NORMAL: 1, PROTECTIVE_STOP: 4, EMERGENCY_STOP: 1 << 7 | 1 << 8}[self.safety]
        return {
            "timestamp": self.time_s,
            "robot_mode": 7 if self.safety != EMERGENCY_STOP else 3,
            "safety_mode": self.safety,
            "runtime_state": PLAYING if self.program.running else STOPPED,
            "robot_status_bits": flags,
            "safety_status_bits": safety,
            "actual_q": self.arm.q,
            "actual_qd": self.arm.qd,
            "actual_TCP_pose": (*pose.position_m, *rotvec_from_quat(pose.quat_xyzw)),
            "actual_TCP_speed": columns @ self.arm.qd,
            "actual_TCP_force": (0.0, 0.0, self.force_z_n, 0.0, 0.0, 0.0),
            "output_int_register_0": self.program.ready,
        }

    def send(self) -> None:
        values = self.measured()
        for client, state in list(self.clients.items()):
            if not state.started:
                continue
            packed = b"\x01"
            for name in state.outputs:
                kind = FORMATS[type_of(name)]
                value = np.ravel(values.get(name, np.zeros(int(kind[0]) if len(kind) > 1 else 1)))
                whole = kind[-1] not in "d"
                packed += struct.pack(">" + kind, *(int(v) if whole else float(v) for v in value))
            try:
                client.sendall(struct.pack(">HB", 3 + len(packed), ord("U")) + packed)
            except OSError:
                self.drop(client)

    # -- time --------------------------------------------------------------------------------------------------------

    def step(self) -> None:
        self.time_s += STEP_S
        self.program.step(self.integers, self.reals)
        self.arm.step()
        way = np.clip(self.gripper["PRE"] - self.position, -1.0, 1.0)
        self.position += float(way)
        self.gripper["POS"] = round(self.position)
        self.send()

    def obey(self, wish: str) -> None:
        word, _, rest = wish.partition(" ")
        if word in ("protective", "emergency"):
            self.safety = PROTECTIVE_STOP if word == "protective" else EMERGENCY_STOP
            self.stopped_s = self.time_s
            self.program.end(f"{word} stop")
        elif word == "released":
            self.safety = NORMAL
        elif word == "push":
            self.force_z_n = float(rest)
        elif word == "until":
            self.until_s = float(rest)
        elif word == "deactivate":
            self.gripper["STA"] = 0

    @property
    def pace(self) -> float:
        """Our seconds a second of the controller's."""
        if self.time_s > self.until_s + 0.5 * STEP_S:
            return WAITING
        return LATE if self.program.running and self.program.silent_s > LATE_S else PACE

    def run(self) -> None:
        self.selector.register(sys.stdin, selectors.EVENT_READ, (self.hear, ""))
        stepped_s = time.monotonic()
        while True:
            while ready := self.selector.select(max(0.0, stepped_s + self.pace * STEP_S - time.monotonic())):
                for key, _ in ready:
                    handle, argument = key.data
                    handle(key.fileobj, argument)
            stepped_s = time.monotonic()
            self.step()

    def hear(self, stdin: TextIO, _: str) -> None:
        said = os.read(stdin.fileno(), 65536)
        if not said:
            sys.exit()  # Whoever started it is gone.
        self.wishes += said
        *whole, self.wishes = self.wishes.split(b"\n")
        for wish in whole:
            self.obey(wish.decode())


def main() -> None:
    controller = Controller(sys.argv[1])
    print("listening", flush=True)
    controller.run()


if __name__ == "__main__":
    main()
