"""A learner and an actor as real processes, faults done to them, and a judge: every step that the actor's episode files
hold must be in the learner's replay, once.

Processes are forked from one that has loaded what they need: a start does not cost the seconds that loading torch
takes, and times of recovery are without them.
"""

from __future__ import annotations

import multiprocessing
import os
import select
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hardware.interfaces import Source
from hardware.recording import decode_vector, read_recording
from robot_rl.actor import COUNTER
from robot_rl.checkpoint import load_checkpoint
from robot_rl.journal import Journal
from robot_rl.link_actor import ZmqActorEnd
from robot_rl.metrics import METRICS_FILE
from robot_rl.serve import ACTOR, JOURNAL
from robot_rl.spool import Spool
from robot_rl.types import Step

ROOT = Path(__file__).resolve().parents[2]
POINT = "tests.robot_rl.point_env:PointReach-v0"
PERIOD_S = 0.05
"""A control period: what the actor's disk thread has for a step."""
PATIENCE_S = 300.0
os.environ.setdefault("OMP_NUM_THREADS", "1")
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["robot_rl.learners", "robot_rl.serve", "robot_rl.actor", "robot_rl.link_commands"])
_SMALL = ("--preset", "rlpd", "--warmup", "random", "--warmup-steps", "40", "--critic-only-updates", "0")
_SMALL_LEARNER = ("--learner.width", "16", "--learner.utd-ratio", "1", "--learner.batch-size", "16")


@dataclass
class Outcome:
    """Of one run with faults."""

    steps: int = 0
    lost: int = 0
    duplicated: int = 0
    recovery_s: list[float] = field(default_factory=list)


class Child:
    """``robot-rl ARGUMENTS`` as a process; what it says goes to ``<folder>/<command>.log``."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._process = _PROCESSES.Process(target=_main, args=(arguments, folder / f"{arguments[0]}.log"))
        self._process.start()

    @property
    def returncode(self) -> int | None:
        """None while it runs."""
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self._process.pid or 0, number)

    def wait(self) -> None:
        self._process.join(PATIENCE_S)
        if self.returncode is None:
            raise TimeoutError(f"a process did not end in {PATIENCE_S:g} s")


def _main(arguments: tuple[str, ...], log: Path) -> None:
    """The body of a process. The learner's machine has no twin."""
    os.chdir(ROOT)
    with log.open("a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    if arguments[0] == "learner":
        sys.modules["mujoco"] = None  # type: ignore[assignment]
    from robot_rl.cli import main

    sys.exit(main(arguments))


class TrainingRun:
    """Both processes, over TCP through a relay that can be cut."""

    def __init__(self, checkpoint_every: int = 40) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="training-"))
        self.relay = Relay()
        self.learner_port = free_port()
        self.checkpoint_every = checkpoint_every
        self.learner: Child | None = None
        self.actor: Child | None = None

    # -- processes ---------------------------------------------------------------------------------------------------

    def start_learner(self) -> None:
        where = ("--out", str(self.folder / "learner"), "--endpoint", f"tcp://127.0.0.1:{self.learner_port}")
        length = ("--env-steps", "100000", "--checkpoint-every", str(self.checkpoint_every))
        self.learner = Child(self.folder, "learner", *where, *_SMALL, *_SMALL_LEARNER, *length)
        self.relay.target = self.learner_port

    def start_actor(self) -> None:
        where = ("--out", str(self.folder / "actor"), "--endpoint", f"tcp://127.0.0.1:{self.relay.port}")
        env = ("--env", POINT, "--env-kwargs", f'{{"period_s": {PERIOD_S}}}', "--preset", "rlpd", "--min-free-gb", "0")
        self.actor = Child(self.folder, "actor", *where, *env)

    # -- what is waited for ------------------------------------------------------------------------------------------

    def episodes_begun(self) -> str:
        path = self.folder / "actor" / COUNTER
        return path.read_text() if path.exists() else ""

    def rows(self) -> int:
        path = self.folder / "learner" / METRICS_FILE
        return len(path.read_text().splitlines()) if path.exists() else 0

    def under_way(self, rows: int = 4) -> None:
        """Until both sides work, and some more episodes were learned from."""
        goal = self.rows() + rows
        self._until(lambda: self.rows() >= goal, f"{rows} more episodes")

    def _until(self, happened: Callable[[], bool], what: str) -> float:
        began = time.monotonic()
        while not happened():
            for process, name in ((self.learner, "learner"), (self.actor, "actor")):
                if process is not None and process.returncode is not None:
                    log = (self.folder / f"{name}.log").read_text()[-2000:]
                    raise RuntimeError(f"the {name} ended with {process.returncode}: {log}")
            if time.monotonic() - began > PATIENCE_S:
                raise TimeoutError(f"{what} did not happen in {PATIENCE_S:g} s")
            time.sleep(0.02)
        return time.monotonic() - began

    def learner_recovers(self) -> float:
        """Seconds until the learner has taken another episode."""
        before = (self.folder / "learner" / METRICS_FILE).stat().st_mtime_ns
        path = self.folder / "learner" / METRICS_FILE
        return self._until(lambda: path.stat().st_mtime_ns > before, "a row of metrics")

    def actor_recovers(self) -> float:
        """Seconds until the actor begins another episode."""
        before = self.episodes_begun()
        return self._until(lambda: self.episodes_begun() != before, "another episode")

    # -- the end -----------------------------------------------------------------------------------------------------

    def finish(self) -> Outcome:
        """Stop the actor, deliver what is left in its spool, stop the learner, and compare."""
        assert self.actor is not None and self.learner is not None
        self.actor.send_signal(signal.SIGINT)
        self.actor.wait()
        self.actor = None
        spool = Spool(self.folder / "actor" / "spool")
        about = (self.folder / "learner" / ACTOR).read_text()
        link = ZmqActorEnd(f"tcp://127.0.0.1:{self.learner_port}", spool, about)
        self._until(lambda: link.state().backlog == 0, "delivery of the rest")
        link.close()
        spool.close()
        self.learner.send_signal(signal.SIGINT)
        self.learner.wait()
        done, learned = self._done(), self._learned()
        return Outcome(sum(done.values()), (done - learned).total(), (learned - done).total())

    def _done(self) -> Counter[bytes]:
        """Every step that the actor's recorder took, also the last of an episode that was given up."""
        done: Counter[bytes] = Counter()
        for path in sorted((self.folder / "actor" / "episodes").glob("*.mcap*")):
            by_step: dict[int, dict[str, bytes]] = {}
            for message in read_recording(path, recover=True).messages:
                by_step.setdefault(message.sequence, {})[message.topic] = message.data
            taken = [topics for topics in by_step.values() if "/step" in topics]
            done.update(
                _key(decode_vector(topics["/observation/state"]), decode_vector(topics["/action/executed"]))
                for topics in taken
            )
        return done

    def _learned(self) -> Counter[bytes]:
        """Every step in the learner's replay, and those that it has confirmed and would take next."""
        tensors, metadata = load_checkpoint(self.folder / "learner" / "checkpoints")
        online = tensors["online"]
        slots = np.flatnonzero((online["serial"] >= 0) & (online["source"] != Source.HOLD))
        assert len(slots) == metadata["tally"]["env_steps"]
        learned = Counter(_key(online["observation.state"][slot], online["action"][slot]) for slot in slots)
        journal = Journal(self.folder / "learner" / JOURNAL, metadata["beside"]["journal"])
        waiting = journal.take(journal.waiting)
        journal.close()
        learned.update(_key(r.observation["state"], r.executed_action) for r in waiting if isinstance(r, Step))
        return learned

    def close(self) -> None:
        for process in (self.learner, self.actor):
            if process is not None and process.returncode is None:
                process.send_signal(signal.SIGKILL)
                process.wait()
        self.relay.close()
        shutil.rmtree(self.folder)


def _key(state: np.ndarray, action: np.ndarray) -> bytes:
    return np.float32(state).tobytes() + np.float32(action).tobytes()


# -- faults ------------------------------------------------------------------------------------------------------------


def kill_learner(run: TrainingRun) -> float:
    assert run.learner is not None
    run.learner.send_signal(signal.SIGKILL)
    run.learner.wait()
    run.start_learner()
    return run.learner_recovers()


def kill_actor(run: TrainingRun) -> float:
    assert run.actor is not None
    run.actor.send_signal(signal.SIGKILL)
    run.actor.wait()
    run.start_actor()
    return run.actor_recovers()


def stop_learner(run: TrainingRun, seconds: float = 5.0) -> float:
    assert run.learner is not None
    run.learner.send_signal(signal.SIGSTOP)
    time.sleep(seconds)
    run.learner.send_signal(signal.SIGCONT)
    return run.learner_recovers()


def stop_actor(run: TrainingRun, seconds: float = 5.0) -> float:
    assert run.actor is not None
    run.actor.send_signal(signal.SIGSTOP)
    time.sleep(seconds)
    run.actor.send_signal(signal.SIGCONT)
    return run.actor_recovers()


def cut_link(run: TrainingRun, seconds: float = 2.0) -> float:
    run.relay.cut()
    time.sleep(seconds)
    run.relay.mend()
    return run.learner_recovers()


def interrupt_learner(run: TrainingRun) -> float:
    """Ctrl-C three times: while it saves, or ends."""
    assert run.learner is not None
    for _ in range(3):
        if run.learner.returncode is None:
            run.learner.send_signal(signal.SIGINT)
        time.sleep(0.05)
    run.learner.wait()
    run.start_learner()
    return run.learner_recovers()


FAULTS: dict[str, Callable[[TrainingRun], float]] = {
    "kill -9 of the learner": kill_learner,
    "kill -9 of the actor": kill_actor,
    "SIGSTOP of the learner, 5 s": stop_learner,
    "SIGSTOP of the actor, 5 s": stop_actor,
    "link cut, 2 s": cut_link,
    "Ctrl-C three times, learner": interrupt_learner,
}
LOST_PER_FAULT = {"kill -9 of the actor": 1}
"""Steps that a fault may cost; none where it is not listed: the step in the actor's hand."""


def suffer(fault: Callable[[TrainingRun], float], repeats: int, seed: int = 0) -> Outcome:
    """One run in which ``fault`` strikes ``repeats`` times, at random phases."""
    rng = np.random.default_rng(seed)
    run = TrainingRun()
    try:
        run.start_learner()
        run.start_actor()
        run.under_way()
        recovery = []
        for _ in range(repeats):
            time.sleep(float(rng.uniform(0.0, 2.0)))
            recovery.append(fault(run))
            run.under_way(1)
        outcome = run.finish()
        outcome.recovery_s = recovery
        return outcome
    finally:
        run.close()


# -- a link that can be cut --------------------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Relay:
    """Forwards TCP connections to ``target``, until it is cut."""

    def __init__(self) -> None:
        self.target = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._whole = threading.Event()
        self._whole.set()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        self._whole.clear()
        for pair in self._pairs:
            for end in pair:
                end.close()
        self._pairs.clear()

    def mend(self) -> None:
        self._whole.set()

    def close(self) -> None:
        self.cut()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                if not self._whole.is_set():
                    raise OSError
                far = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                near.close()
                continue
            self._pairs.append((near, far))
            threading.Thread(target=self._forward, args=(near, far), daemon=True).start()

    def _forward(self, near: socket.socket, far: socket.socket) -> None:
        try:
            while True:
                for ready in select.select([near, far], [], [])[0]:
                    data = ready.recv(1 << 16)
                    if not data:
                        raise OSError
                    (far if ready is near else near).sendall(data)
        except (OSError, ValueError):
            near.close()
            far.close()
