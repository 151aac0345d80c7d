"""A learner and an actor as processes, either of which is killed, stopped or cut off: nothing is lost or doubled."""

from __future__ import annotations

import time

import numpy as np

from robot_rl.episodes import EpisodeStore
from robot_rl.metrics import METRICS_FILE, read_metrics
from tests.faults.training_rig import FAULTS, LOST_PER_FAULT, TrainingRun


def test_every_fault_in_turn_costs_no_step_but_the_one_in_hand() -> None:
    """The learner has no mujoco at all (the rig takes it away)."""
    rng, run = np.random.default_rng(0), TrainingRun()
    try:
        run.start_learner()
        run.start_actor()
        run.under_way()
        for fault in FAULTS.values():
            time.sleep(float(rng.uniform(0.0, 1.0)))
            fault(run)
            run.under_way(1)
        outcome = run.finish()
        assert outcome.steps > 100
        assert outcome.duplicated == 0
        assert outcome.lost <= sum(LOST_PER_FAULT.values())
        path = run.folder / "learner" / METRICS_FILE
        assert len(read_metrics(path)) == len(path.read_text().splitlines()), "no row stands there twice"
        store = EpisodeStore(run.folder / "actor" / "episodes")
        numbers = [row.episode for row in store.list()]
        store.close()
        assert numbers == sorted(set(numbers)), "and no episode's number"
    finally:
        run.close()
