"""Six STS3215 servos behind a pseudo-terminal, for Feetech's real SDK to talk to.

They answer ping, read, write and the two for many servos at once, as the protocol's manual has it. A servo goes to its
goal by a first-order lag. Their time passes with the questions: each that asks all of them takes 4 ms of it, 8 ms of
ours, so that an arm whose driver is slow on a busy machine is slow in its own time too.
"""

from __future__ import annotations

import os
import time
from math import inf
from threading import Event, Thread

import numpy as np

IDS = range(1, 7)
STEP_S, PACE = 0.004, 2.0
LAG_S = 0.1
TORQUE, GOAL, POSITION, SPEED, STATUS = 40, 42, 56, 58, 65
PING, READ, WRITE, SYNC_READ, SYNC_WRITE = 1, 2, 3, 0x82, 0x83


class ServoBus:
    """Keep it open as long as the arm is used; ``path`` is the port."""

    def __init__(self, counts: list[float]) -> None:
        """``counts``: where the six servos stand."""
        self._hand, terminal = os.openpty()
        self.path = os.ttyname(terminal)
        self._terminal = terminal
        self.memory = {number: bytearray(128) for number in IDS}
        self.counts, self.speeds = np.array(counts, float), np.zeros(len(IDS))
        self.controller_s, self.until_s = 0.0, inf
        self.dead: set[int] = set()
        """Servos that answer nothing."""
        self._buffer = b""
        self._stop = Event()
        for number, memory in self.memory.items():
            memory[3:5] = (777).to_bytes(2, "little")
            memory[5] = number
        self._write_back()
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def do(self, wish: str) -> None:
        """``until SECONDS`` of its time: there it stops."""
        self.until_s = float(wish.split()[1])

    def close(self) -> None:
        """The last of the terminal's users ends the thread's reading; only then is its own end closed."""
        self._stop.set()
        os.close(self._terminal)
        self._thread.join(2.0)
        os.close(self._hand)

    def goal(self, number: int) -> int:
        return int.from_bytes(self.memory[number][GOAL : GOAL + 2], "little")

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._buffer += os.read(self._hand, 4096)
            except OSError:
                return
            while (packet := self._next()) is not None:
                self._take(*packet)

    def _next(self) -> tuple[int, int, bytes] | None:
        """Id, instruction and parameters of a whole packet, cut off the buffer."""
        start = self._buffer.find(b"\xff\xff")
        if start < 0 or len(self._buffer) < start + 4 or len(self._buffer) < start + 4 + self._buffer[start + 3]:
            return None
        number, length = self._buffer[start + 2 : start + 4]
        body = self._buffer[start + 2 : start + 4 + length]
        self._buffer = self._buffer[start + 4 + length :]
        assert ~sum(body[:-1]) & 0xFF == body[-1], "the SDK sent a wrong checksum"
        return number, body[2], bytes(body[3:-1])

    def _take(self, number: int, instruction: int, parameters: bytes) -> None:
        if instruction == SYNC_WRITE:
            address, size = parameters[:2]
            for at in range(2, len(parameters), size + 1):
                self._store(parameters[at], address, parameters[at + 1 : at + 1 + size])
        elif instruction == SYNC_READ:
            self._pass()
            address, size = parameters[:2]
            for one in parameters[2:]:
                self._answer(one, bytes(self.memory[one][address : address + size]))
        elif instruction == PING:
            self._answer(number, b"")
        elif instruction == READ:
            self._answer(number, bytes(self.memory[number][parameters[0] : parameters[0] + parameters[1]]))
        elif instruction == WRITE:
            self._store(number, parameters[0], parameters[1:])
            self._answer(number, b"")

    def _store(self, number: int, address: int, values: bytes) -> None:
        if number not in self.dead:
            self.memory[number][address : address + len(values)] = values

    def _answer(self, number: int, values: bytes) -> None:
        if number in self.dead or number not in self.memory:
            return
        body = bytes([number, len(values) + 2, self.memory[number][STATUS]]) + values
        os.write(self._hand, b"\xff\xff" + body + bytes([~sum(body) & 0xFF]))

    def _pass(self) -> None:
        """Time, and with it the joints."""
        time.sleep(PACE * STEP_S)
        if self.controller_s >= self.until_s:
            return
        for i, number in enumerate(IDS):
            live = self.memory[number][TORQUE] and not self.memory[number][STATUS]
            self.speeds[i] = (self.goal(number) - self.counts[i]) / LAG_S if live else 0.0
        self.counts += self.speeds * STEP_S
        self.controller_s += STEP_S
        self._write_back()

    def _write_back(self) -> None:
        for i, number in enumerate(IDS):
            for address, value in ((POSITION, self.counts[i]), (SPEED, self.speeds[i])):
                word = abs(round(value)) | (0x8000 if value < 0.0 else 0)
                self.memory[number][address : address + 2] = word.to_bytes(2, "little")
