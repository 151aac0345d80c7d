"""Where a camera is, from pictures of a board at known poses of the arm: A X = X B.

With ``A_i = T_base_ee`` (camera on the hand, board in the room) or its inverse (camera in the room, board on the hand)
and ``B_i = T_camera_board``, the camera ``X`` and the board ``Y`` are what keeps ``A_i X B_i = Y`` in all views. First
in closed form (Park and Martin, *Robot sensor calibration: solving AX = XB on the Euclidean group*, 1994), then refined
over the corners' pixels. OpenCV 5 binds no ``calibrateHandEye``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import degrees, radians
from typing import NamedTuple

import cv2
import numpy as np
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from hardware.camera_geometry import Extrinsics, Intrinsics
from hardware.geometry import matrix_from_pose, pose_from_matrix
from hardware.interfaces import Pose

MIN_VIEWS = 12
MIN_TURN_RAD = radians(5.0)
"""What a view must be turned against every other, and the hand about a second axis (root mean square)."""
_HALF_TURN_RAD = radians(170.0)
"""A rotation vector near half a turn may as well be its opposite."""
_OUTLIER_PX = 1.0


class View(NamedTuple):
    """One picture of the board."""

    T_base_ee: Pose
    points_m: np.ndarray
    """(n, 3): the corners seen, in the board's frame."""
    points_px: np.ndarray
    """(n, 2): where they are in the picture."""


@dataclass(frozen=True)
class HandEye:
    """What the views have in common."""

    frame: str
    """``ee`` or ``base``: what the camera is fixed to."""
    camera: np.ndarray
    """(4, 4): ``T_ee_camera`` or ``T_base_camera``."""
    board: np.ndarray
    """(4, 4): ``T_base_board`` or ``T_ee_board``."""

    @property
    def extrinsics(self) -> Extrinsics:
        """The camera, to 10 µm and 2 µrad."""
        (x, y, z), quat = pose_from_matrix(self.camera)
        qx, qy, qz, qw = (round(value, 6) + 0.0 for value in quat)  # No -0.0.
        return Extrinsics(self.frame, (round(x, 5) + 0.0, round(y, 5) + 0.0, round(z, 5) + 0.0), (qx, qy, qz, qw))

    def errors_px(self, views: Sequence[View], lens: Intrinsics, square: float = 1.0) -> list[np.ndarray]:
        """(n, 2) for each view: where the corners should be less where they are; ``square`` scales the board."""
        to_camera = np.linalg.inv(arm_poses(views, self.frame) @ self.camera) @ self.board
        placed = [square * v.points_m @ T[:3, :3].T + T[:3, 3] for v, T in zip(views, to_camera, strict=True)]
        seen = np.concatenate([view.points_px for view in views])
        where = cv2.projectPoints(np.concatenate(placed), np.zeros(3), np.zeros(3), *_opencv(lens))[0].reshape(-1, 2)
        return np.split(where - seen, np.cumsum([len(view.points_px) for view in views])[:-1])


def arm_poses(views: Sequence[View], frame: str) -> np.ndarray:
    """(n, 4, 4): ``A_i``."""
    poses = np.array([matrix_from_pose(view.T_base_ee) for view in views])
    return poses if frame == "ee" else np.linalg.inv(poses)


def board_poses(views: Sequence[View], lens: Intrinsics) -> np.ndarray:
    """(n, 4, 4): ``T_camera_board`` of each view by itself."""
    return np.array([_located(view, lens) for view in views])


def turns_rad(poses: np.ndarray) -> np.ndarray:
    """(3,): how much ``poses`` (n, 4, 4) turn against one another about their three principal axes, greatest first,
    root mean square."""
    i, j = np.triu_indices(len(poses), 1)
    vectors = Rotation.from_matrix(poses[i, :3, :3].transpose(0, 2, 1) @ poses[j, :3, :3]).as_rotvec()
    return np.sqrt(np.maximum(np.linalg.eigvalsh(vectors.T @ vectors / len(vectors))[::-1], 0.0))


def require_turns(poses: np.ndarray) -> None:
    """Raises ``ValueError`` where ``poses`` cannot tell where the camera is: A X = X B needs turns about two axes."""
    most, second, _ = turns_rad(poses)
    if second < MIN_TURN_RAD:
        what = "about one axis alone" if most >= MIN_TURN_RAD else "hardly at all"
        raise ValueError(
            f"the hand turned {what} ({degrees(most):.1f}° and {degrees(second):.1f}° about its two main axes, "
            f"{degrees(MIN_TURN_RAD):g}° are needed), which cannot tell where the camera is: "
            "tilt it by 15° and more, about different axes"
        )


def closed_form(arm: np.ndarray, board: np.ndarray) -> np.ndarray:
    """(4, 4): the ``X`` of ``arm_i X board_i = const``, both (n, 4, 4). Raises as :func:`require_turns`."""
    require_turns(arm)
    i, j = np.triu_indices(len(arm), 1)
    a, b = np.linalg.inv(arm[j]) @ arm[i], board[j] @ np.linalg.inv(board[i])
    alpha, beta = (Rotation.from_matrix(turns[:, :3, :3]).as_rotvec() for turns in (a, b))
    clear = np.linalg.norm(alpha, axis=1) < _HALF_TURN_RAD
    camera = np.eye(4)
    camera[:3, :3] = Rotation.align_vectors(alpha[clear], beta[clear])[0].as_matrix()
    rows, moved = a[:, :3, :3] - np.eye(3), b[:, :3, 3] @ camera[:3, :3].T - a[:, :3, 3]
    camera[:3, 3] = np.linalg.lstsq(rows.reshape(-1, 3), moved.ravel(), rcond=None)[0]
    return camera


def solve(views: Sequence[View], lens: Intrinsics, frame: str) -> HandEye:
    """The camera that the views tell of: closed form, then least squares over all pixels. Raises ``ValueError``."""
    return _refined(views, lens, _first(views, lens, frame))[0]


def square_scale(views: Sequence[View], lens: Intrinsics, found: HandEye) -> float:
    """How large the board's squares are by the arm's own motion, over what they were taken for."""
    return _refined(views, lens, found, scaled=True)[1]


def average(poses: np.ndarray) -> np.ndarray:
    """(4, 4): the mean of (n, 4, 4)."""
    mean = np.eye(4)
    mean[:3, :3] = Rotation.from_matrix(poses[:, :3, :3]).mean().as_matrix()
    mean[:3, 3] = poses[:, :3, 3].mean(0)
    return mean


def apart(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Between two poses (4, 4): m, rad."""
    return float(np.linalg.norm(a[:3, 3] - b[:3, 3])), float(np.linalg.norm(_between(a, b)))


def estimated_lens(views: Sequence[View], size_px: tuple[int, int]) -> tuple[Intrinsics, float]:
    """The lens that the same views tell of (Zhang's method), where its driver knows none, and its error, px. Square
    pixels and two radial terms: whatever else a dozen views left free would drift together with where the camera is."""
    points = [view.points_m.astype(np.float32) for view in views]
    seen = [view.points_px.astype(np.float32) for view in views]
    few = cv2.CALIB_FIX_ASPECT_RATIO | cv2.CALIB_ZERO_TANGENT_DIST | cv2.CALIB_FIX_K3
    error_px, matrix, terms, _, _ = cv2.calibrateCamera(points, seen, size_px, np.eye(3), np.zeros(5), flags=few)
    (fx, _, cx), (_, fy, cy), _ = matrix.tolist()
    return Intrinsics((fx, fy), (cx, cy), tuple(terms.ravel()[:5].tolist())), float(error_px)


def _first(views: Sequence[View], lens: Intrinsics, frame: str) -> HandEye:
    arm, board = arm_poses(views, frame), board_poses(views, lens)
    camera = closed_form(arm, board)
    return HandEye(frame, camera, average(arm @ camera @ board))


def _refined(views: Sequence[View], lens: Intrinsics, first: HandEye, scaled: bool = False) -> tuple[HandEye, float]:
    """``first`` moved so that the corners fall where they were seen, a pose that is off counting less; and the board's
    scale, 1 unless ``scaled``."""

    def moved(change: np.ndarray) -> HandEye:
        return HandEye(first.frame, first.camera @ _moved(change[:6]), first.board @ _moved(change[6:12]))

    def errors(change: np.ndarray) -> np.ndarray:
        square = 1.0 + change[12] if scaled else 1.0
        return np.concatenate(moved(change).errors_px(views, lens, square)).ravel()

    tightly = {"xtol": 1e-12, "ftol": 1e-12, "gtol": 1e-12, "max_nfev": 50}  # 5 do, where there is something to find.
    best = least_squares(errors, np.zeros(13 if scaled else 12), loss="huber", f_scale=_OUTLIER_PX, **tightly).x
    return moved(best), 1.0 + best[12] if scaled else 1.0


def _located(view: View, lens: Intrinsics) -> np.ndarray:
    """(4, 4): ``T_camera_board``. Of the two ways to see a flat board, the one that fits better."""
    _, turns, moves, _ = cv2.solvePnPGeneric(view.points_m, view.points_px, *_opencv(lens), flags=cv2.SOLVEPNP_IPPE)
    turn, move = cv2.solvePnPRefineLM(view.points_m, view.points_px, *_opencv(lens), turns[0], moves[0])
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = Rotation.from_rotvec(turn.ravel()).as_matrix(), move.ravel()
    return pose


def _opencv(lens: Intrinsics) -> tuple[np.ndarray, np.ndarray]:
    """Camera matrix and distortion."""
    (fx, fy), (cx, cy) = lens.focal_px, lens.centre_px
    return np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]]), np.array(lens.distortion or (0.0,) * 5)


def _between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(3,): rotation vector between two poses (4, 4), in the axes of ``a``, at most half a turn."""
    return Rotation.from_matrix(a[:3, :3].T @ b[:3, :3]).as_rotvec()


def _moved(change: np.ndarray) -> np.ndarray:
    """(4, 4) of a small move (m) and turn (rad)."""
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = Rotation.from_rotvec(change[3:]).as_matrix(), change[:3]
    return pose
