"""A person's skill, from recordings of their hand: so that a scripted person can have it.

An episode of the twin is carried out again, tick by tick: at each the task's guide says what a competent hand would do,
and the recorded targets say what this one did. Of the hand ``h`` and the guide ``g``, axis by axis,
``h(t) = speed * g(t - delay) + lean + effort * wander(t)`` is fitted (as :mod:`sim.scripted_human` makes it); what fits
too badly for that is a lapse. Moments at full deflection tell no more than that, and are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hardware.geometry import pose_delta
from hardware.interfaces import ExecutedCommand, RobotObservation, Source
from sim.drivers import SimClock
from sim.replay import read_moved, recorded_start, reports_of, under_way
from sim.scripted_human import DRIVE_PERIOD_S, LAPSE_S, REST_EFFORT, TREMOR_TIME_S
from sim.skill import SKILLS, Skill

LONGEST_DELAY_S = 0.8
FULL = 1.0 - 1e-6
OUTLIER = 4.0
"""Deviations beyond so many standard deviations are no wander."""
LEAST_LAPSE = 0.15
"""Of full deflection; a lapse is further off than this, and lasts at least half of :data:`LAPSE_S`."""
LEAST_SPEED = 0.05
"""Of the guide's; who is slower, or goes the other way, does something else than the task."""
LEAST_DRIVEN_S = 20.0
"""Of driving, from which on a hand can be judged."""
ROUNDS = 4


@dataclass(frozen=True)
class Trace:
    """A recorded episode, tick by tick."""

    guide: np.ndarray
    """(ticks, 6): what a competent hand would do, in [-1, 1]."""
    hand: np.ndarray
    """(ticks, 6): what the person's did; not a number where they did not drive."""
    period_s: float

    @property
    def driven_s(self) -> float:
        return self.period_s * float(np.isfinite(self.hand[:, 0]).sum())


def fit_skill(traces: Sequence[Trace], reaction_delay_s: float = SKILLS["intermediate"].reaction_delay_s) -> Skill:
    """The skill of the person who drove in all of ``traces``. How fast they notice that a policy fails does not show in
    their driving: ``reaction_delay_s`` is given. ValueError where they drove for too short a time, or elsewhere."""
    driven_s = sum(trace.driven_s for trace in traces)
    if driven_s < LEAST_DRIVEN_S:
        raise ValueError(f"a person drives for {driven_s:.0f} s in these episodes; {LEAST_DRIVEN_S:.0f} s tell enough")
    period_s = traces[0].period_s
    lags = range(round(LONGEST_DELAY_S / period_s))
    best = min(lags, key=lambda lag: _Fit(traces, lag).misfit)
    fit = _Fit(traces, best)
    if fit.speed < LEAST_SPEED:
        raise ValueError("this hand does not go where the task's guide would: is it a demonstration of the task?")
    return Skill(
        reaction_delay_s=reaction_delay_s,
        # The scripted hand, corrected at 20 Hz, is a period later than its delay: half to move, half to move on.
        hand_delay_s=max(0.0, best * period_s - DRIVE_PERIOD_S),
        speed=min(1.0, fit.speed),
        noise=min(2.0, fit.noise),
        bias=min(1.0, fit.bias),
        lapses_per_min=min(60.0, fit.lapses() / (driven_s / 60.0)),
    )


def trace_of(path: Path) -> Trace:
    """Of the twin's episode at ``path``. ValueError (one line) for any other, and for a damaged file."""
    episode = read_moved(path, {})
    reports, start = reports_of(path, episode), recorded_start(path, episode.header)
    twin, robot = under_way(path, episode.header, reports)
    period_s, speeds = robot.guard.settings.period_s, np.repeat(robot.guard.settings.teleop_speed, 3)
    began, ended = (round(stamp_s / period_s) for stamp_s in (start.arm.stamp_s, reports[-1].arm.stamp_s))
    guide = np.full((ended - began + 1, 6), np.nan)

    def look(now: float) -> None:
        tick = round(now / period_s) - began
        if 0 <= tick < len(guide):
            guide[tick] = twin.guide(now)[0]

    assert isinstance(robot.clock, SimClock)
    robot.clock.every(period_s, look)
    robot.clock.sleep_until(reports[-1].arm.stamp_s)
    robot.close()
    hand = hand_in(start.executed, reports, began, len(guide), period_s) / (speeds * period_s)
    return Trace(guide, hand, period_s)


def hand_in(
    before: ExecutedCommand, reports: Iterable[RobotObservation], began: int, ticks: int, period_s: float
) -> np.ndarray:
    """(ticks, 6): by what (m, rad) the person moved the target in each tick, from tick ``began`` on; not a number where
    they did not drive, or had only just begun to."""
    hand, since = np.full((ticks, 6), np.nan), 0
    for change in (change for report in reports for change in report.changes):
        tick = round(change.stamp_s / period_s) - began
        if before.source is Source.HUMAN:
            hand[since:tick] = 0.0
            if change.source is Source.HUMAN and tick < ticks:
                hand[tick] = pose_delta(before.target, change.target)
        before, since = change, tick + 1
    if before.source is Source.HUMAN:
        hand[since:] = 0.0
    return hand


class _Fit:
    """Hand against guide, so many ticks earlier."""

    def __init__(self, traces: Sequence[Trace], lag: int) -> None:
        self._period_s = traces[0].period_s
        pairs = [(t.guide[: len(t.guide) - lag], t.hand[lag:]) for t in traces]
        whole = [np.isfinite(guide).all(1) & np.isfinite(hand).all(1) for guide, hand in pairs]
        self._guides = [guide[rows] for (guide, _), rows in zip(pairs, whole, strict=True)]
        self._hands = [hand[rows] for (_, hand), rows in zip(pairs, whole, strict=True)]
        self._counts = [np.abs(hand) < FULL for hand in self._hands]
        self.speed, self.noise = 1.0, 1.0
        for _ in range(ROUNDS):
            self._refine()

    @property
    def misfit(self) -> float:
        """Of a typical moment."""
        return float(np.median(np.abs(self._off())))

    def _refine(self) -> None:
        """Slope within episodes and axes, then noise, then what both call outliers."""
        covariance = variance = 0.0
        for guide, hand, counts in zip(self._guides, self._hands, self._counts, strict=True):
            for g, h, use in zip(guide.T, hand.T, counts.T, strict=True):
                if use.sum() > 1:
                    centred = g[use] - g[use].mean()
                    covariance += float(centred @ h[use])
                    variance += float(centred @ centred)
        self.speed = covariance / variance if variance > 0.0 else 1.0
        self._leans = [
            np.array([np.median(off[use]) if use.any() else 0.0 for off, use in zip(o.T, c.T, strict=True)])
            for o, c in zip(self._bare(), self._counts, strict=True)
        ]
        used = np.concatenate([off[use] for off, use in zip(self._relative(), self._counts, strict=True)])
        self.noise = 1.4826 * float(np.median(np.abs(used))) if len(used) else 1.0
        self._counts = [
            (np.abs(hand) < FULL) & (np.abs(off) < OUTLIER * self.noise)
            for hand, off in zip(self._hands, self._relative(), strict=True)
        ]

    def _bare(self) -> list[np.ndarray]:
        return [hand - self.speed * guide for guide, hand in zip(self._guides, self._hands, strict=True)]

    def _off(self) -> np.ndarray:
        return np.concatenate([off[use] for off, use in zip(self._leant(), self._counts, strict=True)])

    def _leant(self) -> list[np.ndarray]:
        return [off - lean for off, lean in zip(self._bare(), self._leans, strict=True)]

    def _relative(self) -> list[np.ndarray]:
        """Deviations in units of the effort that was made."""
        efforts = [np.minimum(1.0, np.abs(self.speed * guide).max(1, initial=0.0)) for guide in self._guides]
        return [
            off / (REST_EFFORT + (1.0 - REST_EFFORT) * effort)[:, None]
            for off, effort in zip(self._leant(), efforts, strict=True)
        ]

    @property
    def bias(self) -> float:
        """Spread of the leans, less what wandering alone makes of an episode's mean."""
        leans = np.concatenate(self._leans)
        by_chance = []
        for off, use in zip(self._leant(), self._counts, strict=True):
            seconds = self._period_s * len(off)
            if seconds > 0.0:
                spread = np.array([o[u].std() if u.any() else 0.0 for o, u in zip(off.T, use.T, strict=True)])
                by_chance += (spread**2 * min(1.0, 2.0 * TREMOR_TIME_S / seconds)).tolist()
        return float(np.sqrt(max(0.0, np.mean(leans**2) - np.mean(by_chance))))

    def lapses(self) -> int:
        """How often the hand did something else for a while."""
        found, least = 0, round(0.5 * LAPSE_S / self._period_s)
        for off, relative in zip(self._leant(), self._relative(), strict=True):
            wild = ((np.abs(relative) > OUTLIER * self.noise) & (np.abs(off) > LEAST_LAPSE)).any(1)
            edges = np.flatnonzero(np.diff(np.array([0, *wild, 0], np.int8)))
            found += int((np.diff(edges.reshape(-1, 2)) >= least).sum())
        return found
