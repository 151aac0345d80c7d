"""What a run is said to have taken: every second of the robot's time is somebody's, and only once."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from hardware.interfaces import Source
from robot_rl.tally import Tally
from robot_rl.types import Episode, EpisodeHeader, Step, StepId


def steps(*sources: Source) -> list[Step]:
    zero = np.zeros(6, np.float32)
    last = len(sources) - 1
    return [
        Step(StepId("run", 0, 0, i), {}, zero, zero, zero, source, False, 0.0, False, i == last, False, 0.1 * i)
        for i, source in enumerate(sources)
    ]


def test_the_robots_time_is_shared_out_among_who_had_it() -> None:
    tally = Tally(env_steps=10, reset_s=2.0, paused_s=3.0, waited_s=4.0, control_hz=10.0)
    tally.add(steps(*[Source.POLICY] * 3, *[Source.HUMAN] * 2, Source.HOLD))
    tally.add(steps(Source.BASE, Source.BASE, Source.POLICY, Source.POLICY))
    assert tally.robot_time() == pytest.approx(
        {"policy acts": 0.7, "person drives": 0.2, "resets": 2.0, "waits for updates": 4.0, "holds": 3.1}
    )


def test_demonstrations_count_for_the_robot_and_for_the_person() -> None:
    tally = Tally(env_steps=10, reset_s=2.0, control_hz=10.0)
    tally.add(steps(*[Source.HUMAN] * 2, *[Source.POLICY] * 8))
    shown = Episode(EpisodeHeader("demo", 0, 0, "reach", 0, 10.0, 6), steps(*[Source.DEMO] * 50), {})
    figures = tally.figures([shown])
    assert figures["demos"] == 1 and figures["person_seconds"] == pytest.approx(5.2)
    assert figures["robot_minutes"] == pytest.approx(8.0 / 60.0)


def test_a_learner_that_knows_no_robot_says_nothing_of_its_time() -> None:
    figures = Tally(env_steps=10).figures([])
    assert figures["env_steps"] == 10 and "robot_minutes" not in figures and "training_robot_s" not in figures


def test_a_row_is_of_successes_that_the_policy_had_by_itself() -> None:
    tally, rows = Tally(), []
    ended_well, helped = steps(Source.POLICY, Source.HOLD), steps(Source.POLICY, Source.HUMAN)
    for episode in (helped, ended_well, ended_well, steps(Source.BASE), ended_well, steps(Source.POLICY)):
        won = len(rows) != 5
        tally.add([*episode[:-1], dataclasses.replace(episode[-1], success=won)])
        rows.append(tally.in_a_row)
    assert rows == [0, 1, 2, 0, 1, 0] and tally.most_in_a_row == 2
    assert tally.recent()["in_a_row"] == 0
