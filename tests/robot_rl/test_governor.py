"""The ratio of updates to data, and who waits for whom."""

from __future__ import annotations

import pytest

from robot_rl.governor import UpdateGovernor


def test_nothing_is_due_in_warm_up_and_one_round_a_step_after_it():
    governor, due = UpdateGovernor(warmup_steps=3), []
    for _ in range(6):
        governor.steps += 1
        due.append(governor.due)
        governor.rounds += governor.due
    assert due == [0, 0, 1, 1, 1, 1]


def test_a_learner_that_fell_behind_owes_what_the_data_paid_for_and_no_more():
    governor = UpdateGovernor(warmup_steps=1, slack_steps=2)
    governor.steps = 5
    assert governor.due == 5 and governor.actor_must_wait
    governor.rounds = 3
    assert governor.due == 2 and not governor.actor_must_wait
    governor.rounds = 5
    assert governor.due == 0, "never free-running"


def test_data_may_run_ahead_where_it_is_allowed_to():
    governor = UpdateGovernor(warmup_steps=1, slack_steps=None)
    governor.steps = 10_000
    assert not governor.actor_must_wait


def test_counters_survive():
    governor, again = UpdateGovernor(5), UpdateGovernor(5)
    governor.steps, governor.rounds, governor.actor_wait_s = 8, 3, 1.5
    again.load_state(governor.state())
    assert again == governor and again.due == governor.due == pytest.approx(1)
