"""A learner and an actor as real processes, and a judge: every step that the environment says was taken must be in the
learner's replay, once.

Processes are forked from one that has loaded what they need: a start does not cost the seconds that loading torch
takes, and times of recovery are without them.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from hardware.interfaces import Source
from robot_rl.actor import COUNTER
from robot_rl.checkpoint import load_checkpoint
from robot_rl.journal import Journal
from robot_rl.link_actor import ZmqActorEnd
from robot_rl.metrics import METRICS_FILE
from robot_rl.serve import ACTOR, JOURNAL
from robot_rl.spool import Spool
from robot_rl.types import Step
from tests.faults.relay import Relay, free_port

ROOT = Path(__file__).resolve().parents[2]
POINT = "tests.robot_rl.point_env:PointReach-v0"
PERIOD_S = 0.05
"""A control period: what the actor's disk thread has for a step."""
PATIENCE_S = 300.0
SMALL_DISK = "24m"  # that is to be filled
os.environ.setdefault("OMP_NUM_THREADS", "1")
_PROCESSES = multiprocessing.get_context("forkserver")
_OURS = ("robot_rl.learners", "robot_rl.serve", "robot_rl.actor", "robot_rl.link_commands")
_SLOW = ("torch._dynamo", "tensorboard.summary.writer.event_file_writer")  # to load; optimisers need the first
_PROCESSES.set_forkserver_preload([*_OURS, *_SLOW])
_SMALL = ("--preset", "rlpd", "--warmup", "random", "--warmup-steps", "40", "--critic-only-updates", "0")
_SIZES = {"width": 16, "utd-ratio": 1, "batch-size": 16, "replay-capacity": 20_000}
_SMALL_LEARNER = [word for name, size in _SIZES.items() for word in (f"--learner.{name}", str(size))]


@dataclass
class Outcome:
    """Of one run with faults."""

    steps: int = 0
    lost: int = 0
    duplicated: int = 0
    recovery_s: list[float] = field(default_factory=list)


class Child:
    """``robot-rl ARGUMENTS`` as a process; what it says goes to ``log``."""

    def __init__(self, log: Path, *arguments: str) -> None:
        self._process = _PROCESSES.Process(target=_main, args=(arguments, log))
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
        _poison_when_told()
    from robot_rl.cli import main

    sys.exit(main(arguments))


def _poison_when_told() -> None:
    """After SIGUSR1 the next weights that the learner hands out hold NaN."""
    from robot_rl import serve
    from robot_rl.link import digest_of

    told: list[int] = []
    honest = serve.pack_weights

    def pack_weights(*arguments: Any) -> Any:
        weights = honest(*arguments)
        if told:
            told.clear()
            name = next(name for name, array in weights.tensors.items() if array.dtype == np.float32)
            bad = {**weights.tensors, name: np.full_like(weights.tensors[name], np.nan)}
            weights = replace(weights, tensors=bad)
            weights = replace(weights, digest=digest_of(weights))
        return weights

    serve.pack_weights = pack_weights
    signal.signal(signal.SIGUSR1, lambda number, frame: told.append(number))


class TrainingRun:
    """Both processes, over TCP through a relay that can be cut; each has a disk of its own where ``small_disks``, which
    needs the right to mount (PermissionError without)."""

    def __init__(self, small_disks: bool = False) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="training-"))
        self.relay = Relay()
        self.learner_port = free_port()
        self.learner: Child | None = None
        self.actor: Child | None = None
        self.mounts: list[Path] = []
        for name in ("learner", "actor"):
            (self.folder / name).mkdir()
            if small_disks:
                self._mount(self.folder / name)

    def _mount(self, folder: Path) -> None:
        command = ("mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK}", "tmpfs", str(folder))
        if subprocess.run(command, capture_output=True).returncode:
            self.close()
            raise PermissionError("a small disk cannot be mounted here")
        self.mounts.append(folder)

    # -- processes ---------------------------------------------------------------------------------------------------

    def start_learner(self) -> None:
        where = ("--out", str(self.folder / "learner"), "--endpoint", f"tcp://127.0.0.1:{self.learner_port}")
        length = ("--env-steps", "100000", "--checkpoint-every", "40")
        self.learner = Child(self.log("learner"), "learner", *where, *_SMALL, *_SMALL_LEARNER, *length)
        self.relay.target = self.learner_port

    def start_actor(self) -> None:
        where = ("--out", str(self.folder / "actor"), "--endpoint", f"tcp://127.0.0.1:{self.relay.port}")
        options = json.dumps({"period_s": PERIOD_S, "log": str(self.folder / "taken")})
        env = ("--env", POINT, "--env-kwargs", options, "--preset", "rlpd", "--min-free-gb", "0")
        self.actor = Child(self.log("actor"), "actor", *where, *env)

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    # -- what is waited for ------------------------------------------------------------------------------------------

    def episodes_begun(self) -> str:
        path = self.folder / "actor" / COUNTER
        return path.read_text() if path.exists() else ""

    def learned(self) -> int:
        """Steps of the newest row that the learner logged."""
        path = self.folder / "learner" / METRICS_FILE
        rows = path.read_text().split("\n")[:-1] if path.exists() else []
        return int(json.loads(rows[-1])["env_steps"]) if rows else 0

    def under_way(self, steps: int = 60) -> None:
        """Until both sides work, and ``steps`` more were learned from."""
        goal = self.learned() + steps
        self.until(lambda: self.learned() >= goal, f"{steps} more steps")

    def until(self, happened: Callable[[], bool], what: str) -> float:
        """Seconds until it happened. RuntimeError where a process ended, TimeoutError where it does not happen."""
        began = time.monotonic()
        while not happened():
            for process, name in ((self.learner, "learner"), (self.actor, "actor")):
                if process is not None and process.returncode is not None:
                    raise RuntimeError(f"the {name} ended with {process.returncode}: {self._said(name)}")
            if time.monotonic() - began > PATIENCE_S:
                both = f"learner: {self._said('learner')}\nactor: {self._said('actor')}"
                raise TimeoutError(f"{what} did not happen in {PATIENCE_S:g} s\n{both}")
            time.sleep(0.02)
        return time.monotonic() - began

    def _said(self, name: str) -> str:
        return self.log(name).read_text()[-2000:]

    def learner_recovers(self, before: int) -> float:
        """Seconds until the learner has learned from more than the ``before`` steps that it had before the fault."""
        return self.until(lambda: self.learned() > before, "learning from new steps")

    def actor_recovers(self) -> float:
        """Seconds until the actor begins another episode."""
        before = self.episodes_begun()
        return self.until(lambda: self.episodes_begun() not in ("", before), "another episode")

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
        self.until(lambda: link.state().backlog == 0, "delivery of the rest")
        link.close()
        spool.close()
        self.learner.send_signal(signal.SIGINT)
        self.learner.wait()
        taken, learned = self._taken(), self._learned()
        return Outcome(taken.total(), (taken - learned).total(), (learned - taken).total())

    def _taken(self) -> Counter[bytes]:
        """What was observed at every step that the environment has taken to its end."""
        steps = np.fromfile(self.folder / "taken", np.float32).reshape(-1, 3)
        assert np.isfinite(steps).all()
        return Counter(step[:2].tobytes() for step in steps)

    def _learned(self) -> Counter[bytes]:
        """The same of every step in the learner's replay, and of those that it has confirmed and would take next."""
        tensors, metadata = load_checkpoint(self.folder / "learner" / "checkpoints")
        online = tensors["online"]
        slots = np.flatnonzero((online["serial"] >= 0) & (online["source"] != Source.HOLD))
        assert len(slots) == metadata["tally"]["env_steps"]
        learned = Counter(online["observation.state"][slot].tobytes() for slot in slots)
        journal = Journal(self.folder / "learner" / JOURNAL, metadata["beside"]["journal"])
        waiting = journal.take(journal.waiting)
        journal.close()
        learned.update(np.float32(r.observation["state"]).tobytes() for r in waiting if isinstance(r, Step))
        return learned

    def close(self) -> None:
        for process in (self.learner, self.actor):
            if process is not None and process.returncode is None:
                process.send_signal(signal.SIGKILL)
                process.wait()
        self.relay.close()
        for folder in self.mounts:
            subprocess.run(("umount", "-l", str(folder)), check=True)
        shutil.rmtree(self.folder)
