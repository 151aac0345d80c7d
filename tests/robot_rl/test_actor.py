"""What an actor counts of the robot's time, over kills; the rest of it is tested with its link, in tests/faults."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from hardware.interfaces import Source
from robot_rl.actor import COUNTER, Actor
from robot_rl.collectors import RandomPolicy
from robot_rl.link import InProcessLink
from robot_rl.metrics import read_metrics
from robot_rl.policy_weights import Acting
from robot_rl.report import report_of
from robot_rl.rollout import EnvSpec
from robot_rl.stopping import Stopping

HELPED = EnvSpec("sim:Reach-v0", {"person": "expert", "takeover": "always", "max_steps": 30})
THROWN = EnvSpec("tests.robot_rl.point_env:ThrownAwayPoint-v0")


def acted(out: Path, spec: EnvSpec, steps: int, watched: bool = True) -> Actor:
    env = spec.make()
    actor = Actor(out, env, spec, InProcessLink(), "run", min_free_bytes=0)
    policy = RandomPolicy(np.random.default_rng(0), len(env.action_scale))
    actor.acting = Acting(policy, Source.POLICY, 1, watched=watched)
    actor.run(Stopping(), max_steps=steps)
    return actor


def test_the_robots_time_is_told_also_of_what_came_before_a_restart(tmp_path):
    first = acted(tmp_path, HELPED, 20).tally
    both = acted(tmp_path, HELPED, 20).tally
    assert len(both.successes) > len(first.successes) >= 1 and both.env_steps == sum(both.lengths)
    told = both.robot_time()
    assert told["person drives"] > 1.0 and told["resets"] > first.reset_s > 0.0
    assert [row["episodes"] for row in read_metrics(tmp_path)] == [1 + i for i in range(len(both.successes))]
    page = report_of(tmp_path, {"task": "reach", "preset": "actor", "seed": 0}, both.figures(())).read_text()
    assert "The robot&#x27;s time in training" in page or "The robot's time in training" in page


def test_nobody_drives_where_the_learner_needs_nobody(tmp_path):
    assert sum(acted(tmp_path / "watched", HELPED, 20).tally.human_steps) > 10
    assert sum(acted(tmp_path / "alone", HELPED, 20, watched=False).tally.human_steps) == 0


def test_an_episode_that_was_thrown_away_counts_as_steps_and_as_nothing_else(tmp_path):
    actor = acted(tmp_path, THROWN, 50)
    assert actor.episodes >= 3 and len(actor.tally.successes) == (actor.episodes + 1) // 2
    assert actor.tally.env_steps == actor.steps > sum(actor.tally.lengths)


def test_a_tally_that_cannot_be_read_gives_no_number_twice(tmp_path):
    acted(tmp_path, THROWN, 20)
    said = json.loads((tmp_path / COUNTER).read_text())
    (tmp_path / COUNTER).write_text(json.dumps({"next_episode": 40, "tally": {**said["tally"], "newer": 1}}))
    actor = acted(tmp_path, THROWN, 20)
    assert actor.rollout.episode >= 40 and actor.tally.env_steps == actor.steps, "it counts anew"
