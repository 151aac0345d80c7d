"""Processes started together, watched, and ended in order: what ``ros2 launch`` does, without a ROS installation."""

from __future__ import annotations

import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from threading import Event

from robot_rl_nodes.node_table import GUARD, ProcessSpec

WATCH_S = 0.1
MAX_RESTARTS, RESTART_WINDOW_S = 5, 60.0


class NodeDied(RuntimeError):
    """A node that is not restarted ended by itself; the message has its last words."""


class Supervisor:
    """Runs ``nodes`` until told to stop. Each has its log in ``logs``; ``say`` is told what happens."""

    def __init__(
        self, nodes: Sequence[ProcessSpec], logs: Path, say: Callable[[str], None], heard: Collection[str] = ()
    ):
        """What the nodes ``heard`` log is said too: they speak to whoever sits here."""
        self.nodes, self.logs, self._say = nodes, logs, say
        self._heard = dict.fromkeys(heard, 0)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.restarts: dict[str, deque[float]] = {node.name: deque(maxlen=MAX_RESTARTS) for node in nodes}
        logs.mkdir(parents=True, exist_ok=True)

    def start(self) -> None:
        """Start all, in their order."""
        for node in self.nodes:
            self._start(node)

    def run(self, stop: Event, until: str = "", done: Collection[str] = ()) -> None:
        """Watch until ``stop`` is set, or the node ``until`` has done what it was for (its exit code is 0). Those in
        ``done`` may be done before it. Raises :class:`NodeDied`."""
        while not stop.wait(WATCH_S):
            self._pass_on()
            for node in self.nodes:
                code = self.processes[node.name].poll()
                if code == 0 and node.name == until:
                    self._pass_on()
                    return
                if code is not None and not (code == 0 and node.name in done):
                    self._ended(node, code)

    def stop(self) -> None:
        """The guard first, so that the arm is held; then all others, the last started first."""
        guards = [node for node in self.nodes if node.name == GUARD]
        others = [node for node in reversed(self.nodes) if node.name != GUARD]
        for nodes in (guards, others):
            for node in nodes:
                if node.name in self.processes and self.processes[node.name].poll() is None:
                    self.processes[node.name].send_signal(signal.SIGTERM)
                    self.processes[node.name].send_signal(signal.SIGCONT)
            told_s = time.monotonic()
            for node in nodes:
                self._end(node.name, told_s + node.stop_s)

    def _start(self, node: ProcessSpec) -> None:
        with (self.logs / f"{node.name}.log").open("ab") as log:
            # A session of its own: Ctrl-C is for the supervisor, which knows in what order things end.
            self.processes[node.name] = subprocess.Popen(
                node.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def _ended(self, node: ProcessSpec, code: int) -> None:
        how = f"{node.name} ended ({_reason(code)}): {self.last_words(node.name)}"
        if not node.restarts:
            if node.name == GUARD:
                how += "; the arm's own watchdog has stopped it, look before you start again"
            raise NodeDied(how)
        now, times = time.monotonic(), self.restarts[node.name]
        if len(times) == MAX_RESTARTS and now - times[0] < RESTART_WINDOW_S:
            raise NodeDied(f"{how}; restarted {MAX_RESTARTS} times within {RESTART_WINDOW_S:g} s")
        times.append(now)
        self._say(f"{how}; starting it again")
        self._start(node)

    def _pass_on(self) -> None:
        for name in self._heard.keys() & self.processes.keys():
            with (self.logs / f"{name}.log").open("rb") as log:
                log.seek(self._heard[name])
                whole = log.read().rpartition(b"\n")[0]
            if whole:
                self._heard[name] += len(whole) + 1
                self._say(whole.decode(errors="replace"))

    def last_words(self, name: str) -> str:
        """The last line of a node's log."""
        lines = (self.logs / f"{name}.log").read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "no words"

    def _end(self, name: str, deadline_s: float) -> None:
        process = self.processes.get(name)
        if process is None:
            return
        try:
            process.wait(max(0.1, deadline_s - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._say(f"{name} does not end; killing it")
            process.kill()
            process.wait()


def pids(supervisor: Supervisor) -> Mapping[str, int]:
    """Process numbers by node."""
    return {name: process.pid for name, process in supervisor.processes.items()}


def _reason(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name
