"""A learner and an actor as processes, either of which is killed, stopped or cut off: nothing is lost or doubled."""

from __future__ import annotations

import json
import time
from functools import partial

import numpy as np
import pytest

from robot_rl.episodes import EpisodeStore
from robot_rl.metrics import METRICS_FILE
from tests.faults.training_faults import FAULTS, LOST_PER_FAULT, ON_SMALL_DISKS, Fault, stop_actor
from tests.faults.training_rig import TrainingRun


def _under(faults: dict[str, Fault], small_disks: bool) -> None:
    """One run in which each of ``faults`` strikes once."""
    rng, run = np.random.default_rng(0), TrainingRun(small_disks)
    try:
        run.start_learner()
        run.start_actor()
        run.under_way()
        for fault in faults.values():
            time.sleep(float(rng.uniform(0.0, 1.0)))
            fault(run)
            run.under_way(20)
        outcome = run.finish()
        assert outcome.steps > 100
        assert outcome.duplicated == 0
        assert outcome.lost <= sum(LOST_PER_FAULT.get(name, 0) for name in faults)
        rows = (run.folder / "learner" / METRICS_FILE).read_text().splitlines()
        ended = [json.loads(row)["episodes"] for row in rows]
        assert ended == sorted(set(ended)), "no episode's row stands there twice"
        store = EpisodeStore(run.folder / "actor" / "episodes")
        numbers = [row.episode for row in store.list()]
        store.close()
        assert numbers == sorted(set(numbers)), "and no episode's number"
    finally:
        run.close()


def test_every_fault_in_turn_costs_no_step_but_the_one_in_hand() -> None:
    """The learner has no mujoco at all (the rig takes it away). `make faults` has each more often, and longer ones."""
    shorter = {"SIGSTOP of the actor, 5 s": partial(stop_actor, seconds=2.0)}
    _under({name: shorter.get(name, fault) for name, fault in FAULTS.items() if name != "link cut, 0.2 s"}, False)


def test_a_full_disk_of_either_side_costs_no_step() -> None:
    try:
        _under(ON_SMALL_DISKS, small_disks=True)
    except PermissionError as missing:
        pytest.skip(str(missing))
