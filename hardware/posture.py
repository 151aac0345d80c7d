"""Where the whole arm is and will be: its capsules at the end of braking, predicted from what is measured now.

The arm is redundant, so the joints at a future pose are an estimate: the measured joints plus a weighted pseudo-inverse
of the way still to go. Hand, fingers and held tool move with the end effector and are exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import hypot, inf
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
_LEVI_CIVITA = np.moveaxis(np.cross(np.eye(3)[:, None], np.eye(3)), 2, 0).reshape(3, -1)
"""Row k holds ``epsilon_ijk`` as a matrix (i, j)."""


class Presence(NamedTuple):
    """Where an arm is and will be once it has braked, for the guard of its neighbour; coordinates of the cell."""

    arm: tuple[Capsule, ...] = ()
    hand: tuple[Capsule, ...] = ()
    """Hand, fingers and tool: what may meet in the handover zone."""
    points: tuple[Vector3, ...] = ()
    """The end effector now and then."""
    holds: bool = False
    """It holds for a reason of its own, not because its neighbour does."""


class View(NamedTuple):
    """What the measured joints say."""

    joints_rad: tuple[float, ...]
    frames: list[Frame]
    columns: np.ndarray
    """(joints, 6): those of the Jacobian."""
    ee: Pose
    """``T_cell_ee`` as measured."""
    inverse: np.ndarray
    """(joints, 6): joint motion for a motion of the end effector (m, rad; axes of the cell)."""
    null: np.ndarray
    """(joints, k): how joints move while the end effector stands still."""
    null_share: np.ndarray
    """(k, joints): how much of that there is in a motion of the joints."""
    dexterity: float
    """As in :class:`Posture`."""
    dexterity_slope: np.ndarray
    """(joints,): its derivative."""

    @property
    def ee_by_joints(self) -> Pose:
        """``T_cell_ee`` by the measured joints and the model."""
        return self.frames[-1].pose


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
        self._extents_m = self._link_extents_m()
        self._has_part = self._extents_m > 0.0
        self._behind = np.triu(np.ones((len(model.joints),) * 2))
        self._further = np.triu(self._behind, 1)

    def view(self, joints_rad: tuple[float, ...], T_base_ee: Pose) -> View:
        """What can be said of an arm measured with these joints; an arm without joints in its model ignores them."""
        frames = self._chain.frames(joints_rad[: len(self.model.joints)])
        columns = _columns(frames)
        left, values, right = np.linalg.svd(self._scaled(columns))
        rank, speeds = len(values), self._max_speeds
        damped = values / (values * values + DAMPING * DAMPING)
        inverse = speeds[:, None] * (right[:rank].T * damped) @ left[:, :rank].T * self._per_speed
        null, share = speeds[:, None] * right[rank:].T, right[rank:] / speeds
        dexterity = min(values.tolist(), default=inf)
        slope = self._slope(columns, left[:, rank - 1], right[rank - 1]) if rank else np.zeros(0)
        ee = pose_multiply(self.mount, T_base_ee)
        return View(joints_rad, frames, columns, ee, inverse, null, share, dexterity, slope)

    def _slope(self, columns: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """(joints,): derivative ``u' (dJ/dq) v`` of a singular value of the scaled Jacobian with its two vectors.

        A joint turns what is behind it: with ``p`` and ``z`` the columns' halves, ``dp_i/dq_j`` is ``z_j x p_i`` for
        j <= i and ``z_i x p_j`` otherwise, and ``dz_i/dq_j`` is ``z_j x z_i`` for j < i.
        """
        p, z = columns[:, :3], columns[:, 3:]
        to_linear, to_angular = _crosses((left * self._per_speed).reshape(2, 3))
        moves, turns = z @ to_linear @ p.T, z @ to_angular @ z.T
        share = right * self._max_speeds
        return (self._behind * (moves + turns)) @ share + share @ (self._further * moves)

    def posture(self, view: View, T_base_ee: Pose) -> Posture:
        """The arm once its end effector has come to ``T_base_ee``."""
        rest = pose_multiply(self.mount, T_base_ee)
        way = view.inverse @ pose_delta(view.ee, rest)
        joints = tuple(q + d for q, d in zip(view.joints_rad, way.tolist(), strict=False))
        frames = self._chain.frames(joints)
        values = np.linalg.svd(self._scaled(_columns(frames)), compute_uv=False)
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

    def link_motion(self, view: View, moves: np.ndarray) -> np.ndarray:
        """(joints, k): how fast any point of each link moves, at most, when the joints move as the columns of ``moves``
        (joints, k) say; links that have no capsule stand still."""
        columns, (*_, ee) = view.columns, view.frames
        # What the end effector would do if only the joints up to a link moved; and from there to the link's own origin.
        motions = np.cumsum(columns[:, :, None] * moves[:, None, :], axis=0)
        ways = np.array([frame.origin for frame in view.frames[1:-1]]).reshape(-1, 3) - ee.origin
        motions[:, :3] += _crosses(ways) @ motions[:, 3:]
        speeds = np.sqrt((motions * motions).reshape(len(ways), 2, 3, moves.shape[1]).sum(axis=2))
        return self._has_part[:, None] * speeds[:, 0] + self._extents_m[:, None] * speeds[:, 1]

    def _link_extents_m(self) -> np.ndarray:
        """(joints,): farthest point of each link short of the hand from its frame's origin; 0 without a capsule."""
        extents = np.zeros(len(self.model.joints))
        for part in self.parts:
            if 0 < part.frame < self.ee_frame:
                extents[part.frame - 1] = max(extents[part.frame - 1], _extent(part))
        return extents

    def _scaled(self, columns: np.ndarray) -> np.ndarray:
        """(6, joints): the Jacobian, rows in shares of the end effector's speed limits, columns of the joints'."""
        return columns.T * self._max_speeds * self._per_speed[:, None]

    def _placed(self, frames: Sequence[Frame]) -> list[Capsule]:
        return [Capsule(frames[i].point(a), frames[i].point(b), radius) for _, i, a, b, radius, _ in self.parts]


def _columns(frames: Sequence[Frame]) -> np.ndarray:
    """(joints, 6): the Jacobian's."""
    return np.array(jacobian(frames)).reshape(-1, 6)


def _crosses(vectors: np.ndarray) -> np.ndarray:
    """(k, 3, 3): matrices whose product with ``w`` is ``w x v``, for each of ``vectors`` (k, 3)."""
    return (vectors @ _LEVI_CIVITA).reshape(-1, 3, 3)


def _extent(part: Part) -> float:
    """Farthest point from the origin of the part's frame, m."""
    return max(hypot(*part.start_m), hypot(*part.end_m)) + part.radius_m
