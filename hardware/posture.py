"""Where the whole arm is and will be: its capsules at the end of braking, predicted from what is measured now.

The arm is redundant, so the joints at a future pose are an estimate: the measured joints plus a weighted pseudo-inverse
of the way still to go. Hand, fingers and held tool move with the end effector and are exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import hypot, inf, sqrt
from typing import NamedTuple

import numpy as np

from hardware.arm_model import ArmModel
from hardware.body import Capsule
from hardware.geometry import pose_delta, pose_multiply
from hardware.interfaces import Pose, Vector3
from hardware.kinematics import Frame, jacobian
from hardware.limits import Limits
from hardware.surroundings import HeldCapsule

DAMPING = 0.05
"""Of the pseudo-inverse, in units of dexterity: below it joint motions are understated, but there motion is refused."""
HELD = "held tool"


class Presence(NamedTuple):
    """Where an arm is and will be once it has braked, for the guard of its neighbour; coordinates of the cell."""

    arm: tuple[Capsule, ...] = ()
    hand: tuple[Capsule, ...] = ()
    """Hand, fingers and tool: what may meet in the handover zone."""
    points: tuple[Vector3, ...] = ()
    """The end effector now and then."""


class View(NamedTuple):
    """What the measured joints say."""

    joints_rad: tuple[float, ...]
    frames: list[Frame]
    ee: Pose
    """``T_cell_ee`` as measured."""
    inverse: np.ndarray
    """(joints, 6): joint motion for a motion of the end effector (m, rad; axes of the cell)."""
    dexterity: float
    """As in :class:`Posture`."""


class Posture(NamedTuple):
    """A predicted posture: joints, the end effector's frame, and a capsule for each of :attr:`ArmBody.parts`."""

    joints_rad: tuple[float, ...]
    ee: Frame
    capsules: list[Capsule]
    dexterity: float
    """Smallest singular value of the Jacobian, joint speeds counted in the share of their rating that is allowed and
    end-effector speeds in theirs: below 1 some motion at full speed asks too much of a joint."""


class Part(NamedTuple):
    """A capsule of the arm or of what it holds, in its link's frame."""

    name: str
    frame: int
    start_m: Vector3
    end_m: Vector3
    radius_m: float
    tip: bool


class ArmBody:
    """One arm, where it is mounted and what it holds. Immutable."""

    def __init__(self, model: ArmModel, mount: Pose, held: Sequence[HeldCapsule], limits: Limits) -> None:
        self.model, self.mount = model, mount
        self.ee_frame = model.ee_frame
        self._chain = model.chain(mount)
        own = [Part(c.part, c.frame, c.start_m, c.end_m, c.radius_m, c.tip) for c in model.capsules]
        self.parts = own + [Part(HELD, self.ee_frame, h.start_m, h.end_m, h.radius_m, True) for h in held]
        self._max_speeds = np.array([limits.max_joint_speed_share * joint.max_speed_rad_s for joint in model.joints])
        self._per_speed = 1.0 / np.array([limits.max_speed_m_s] * 3 + [limits.max_angular_speed_rad_s] * 3)
        self.hand_reach_m = max((_extent(part) for part in self.parts if part.frame == self.ee_frame), default=0.0)
        """Farthest point of the hand, and of what it holds, from the end effector."""

    def view(self, joints_rad: tuple[float, ...], T_base_ee: Pose) -> View:
        """What can be said of an arm measured with these joints; an arm without joints in its model ignores them."""
        frames = self._chain.frames(joints_rad[: len(self.model.joints)])
        left, values, right = np.linalg.svd(self._scaled_jacobian(frames), full_matrices=False)
        damped = values / (values * values + DAMPING * DAMPING)
        inverse = self._max_speeds[:, None] * (right.T * damped) @ left.T * self._per_speed
        return View(
            joints_rad, frames, pose_multiply(self.mount, T_base_ee), inverse, min(values.tolist(), default=inf)
        )

    def posture(self, view: View, T_base_ee: Pose) -> Posture:
        """The arm once its end effector has come to ``T_base_ee``."""
        rest = pose_multiply(self.mount, T_base_ee)
        way = view.inverse @ pose_delta(view.ee, rest)
        joints = tuple(q + d for q, d in zip(view.joints_rad, way.tolist(), strict=False))
        frames = self._chain.frames(joints)
        values = np.linalg.svd(self._scaled_jacobian(frames), compute_uv=False)
        frames[-1] = Frame.of(rest)
        return Posture(joints, frames[-1], self._placed(frames), min(values.tolist(), default=inf))

    def presence(self, view: View, rest: Posture) -> Presence:
        """What a neighbour must keep away from: the arm as measured, and as it will be."""
        now = self._placed([*view.frames[:-1], Frame.of(view.ee)])
        arm: list[Capsule] = []
        hand: list[Capsule] = []
        for part, before, after in zip(self.parts, now, rest.capsules, strict=True):
            (hand if part.frame == self.ee_frame else arm).extend((before, after))
        return Presence(tuple(arm), tuple(hand), (view.ee.position_m, rest.ee.origin))

    def lever_m(self, part: Part) -> float:
        """m that a point of ``part``, not of the hand, can move per rad of joint motion (Euclidean norm)."""
        lever, square = _extent(part), 0.0
        for joint in reversed(self.model.joints[: part.frame]):
            square += lever * lever
            lever += abs(joint.a_m) + abs(joint.d_m)
        return sqrt(square)

    def _scaled_jacobian(self, frames: Sequence[Frame]) -> np.ndarray:
        """(6, joints): rows in shares of the end effector's speed limits, columns of the joints'."""
        return np.array(jacobian(frames)).reshape(-1, 6).T * self._max_speeds * self._per_speed[:, None]

    def _placed(self, frames: Sequence[Frame]) -> list[Capsule]:
        return [Capsule(frames[i].point(a), frames[i].point(b), radius) for _, i, a, b, radius, _ in self.parts]


def _extent(part: Part) -> float:
    """Farthest point from the origin of the part's frame, m."""
    return max(hypot(*part.start_m), hypot(*part.end_m)) + part.radius_m
