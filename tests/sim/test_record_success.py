"""What a success classifier learns from: success, and the same motions where they are none."""

from __future__ import annotations

import numpy as np

from hardware.interfaces import Source
from robot_rl.judged import record_success
from robot_rl.rollout import EnvSpec

COMMON = {"max_steps": 40, "ends_on_success": False}
ALONE = EnvSpec("sim:Reach-v0", COMMON)
DRIVEN = EnvSpec("sim:Reach-v0", {**COMMON, "person": "expert", "takeover": "always"})


def test_every_other_episode_goes_through_the_motions_of_the_last_in_another_scene(tmp_path):
    shown, mimicked, *rest = record_success(tmp_path, DRIVEN, ALONE, None, 4, seed=0)
    assert shown.header.setup != mimicked.header.setup
    assert {step.source for step in mimicked.steps} == {Source.POLICY}
    done, again = (np.array([s.executed_action for s in e.steps]) for e in (shown, mimicked))
    assert np.abs(again - done).max() < 0.05, "the same motions"
    assert any(step.success for step in shown.steps) and not any(step.success for step in mimicked.steps)
    assert [len(e.steps) for e in rest] == [40, 40]


def test_a_recording_that_goes_on_mimics_what_was_recorded_before(tmp_path):
    (shown,) = record_success(tmp_path, DRIVEN, ALONE, None, 1, seed=0)
    again = record_success(tmp_path, DRIVEN, ALONE, None, 2, seed=0)
    assert len(again) == 2 and again[0].steps[3].id == shown.steps[3].id
    done, mimicked = (np.array([s.executed_action for s in e.steps]) for e in again)
    assert np.abs(mimicked - done).max() < 0.05
