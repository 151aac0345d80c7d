"""A person at a teleop device, scripted: watches, takes over when it goes wrong, corrects, hands back.

To the guard this is one more :class:`hardware.interfaces.TeleopDevice`. What the hand wants comes from the task
(:class:`Guided`, which knows only what can be seen), when to take over from a rule (``sim/takeover.py``); here is what
a person adds: delay, tremor, bias, limited speed and lapses. Everything follows from seeds.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Protocol

import numpy as np

from hardware.interfaces import ZERO6, Gripper, TeleopSample, Vector6
from sim.skill import Skill
from sim.takeover import RULES, Handover, Situation, TakeoverRule

WATCH_PERIOD_S = 0.1
DRIVE_PERIOD_S = 0.05
"""How often the person judges the situation, and how often the driving hand is corrected; between, the hand stays as it
is. (The guard polls at 100 Hz; a hand changes its mind at 20.)"""
TREMOR_TIME_S = 0.15
"""Correlation time of the hand's wander; slower than the 8-12 Hz physiological tremor, which no arm would follow."""
REST_EFFORT = 0.1
LAPSE_S = 0.5
MAX_POLL_GAP_S = 0.1
"""Polls further apart than this belong to a pause: no attention is counted between them."""


class Guided(Protocol):
    """What a person sees of a task. None of it may use what is hidden from eyes (contact, exact offsets)."""

    def guide(self, now: float) -> tuple[Vector6, Gripper]:
        """What a competent hand would do now: twist in [-1, 1], base axes, 1 = the task's full step rate."""
        ...

    def progress(self) -> float:
        """How far the task is, about 0 at the start and 1 at success."""
        ...

    def in_funnel(self) -> bool:
        """Whether the policy is still somewhere from which success is near."""
        ...


@dataclass(slots=True)
class Attention:
    """What the person gave: seconds at the controls, seconds of watching (driving included), takeovers, episodes."""

    driving_s: float = 0.0
    watching_s: float = 0.0
    takeovers: int = 0
    episodes: int = 0


class ScriptedHuman:
    """A person with some ``skill`` at a teleop device, doing a :class:`Guided` task.

    ``new_episode(seed)`` begins an episode: what the hand does follows from it, ``seed`` and what is seen. ``stats``
    counts attention over the person's life, ``episode`` over the current episode.
    """

    name = "scripted_human"
    _began_s: float | None

    def __init__(
        self, task: Guided, skill: Skill, rule: TakeoverRule, seed: int = 0, handover: Handover = Handover()
    ) -> None:
        self.task, self.skill, self.rule, self.seed, self.handover = task, skill, rule, seed, handover
        self.stats = Attention()
        self._begin(0)

    @classmethod
    def of_level(cls, task: Guided, level: str, rule: str | TakeoverRule = "watchful", seed: int = 0) -> ScriptedHuman:
        """A person of a named level, or of a file (:meth:`Skill.named`), individual by ``seed``, with a named rule
        (:data:`RULES`) or one given; raises ``ValueError`` for an unknown name."""
        return cls(task, Skill.named(level, seed), _rule(rule) if isinstance(rule, str) else rule, seed)

    def connect(self) -> None: ...
    def close(self) -> None: ...

    def rest(self) -> None:
        """Hands off and no attention until :meth:`new_episode`: while a reset moves the arm."""
        self._begin(0)
        self._look_at = np.inf

    def new_episode(self, seed: int) -> None:
        """Forget the last episode and watch the next; to be called where it begins."""
        self._begin(seed)
        self.stats.episodes += 1
        self.episode.episodes = 1

    def read(self, now: float) -> TeleopSample:
        """The hand at ``now``; 3 µs while resting."""
        if self._began_s is None:
            self._began_s = now
        # Time of the episode, on a grid: the same episode comes out whenever it is done.
        since = round(now - self._began_s, 6)
        self._count(since)
        if since >= self._look_at:
            self._drive(since) if self.driving else self._watch(since)
        return TeleopSample(now, self._twist, self.driving, self._gripper)

    def _begin(self, seed: int) -> None:
        self._rng = np.random.default_rng([self.seed, seed])
        self._began_s = None
        self._bias = self.skill.bias * self._rng.standard_normal(6)
        self._wander = np.zeros(6)
        self._lapse, self._lapse_until = np.zeros(6), -np.inf
        self.episode = Attention()
        self.driving = self._started = False
        self._intended: deque[tuple[float, Vector6, Gripper]] = deque()
        self._look_at = self._rest_until = self._polled_at = -np.inf
        self._rest()

    def _rest(self) -> None:
        self._twist, self._gripper, self._switch_at = ZERO6, Gripper.HOLD, np.inf
        self._intended.clear()

    def _count(self, now: float) -> None:
        elapsed = now - self._polled_at
        self._polled_at = now
        if elapsed > MAX_POLL_GAP_S or self._look_at == np.inf:
            return
        for attention in (self.stats, self.episode):
            attention.watching_s += elapsed
            if self.driving:
                attention.driving_s += elapsed

    def _situation(self, now: float) -> Situation:
        return Situation(now, self.task.progress(), self.task.in_funnel())

    def _watch(self, now: float) -> None:
        """The policy drives: judge, and take over a reaction after the alarm."""
        if self._switch_at == np.inf:
            self._look_at = now + WATCH_PERIOD_S
            situation = self._situation(now)
            if not self._started:
                self._started = True
                self.rule.reset(situation)
            if now >= self._rest_until and self.rule.alarmed(situation):
                self._switch_at = self._look_at = now + (0.0 if self.rule.holds_on else self._reaction_s())
        if now >= self._switch_at:
            self._take_over(now)

    def _take_over(self, now: float) -> None:
        self.driving, self._switch_at = True, np.inf
        self._taken_at, self._taken_progress = now, self.task.progress()
        self.stats.takeovers += 1
        self.episode.takeovers += 1
        self._drive(now)

    def _drive(self, now: float) -> None:
        """Correct the hand; hand back a reaction after the situation is good again."""
        if now >= self._switch_at:
            self.driving = False
            self._rest()
            self._rest_until = now + self.handover.refractory_s
            self._started = False
            self._watch(now)
            return
        self._look_at = now + DRIVE_PERIOD_S
        intended = self._intended
        intended.append((now + self.skill.hand_delay_s, *self.task.guide(now)))
        if intended[0][0] <= now:
            while len(intended) > 1 and intended[1][0] <= now:
                intended.popleft()
            self._move_hand(now, intended[0][1], intended[0][2])
        if not self.rule.holds_on and self._switch_at == np.inf and self._rescued(now):
            self._switch_at = now + self._reaction_s()

    def _rescued(self, now: float) -> bool:
        way = self.handover
        if now - self._taken_at < way.min_drive_s:
            return False
        situation = self._situation(now)
        regain = way.regain * way.impatience ** (self.episode.takeovers - 1)
        regained = situation.progress >= self._taken_progress + regain
        return regained and situation.in_funnel and self.rule.content(situation)

    def _move_hand(self, now: float, wanted: Vector6, gripper: Gripper) -> None:
        """What the hand makes of the intention: slower, leaning, wandering, now and then elsewhere."""
        skill, rng = self.skill, self._rng
        keep = np.exp(-DRIVE_PERIOD_S / TREMOR_TIME_S)
        self._wander = keep * self._wander + np.sqrt(1.0 - keep * keep) * skill.noise * rng.standard_normal(6)
        if rng.random() < skill.lapses_per_min / 60.0 * DRIVE_PERIOD_S:
            self._lapse, self._lapse_until = rng.uniform(-skill.speed, skill.speed, 6), now + LAPSE_S
        lapsed = now < self._lapse_until
        meant = self._lapse if lapsed else skill.speed * np.asarray(wanted)
        effort = REST_EFFORT + (1.0 - REST_EFFORT) * min(1.0, float(np.abs(meant).max()))
        hand = meant + self._bias + effort * self._wander
        self._twist = tuple(np.clip(hand, -1.0, 1.0).tolist())
        self._gripper = Gripper.HOLD if lapsed else gripper

    def _reaction_s(self) -> float:
        return self.skill.reaction_delay_s * float(self._rng.uniform(0.8, 1.3))


def _rule(name: str) -> TakeoverRule:
    if name not in RULES:
        near = get_close_matches(name, RULES, 1)
        hint = f" (did you mean '{near[0]}'?)" if near else ""
        raise ValueError(f"no takeover rule '{name}': choose one of {', '.join(RULES)}{hint}")
    return RULES[name]()
