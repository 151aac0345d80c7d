"""How far a predicted posture is from every limit on the whole arm (S30 to S33), and for how long that can be trusted.

A *gap* is what is left to a limit: m for distances (S30, S32), rad for joints and tilt (S31, S33), shares for the
singularity (S31); below zero the limit would be broken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import acos, dist, inf, sqrt
from typing import NamedTuple

import numpy as np

from hardware.body import NEAR_M, Box, Capsule, Solid, capsule_distance
from hardware.interfaces import Vector3
from hardware.limits import Limits
from hardware.posture import HELD, ArmBody, Posture, Presence, View
from hardware.surroundings import TaskArea

PREDICTION_SLACK_M, PREDICTION_SLACK_RAD = 0.005, 0.02
"""Added to distances and joint margins: what the arm may be off from its predicted posture."""
DEXTERITY_RATE = 6.0
"""By how much dexterity can change with one radian of joint motion; 3.3 is the most found in 200 postures of an FR3."""
PACES = (1.0, 0.7, 0.5, 0.35, 0.25, 0.15, 0.1)
"""Speeds as dexterity falls, as shares of the profile's: few, so that few changes are planned."""
PACE_RESERVE = 0.05
"""A pace is chosen for dexterity a little lower than it is, so that the choice holds for a while."""
Rests = tuple[Vector3, Vector3]
"""Where the reference would come to rest: position, and rotation vector about the guard's anchor."""


class Outlook(NamedTuple):
    """How far around one look everything is known to be admissible: gaps close no faster than the arm moves."""

    joints_rad: tuple[float, ...]
    rests: Rests
    hand_m: float
    """Points of the hand may move this far from where they would have come to rest."""
    turn_rad: float
    """The hand may turn this far."""
    arm_rad: float
    """The joints at rest may change by this much (Euclidean norm)."""
    reach_m: float
    """Farthest point of the hand from the end effector."""
    joints_per_m: float
    """Bounds on how joints move with the end effector."""
    joints_per_rad: float
    pace: int
    """Index into :data:`PACES`."""

    def covers(self, joints_rad: Sequence[float], rests: Rests) -> bool:
        """Whether an arm with these joints whose reference would come to rest at ``rests`` is known to be clear."""
        ((x, y, z), (rx, ry, rz)), ((u, v, w), (ru, rv, rw)) = rests, self.rests
        move = sqrt((x - u) ** 2 + (y - v) ** 2 + (z - w) ** 2)
        turn = sqrt((rx - ru) ** 2 + (ry - rv) ** 2 + (rz - rw) ** 2)
        if turn > self.turn_rad or move + self.reach_m * turn > self.hand_m:
            return False
        joints = dist(joints_rad, self.joints_rad)
        return joints + self.joints_per_m * move + self.joints_per_rad * turn <= self.arm_rad


class Gap(NamedTuple):
    """What one gap is about, and how fast it can close."""

    limit: str
    about: str
    hand: float = 0.0
    """m per m that a point of the hand moves."""
    turn: float = 0.0
    """rad per rad that the hand turns."""
    arm: float = 0.0
    """Unit per rad that the joints move (Euclidean norm)."""


class WholeArm:
    """One arm among what stands around it, doing one task. Immutable."""

    def __init__(
        self, body: ArmBody, solids: Mapping[str, Solid], area: TaskArea, handover_zone: Box | None, limits: Limits
    ) -> None:
        self.body, self.limits, self.area = body, limits, area
        self._handover = handover_zone
        self._solids = {**solids, **area.fixtures}
        self._clearance = limits.min_clearance_m + PREDICTION_SLACK_M
        moving = [(i, part) for i, part in enumerate(body.parts) if part.frame > 0]
        self._touching = [(i, name, part.tip) for name in self._solids for i, part in moving]
        self._meeting = self._pairs_with_self()
        self.gap_labels = self._label()

    # -- gaps --------------------------------------------------------------------------------------------------------

    def gaps(self, posture: Posture, neighbours: Sequence[Presence] = ()) -> list[float]:
        """What is left to each limit, in the order of :attr:`gap_labels`; the last, S30, only where there are
        neighbours."""
        capsules, limits, needed = posture.capsules, self.limits, self._clearance
        zone = self.area.work_zone
        inside = zone.depth(posture.ee.origin) if zone is not None else -inf
        gaps = []
        for index, name, tip in self._touching:
            gap = self._solids[name].distance(capsules[index]) - needed
            gaps.append(max(gap, inside) if tip else gap)
        gaps += [capsule_distance(capsules[i], capsules[j]) - needed for i, j in self._meeting]
        (x, y, z), (ax, ay, az) = posture.ee.z, self.area.approach
        gaps.append(limits.max_tilt_rad - acos(min(max(x * ax + y * ay + z * az, -1.0), 1.0)))
        if self.body.model.joints:
            margin = limits.min_joint_margin_rad + PREDICTION_SLACK_RAD
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
        i, name, tip = self._touching[index]
        if self.body.parts[i].frame != self.body.ee_frame:
            return None
        solid, zone, ee = self._solids[name], self.area.work_zone, posture.ee.origin
        if tip and zone is not None and zone.depth(ee) > solid.distance(posture.capsules[i]) - self._clearance:
            return zone.inward(ee)
        return solid.away(posture.capsules[i])

    def outlook(self, view: View, posture: Posture, gaps: Sequence[float], rests: Rests) -> Outlook:
        """How far hand and joints may move before any of these gaps can have closed; of a gap that both can close, half
        is granted to each."""
        hand = turn = arm = inf
        for gap, label in zip(gaps, self.gap_labels, strict=False):
            if label.hand:
                gap *= 0.5 if label.arm else 1.0
                hand = min(hand, gap / label.hand)
            if label.turn:
                turn = min(turn, gap / label.turn)
            if label.arm:
                arm = min(arm, gap / label.arm)
        dexterity = min(view.dexterity, posture.dexterity)
        pace = next((i for i, share in enumerate(PACES) if share <= dexterity - PACE_RESERVE), len(PACES) - 1)
        if pace < len(PACES) - 1:
            arm = min(arm, (dexterity - PACES[pace]) / DEXTERITY_RATE)
        per_m, per_rad = (float(np.sqrt(np.sum(part * part))) for part in (view.inverse[:, :3], view.inverse[:, 3:]))
        return Outlook(view.joints_rad, rests, hand, turn, arm, self.body.hand_reach_m, per_m, per_rad, pace)

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
            hand = any(part.frame == body.ee_frame for part in parts)
            arm = sum(body.lever_m(part) for part in parts if part.frame != body.ee_frame)
            return Gap("S32", f"{parts[0].name} and {about}", float(hand), 0.0, arm)

        labels = [gap(name, i) for i, name, _ in self._touching]
        labels += [gap(body.parts[j].name, i, j) for i, j in self._meeting]
        labels.append(Gap("S33", "tilt of the tool", turn=1.0))
        if body.model.joints:
            labels += [Gap("S31", f"joint {i}", arm=1.0) for i in range(1, len(body.model.joints) + 1)]
            labels.append(Gap("S31", "singularity", arm=DEXTERITY_RATE))
        return [*labels, Gap("S30", "the other arm")]

    def _separation(self, posture: Posture, other: Presence) -> float:
        """S30: what is left between this arm and another. In the handover zone, hands may meet."""
        hands: list[Capsule] = []
        arm: list[Capsule] = []
        for part, capsule in zip(self.body.parts, posture.capsules, strict=True):
            (hands if part.frame == self.body.ee_frame else arm).append(capsule)
        needed = self.limits.min_arm_distance_m + 2.0 * PREDICTION_SLACK_M
        strict = _nearest(arm, other.arm + other.hand, NEAR_M)
        strict = min(strict, _nearest(hands, other.arm, strict)) - needed
        between = _nearest(hands, other.hand, NEAR_M) - needed
        if self._handover is not None:
            between = max(between, min(map(self._handover.depth, (posture.ee.origin, *other.points))))
        return min(strict, between)


def _nearest(first: Sequence[Capsule], second: Sequence[Capsule], nearest: float) -> float:
    """The least distance of two groups of capsules, if it is below ``nearest``."""
    return min((capsule_distance(a, b) for a in first for b in second), default=nearest)
