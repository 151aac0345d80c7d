"""The guard on the twin's arm, judged by every physics step of MuJoCo and every tick's reference.

Each property prints the worst it saw (``pytest -s``). ``GUARD_STORIES`` makes them as many as one likes: `make fuzz`.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest

from hardware.cell import Cell
from hardware.interfaces import GuardMode, Source
from hardware.limits import Limits
from tests.guard_in_twin.judged_twin import CELL, JudgedTwin

STORIES = int(os.environ.get("GUARD_STORIES", "4"))
"""Random stories of 8 s."""
STEP_S = 0.002
FAST = replace(CELL, limits={"collaborative": Limits(max_lead_m=0.04)})
"""A lead of 40 mm lets the reference reach S5's 250 mm/s, which S7's 20 mm does not."""


def norms(rows: np.ndarray) -> np.ndarray:
    return np.linalg.norm(rows, axis=1)


def tell(rng: np.random.Generator, seconds: float = 8.0) -> JudgedTwin:
    """A random story: policies that jump and that run, a person who takes over, the operator's hold and resume."""
    twin = JudgedTwin(int(rng.integers(1 << 30)))
    twin.wait(0.02)
    end_s = twin.clock.now() + seconds
    while twin.clock.now() < end_s:
        kind = rng.choice(["far", "near", "run", "wall", "person", "hold"], p=[0.25, 0.2, 0.2, 0.1, 0.2, 0.05])
        direction = rng.uniform(-1.0, 1.0, 6)
        if rng.random() < 0.3:
            direction = np.sign(direction)
        if kind in ("far", "near"):
            reach = 0.5 if kind == "far" else 0.02
            twin.ask(tuple(reach * direction[:3]), tuple(0.5 * direction[3:]), float(rng.uniform(0.05, 0.3)))
        elif kind == "run":
            twin.run(tuple(0.25 * direction[:3]), 0.3)
        elif kind == "wall":
            twin.ask(tuple(np.sign(direction[:3])), seconds=2.5)
        elif kind == "person":
            twin.teleop.push(*direction[:3], *(0.3 * direction[3:]))
            twin.wait(float(rng.uniform(0.05, 0.6)))
            twin.teleop.release()
            twin.ask((0.0, 0.0, 0.0), seconds=float(rng.uniform(0.05, 0.3)))
        else:
            twin.robot.hold()
            twin.wait(float(rng.uniform(0.01, 0.4)))
        if twin.guard.mode is GuardMode.HOLD:
            twin.resume()
        elif twin.guard.mode is GuardMode.FAULT:
            break
    return twin


@pytest.fixture(scope="module")
def stories() -> list[JudgedTwin]:
    return [tell(np.random.default_rng([seed, 33])) for seed in range(STORIES)]


def report(name: str, worst: float, limit: float, unit: str) -> None:
    print(f"\n  {name}: worst {worst:.4g} {unit}, allowed {limit:.4g}", end="")


def test_s5_the_arm_is_never_faster_than_allowed_in_any_20_ms(stories):
    speeds = [norms(twin.log[:, 4:7]) for twin in stories]
    window = 10
    worst = max(float(np.convolve(speed, np.ones(window) / window, "valid").max()) for speed in speeds)
    limit = 1.05 * stories[0].limits.max_speed_m_s
    report("S5 measured speed", worst, limit, "m/s")
    assert 0.1 < worst <= limit


def test_s4_neither_the_reference_nor_the_arm_leaves_the_box(stories):
    low, high = np.array(CELL.workspace.min_m), np.array(CELL.workspace.max_m)
    outside = max(
        float(np.maximum(low - twin.log[:, 1:4], twin.log[:, 1:4] - high).max(axis=1).max()) for twin in stories
    )
    reference = max(CELL.workspace.excess(tuple(tick[1:4])) for twin in stories for tick in twin.ticks)
    report("S4 measured outside the box", 1000 * outside, 1.0, "mm")
    report("S4 commanded outside the box", 1000 * reference, 0.0, "mm")
    assert -0.001 < reference <= 0.0
    assert outside <= 0.001


def test_s6_reference_acceleration_and_jerk(stories):
    limits, period = stories[0].limits, CELL.guard_period_s
    rates = [twin.trace[:, 4:7] for twin in stories]
    acceleration = max(float(norms(np.diff(rate, axis=0)).max()) for rate in rates) / period
    jerk = max(float(norms(np.diff(rate, n=2, axis=0)).max()) for rate in rates) / period**2
    report("S6 acceleration of the reference", acceleration, limits.max_stop_acceleration_m_s2, "m/s^2")
    report("S6 jerk of the reference", jerk, limits.max_stop_jerk_m_s3, "m/s^3")
    assert acceleration <= limits.max_stop_acceleration_m_s2 * (1 + 1e-6)
    assert jerk <= limits.max_stop_jerk_m_s3 * (1 + 1e-6)


def test_s7_the_reference_never_leads_the_arm_by_more_than_allowed(stories):
    worst = max(float(norms(twin.trace[:, 10:13]).max()) for twin in stories)
    limit = stories[0].limits.max_lead_m
    report("S7 lead", 1000 * worst, 1000 * limit, "mm")
    assert worst <= limit


def test_the_arm_itself_accelerates_no_more_than_half_as_hard_again_as_its_reference(stories):
    acceleration = max(float(norms(t.log[10:, 4:7] - t.log[:-10, 4:7]).max()) / 0.02 for t in stories)
    limit = 1.5 * stories[0].limits.max_stop_acceleration_m_s2
    report("measured acceleration over 20 ms", acceleration, limit, "m/s^2")
    assert acceleration <= limit


class Stop(NamedTuple):
    """How the arm stopped after the operator's hold."""

    speed_m_s: float
    """When the hold came."""
    reference_s: float
    """Until the reference stood."""
    slow_s: float
    """Until the arm was slower than 5 mm/s for good."""
    travel_m: float
    """How far it ever went from where it was."""


def stop_from(cell: Cell, speed_up_s: float, seed: int, direction: np.ndarray) -> Stop:
    """The stop after a policy drove along ``direction`` for ``speed_up_s``."""
    twin = JudgedTwin(seed, cell)
    begin = np.clip(np.array([0.5, 0.0, 0.3]) - 0.14 * direction, cell.workspace.min_m, cell.workspace.max_m)
    twin.wait(0.05)
    twin.ask(tuple((begin - twin.reference.position_m).tolist()), seconds=3.0)
    twin.run(tuple(0.4 * direction), speed_up_s, hz=100.0)
    steps, ticks = len(twin.steps), len(twin.ticks)
    twin.robot.hold()
    twin.wait(1.0)
    log = twin.log[steps - 1 :]
    speed, away = norms(log[:, 4:7]), norms(log[:, 1:4] - log[0, 1:4])
    return Stop(
        speed_m_s=float(speed[0]),
        reference_s=(after_last(norms(twin.trace[ticks:, 4:7]) > 0.0) + 1) * cell.guard_period_s,
        slow_s=after_last(speed >= 0.005) * STEP_S,
        travel_m=float(away.max()),
    )


def after_last(true: np.ndarray) -> int:
    """Index after the last True; 0 if there is none."""
    found = np.flatnonzero(true)
    return int(found[-1]) + 1 if len(found) else 0


@pytest.mark.parametrize(("cell", "name", "least_m_s"), [(CELL, "as limited", 0.17), (FAST, "at 250 mm/s", 0.24)])
def test_s2_the_stop_is_short_from_any_phase_of_motion(cell, name, least_m_s):
    rng = np.random.default_rng(5)
    phases = np.linspace(0.05, 0.9, 3 * STORIES)
    ways = [np.sign(rng.uniform(-1, 1, 3)) / np.sqrt(3.0) for _ in phases]
    stops = [
        stop_from(cell, float(phase), int(rng.integers(1000)), way) for phase, way in zip(phases, ways, strict=True)
    ]
    worst = Stop(*(max(column) for column in zip(*stops, strict=True)))
    report(f"S2 {name}: speed", 1000 * worst.speed_m_s, 263.0, "mm/s")
    report(f"S2 {name}: reference stands after", 1000 * worst.reference_s, 200.0, "ms")
    report(f"S2 {name}: travel", 1000 * worst.travel_m, 30.0, "mm")
    report(f"S2 {name}: slower than 5 mm/s for good after", 1000 * worst.slow_s, 200.0, "ms")
    assert worst.speed_m_s > least_m_s
    assert worst.reference_s <= 0.2
    assert worst.travel_m <= 0.03
    assert worst.slow_s <= 0.2


def test_s9_taking_over_and_letting_go_never_jumps(stories):
    """Continuous: what the reference moves in a tick is what its twists say, within what a tick's acceleration adds."""
    period, worst = CELL.guard_period_s, 0.0
    for twin in stories:
        ticks = twin.trace
        engaged = np.array([mode is not GuardMode.DISARMED for mode in twin.modes])
        both = engaged[1:] & engaged[:-1]
        moved = np.diff(ticks[:, 1:4], axis=0) - 0.5 * (ticks[1:, 4:7] + ticks[:-1, 4:7]) * period
        worst = max(worst, float(norms(moved[both]).max()))
    limit = 0.25 * stories[0].limits.max_stop_acceleration_m_s2 * period**2
    report("S9 jump of the reference in a tick", 1e6 * worst, 1e6 * limit, "um")
    assert worst <= limit


def test_the_stories_hold_what_they_should(stories):
    """A story in which nothing happens proves nothing."""
    modes = {mode for twin in stories for mode in twin.modes}
    assert {GuardMode.RUNNING, GuardMode.HOLD} <= modes
    assert GuardMode.FAULT not in modes
    assert {Source.POLICY, Source.HUMAN, Source.HOLD} == {source for twin in stories for source in twin.sources}
