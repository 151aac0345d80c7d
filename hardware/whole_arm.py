"""How far a predicted posture is from every limit on the whole arm (S30 to S33), and for how long that can be trusted.

A *gap* is what is left to a limit: m for distances (S30, S32), rad for joints and tilt (S31, S33), shares for the
singularity (S31); below zero the limit would be broken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import acos, inf, sqrt
from operator import mul, sub
from typing import NamedTuple

import numpy as np

from hardware.body import NEAR_M, Box, Capsule, Solid, capsule_distance
from hardware.interfaces import Vector3
from hardware.limits import Limits
from hardware.posture import HELD, ArmBody, Posture, Presence, View
from hardware.reference import Profile, Profiles
from hardware.surroundings import TaskArea

PREDICTION_SLACK_M, PREDICTION_SLACK_RAD, JOINT_SLACK_RAD = 0.007, 0.02, 0.06
"""Added to distances, tilt and joint margins: what the arm may be off from its predicted posture. The elbow of a
redundant arm goes on a little when the hand has stopped."""
GROWTH = 1.25
"""Motions per motion of the end effector may grow by this while a look is good."""
PACES = (1.0, 0.7, 0.5, 0.35, 0.25, 0.15, 0.1)
"""Speeds as dexterity falls, as shares of the profile's: few, so that few changes are planned."""
PACE_RESERVE = 0.05
"""A pace is chosen for dexterity a little lower than it is, so that the choice holds for a while."""
Rests = tuple[Vector3, Vector3]
"""Where the reference would come to rest: position, and rotation vector about the guard's anchor."""


class Rates(NamedTuple):
    """How fast things can move with the end effector (per m, per rad) and with the joints while it stands still."""

    per_m: tuple[float, float, float, float]
    """Points of the hand (m), points of the links (m), joints (rad), dexterity."""
    per_rad: tuple[float, float, float, float]
    null_share: list[list[float]]
    """Rows whose product with a motion of the joints says how much of the latter there is in it."""
    per_null: list[tuple[float, float, float, float]]

    @classmethod
    def of(cls, view: View, body: ArmBody) -> Rates:
        """Bounds over all directions, near this posture."""
        joints = np.concatenate([view.inverse, view.null], axis=1)
        links, slope = body.link_motion(view, joints), view.dexterity_slope @ joints
        most = np.stack([links.max(axis=0, initial=0.0), np.abs(joints).max(axis=0, initial=0.0), np.abs(slope)])
        (per_m, per_rad), null = np.sqrt((most * most)[:, :6].reshape(3, 2, 3).sum(axis=2)).T, most[:, 6:].T

        def rates(hand: float, others: np.ndarray) -> tuple[float, float, float, float]:
            links, bend, dexterity = (GROWTH * others).tolist()
            return hand, links, bend, dexterity

        others = [rates(0.0, column) for column in null]
        return cls(rates(1.0, per_m), rates(body.hand_reach_m, per_rad), view.null_share.tolist(), others)


class Outlook(NamedTuple):
    """How far around one look everything is known to be admissible: gaps close no faster than the arm moves."""

    joints_rad: tuple[float, ...]
    rests: Rests
    turn_rad: float
    """The hand may turn this far."""
    granted: tuple[float, float, float, float]
    """How far may change what :class:`Rates` names."""
    rates: Rates
    pace: int
    """Index into :data:`PACES`."""

    def covers(self, joints_rad: Sequence[float], rests: Rests) -> bool:
        """Whether an arm with these joints whose reference would come to rest at ``rests`` is known to be clear."""
        ((x, y, z), (rx, ry, rz)), ((u, v, w), (ru, rv, rw)) = rests, self.rests
        move = sqrt((x - u) ** 2 + (y - v) ** 2 + (z - w) ** 2)
        turn = sqrt((rx - ru) ** 2 + (ry - rv) ** 2 + (rz - rw) ** 2)
        if turn > self.turn_rad:
            return False
        (hand, links, bend, dexterity), rates = self.granted, self.rates
        (h, a, b, d), (hr, ar, br, dr) = rates.per_m, rates.per_rad
        hand -= h * move + hr * turn
        links -= a * move + ar * turn
        bend -= b * move + br * turn
        dexterity -= d * move + dr * turn
        for row, (h, a, b, d) in zip(rates.null_share, rates.per_null, strict=True):
            drift = abs(sum(map(mul, row, map(sub, joints_rad, self.joints_rad))))
            hand, links, bend, dexterity = hand - h * drift, links - a * drift, bend - b * drift, dexterity - d * drift
        return min(hand, links, bend, dexterity) >= 0.0


class Gap(NamedTuple):
    """What one gap is about, and what can close it: how much of it goes to each kind of motion."""

    limit: str
    about: str
    turn: float = 0.0
    """rad per rad that the hand may turn; 0: such motion does not close it."""
    hand: float = 0.0
    """m per m that a point of the hand may move."""
    links: float = 0.0
    """m per m that points of the other links may move."""
    bend: float = 0.0
    """rad per rad that a joint may move."""
    dexterity: float = 0.0
    """Unit per unit that dexterity may change."""

    @property
    def rates(self) -> tuple[float, ...]:
        """What each kind of motion closes of it."""
        return self.turn, self.hand, self.links, self.bend, self.dexterity


class WholeArm:
    """One arm among what stands around it, doing one task. Immutable."""

    def __init__(
        self, body: ArmBody, solids: Mapping[str, Solid], area: TaskArea, handover_zone: Box | None, limits: Limits
    ) -> None:
        self.body, self.limits, self.area = body, limits, area
        self._handover = handover_zone
        self._clearance = limits.min_clearance_m + PREDICTION_SLACK_M
        moving = [(i, part) for i, part in enumerate(body.parts) if part.frame > 0]
        self._touching = [(i, part.tip, *named) for named in {**solids, **area.fixtures}.items() for i, part in moving]
        self._meeting = self._pairs_with_self()
        self.gap_labels = self._label()
        by_kind = zip(*(label.rates for label in self.gap_labels), strict=True)
        self._closing = [[(i, rate) for i, rate in enumerate(rates) if rate] for rates in by_kind]

    # -- gaps --------------------------------------------------------------------------------------------------------

    def gaps(self, posture: Posture, neighbours: Sequence[Presence] = ()) -> list[float]:
        """What is left to each limit, in the order of :attr:`gap_labels`; the last, S30, only where there are
        neighbours."""
        capsules, limits, needed = posture.capsules, self.limits, self._clearance
        zone = self.area.work_zone
        inside = zone.depth(posture.ee.origin) if zone is not None else -inf
        gaps = []
        for index, tip, _, solid in self._touching:
            gap = solid.distance(capsules[index]) - needed
            gaps.append(max(gap, inside) if tip else gap)
        gaps += [capsule_distance(capsules[i], capsules[j]) - needed for i, j in self._meeting]
        (x, y, z), (ax, ay, az) = posture.ee.z, self.area.approach
        tilt = acos(min(max(x * ax + y * ay + z * az, -1.0), 1.0))
        gaps.append(limits.max_tilt_rad - PREDICTION_SLACK_RAD - tilt)
        if self.body.model.joints:
            margin = limits.min_joint_margin_rad + JOINT_SLACK_RAD
            for q, joint in zip(posture.joints_rad, self.body.model.joints, strict=True):
                gaps.append(min(q - joint.min_rad, joint.max_rad - q) - margin)
            gaps.append(posture.dexterity - limits.min_dexterity)
        if neighbours:
            gaps.append(min(self._separation(posture, other) for other in neighbours))
        return gaps

    def away(self, index: int, posture: Posture) -> Vector3 | None:
        """Direction in which moving the end effector opens gap ``index`` fastest; None where that is not so simple."""
        if index >= len(self._touching):
            return None
        i, tip, _, solid = self._touching[index]
        if self.body.parts[i].frame != self.body.ee_frame:
            return None
        zone, ee = self.area.work_zone, posture.ee.origin
        if tip and zone is not None and zone.depth(ee) > solid.distance(posture.capsules[i]) - self._clearance:
            return zone.inward(ee)
        return solid.away(posture.capsules[i])

    def outlook(self, view: View, posture: Posture, gaps: Sequence[float], rests: Rests) -> Outlook:
        """How far hand and joints may move before any of these gaps can have closed; of a gap that both can close, half
        is granted to each."""
        granted = [min([gaps[index] / rate for index, rate in closing], default=inf) for closing in self._closing]
        turn, hand, links, bend, change = granted
        dexterity = min(view.dexterity, posture.dexterity)
        pace = next((i for i, share in enumerate(PACES) if share <= dexterity - PACE_RESERVE), len(PACES) - 1)
        if pace < len(PACES) - 1:
            change = min(change, dexterity - PACES[pace])
        return Outlook(view.joints_rad, rests, turn, (hand, links, bend, change), Rates.of(view, self.body), pace)

    # -- preparation -------------------------------------------------------------------------------------------------

    def _pairs_with_self(self) -> list[tuple[int, int]]:
        """The parts that can meet; what is held can meet whatever the fingers can."""
        names = ["fingers" if part.name == HELD else part.name for part in self.body.parts]
        return [
            (i, j)
            for pair in self.body.model.meetings
            for i, first in enumerate(names)
            for j, second in enumerate(names)
            if (first, second) == tuple(pair)
        ]

    def _label(self) -> list[Gap]:
        body = self.body

        def gap(about: str, *indices: int) -> Gap:
            parts = [body.parts[i] for i in indices]
            hands = sum(part.frame == body.ee_frame for part in parts)
            links = sum(0 < part.frame < body.ee_frame for part in parts)
            # Where several parts move, each may close its share of the gap.
            moving = float(hands + links)
            return Gap("S32", f"{parts[0].name} and {about}", hand=hands and moving, links=links and moving)

        labels = [gap(name, i) for i, _, name, _ in self._touching]
        labels += [gap(body.parts[j].name, i, j) for i, j in self._meeting]
        labels.append(Gap("S33", "tilt of the tool", turn=1.0))
        if body.model.joints:
            labels += [Gap("S31", f"joint {i}", bend=1.0) for i in range(1, len(body.model.joints) + 1)]
            labels.append(Gap("S31", "singularity", dexterity=1.0))
        return [*labels, Gap("S30", "the other arm")]

    def _separation(self, posture: Posture, other: Presence) -> float:
        """S30: what is left between this arm and another. In the handover zone hands may meet: not while the other's is
        outside, lest both leave it together, each no further out than the other."""
        hands: list[Capsule] = []
        arm: list[Capsule] = []
        for part, capsule in zip(self.body.parts, posture.capsules, strict=True):
            (hands if part.frame == self.body.ee_frame else arm).append(capsule)
        needed = self.limits.min_arm_distance_m + 2.0 * PREDICTION_SLACK_M
        strict = _nearest(arm, other.arm + other.hand, NEAR_M)
        strict = min(strict, _nearest(hands, other.arm, strict)) - needed
        between = _nearest(hands, other.hand, NEAR_M) - needed
        zone = self._handover
        if zone is not None and all(zone.depth(point) >= 0.0 for point in other.points):
            between = max(between, zone.depth(posture.ee.origin) - PREDICTION_SLACK_M)
        return min(strict, between)


def _nearest(first: Sequence[Capsule], second: Sequence[Capsule], nearest: float) -> float:
    """The least distance of two groups of capsules, if it is below ``nearest``."""
    return min((capsule_distance(a, b) for a in first for b in second), default=nearest)


def paces(translation: Profiles, rotation: Profiles) -> tuple[tuple[Profiles, Profiles], ...]:
    """Profiles of both groups at each of :data:`PACES`: slower, while starts, stops and their smoothness stay."""

    def slower(profile: Profile, pace: float) -> Profile:
        return profile._replace(speed=profile.speed * pace)

    def at(profiles: Profiles, pace: float) -> Profiles:
        normal, engage, reset = (slower(p, pace) for p in (profiles.normal, profiles.engage, profiles.reset))
        return Profiles(normal, engage, reset, profiles.stop)

    return tuple((at(translation, pace), at(rotation, pace)) for pace in PACES)
