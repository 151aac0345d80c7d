"""Faults done to a learner and an actor, each a function of a run that gives the seconds until all is well again."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from signal import SIGCONT, SIGINT, SIGKILL, SIGSTOP, SIGUSR1

import numpy as np

from tests.faults.training_rig import Child, Outcome, TrainingRun

Fault = Callable[[TrainingRun], float]


def kill_learner(run: TrainingRun) -> float:
    before = run.learned()
    assert run.learner is not None
    run.learner.send_signal(SIGKILL)
    run.learner.wait()
    run.start_learner()
    return run.learner_recovers(before)


def kill_actor(run: TrainingRun) -> float:
    assert run.actor is not None
    run.actor.send_signal(SIGKILL)
    run.actor.wait()
    run.start_actor()
    return run.actor_recovers()


def stop_learner(run: TrainingRun, seconds: float = 5.0) -> float:
    _stop(run.learner, seconds)
    return run.learner_recovers(run.learned())


def stop_actor(run: TrainingRun, seconds: float = 5.0) -> float:
    _stop(run.actor, seconds)
    return run.actor_recovers()


def _stop(process: Child | None, seconds: float) -> None:
    assert process is not None
    process.send_signal(SIGSTOP)
    time.sleep(seconds)
    process.send_signal(SIGCONT)


def cut_link(run: TrainingRun, seconds: float = 2.0) -> float:
    run.relay.cut()
    time.sleep(seconds)
    before = run.learned()
    run.relay.mend()
    return run.learner_recovers(before)


def interrupt_learner(run: TrainingRun) -> float:
    """Ctrl-C three times: while it saves, or ends."""
    before = run.learned()
    assert run.learner is not None
    for _ in range(3):
        run.learner.send_signal(SIGINT)
        time.sleep(0.05)
    run.learner.wait()
    run.start_learner()
    return run.learner_recovers(before)


def interrupt_actor(run: TrainingRun) -> float:
    """The same in an episode or a reset."""
    assert run.actor is not None
    for _ in range(3):
        run.actor.send_signal(SIGINT)
        time.sleep(0.05)
    run.actor.wait()
    run.start_actor()
    return run.actor_recovers()


def replay_session(run: TrainingRun) -> float:
    """A new session of the actor; then everything that the old one said comes once more, on a connection of its own."""
    recovered_s = kill_actor(run)
    old = max(range(len(run.relay.past) - 1), key=lambda number: len(run.relay.past[number]))
    assert run.relay.replay(old, 1.0) > 1000
    return recovered_s


def poison_weights(run: TrainingRun) -> float:
    """The learner hands out NaN, once."""
    assert run.learner is not None
    refused = run.log("learner").read_text().count("not finite")
    run.learner.send_signal(SIGUSR1)
    run.until(lambda: run.log("learner").read_text().count("not finite") > refused, "a refusal of NaN weights")
    return run.learner_recovers(run.learned())


def fill_actors_disk(run: TrainingRun, seconds: float = 3.0) -> float:
    _fill(run.folder / "actor", seconds)
    return run.actor_recovers()


def fill_learners_disk(run: TrainingRun, seconds: float = 5.0) -> float:
    before = run.learned()
    _fill(run.folder / "learner", seconds)
    return run.learner_recovers(before)


def _fill(folder: Path, seconds: float) -> None:
    """Leave no byte free on the disk of ``folder`` for so long."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
    time.sleep(seconds)
    ballast.unlink()


FAULTS: dict[str, Fault] = {
    "kill -9 of the learner": kill_learner,
    "kill -9 of the actor": kill_actor,
    "SIGSTOP of the learner, 5 s": stop_learner,
    "SIGSTOP of the actor, 5 s": stop_actor,
    "link cut, 0.2 s": partial(cut_link, seconds=0.2),
    "link cut, 2 s": cut_link,
    "Ctrl-C three times, learner": interrupt_learner,
    "Ctrl-C three times, actor": interrupt_actor,
    "old session played again": replay_session,
    "NaN weights": poison_weights,
}
ON_SMALL_DISKS: dict[str, Fault] = {
    "full disk of the learner, 5 s": fill_learners_disk,
    "full disk of the actor, 3 s": fill_actors_disk,
}
LONG: dict[str, Fault] = {
    "SIGSTOP of the learner, 30 s": partial(stop_learner, seconds=30.0),
    "link cut, 30 s": partial(cut_link, seconds=30.0),
}
LOST_PER_FAULT = {
    "kill -9 of the actor": 1,
    "Ctrl-C three times, actor": 1,
    "old session played again": 1,
}
"""Steps that a fault may cost, none where it is not listed: the step in the hand of an actor that is ended at once."""


def suffer(fault: Fault, repeats: int, seed: int = 0, small_disks: bool = False) -> Outcome:
    """One run in which ``fault`` strikes ``repeats`` times, at random phases."""
    rng = np.random.default_rng(seed)
    run = TrainingRun(small_disks)
    try:
        run.start_learner()
        run.start_actor()
        run.under_way()
        recovery = []
        for _ in range(repeats):
            time.sleep(float(rng.uniform(0.0, 2.0)))
            recovery.append(fault(run))
            run.under_way(20)
        outcome = run.finish()
        outcome.recovery_s = recovery
        return outcome
    finally:
        run.close()
