"""A board, an arm and a camera that are only numbers: what the camera would see, exactly or with noise."""

from __future__ import annotations

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from hardware.camera_geometry import Intrinsics
from hardware.charuco import CORNERS, Board
from hardware.geometry import pose_from_matrix
from hardware.hand_eye import View

LENS = Intrinsics((600.0, 602.0), (320.5, 239.0), (0.05, -0.1, 1e-3, -5e-4, 0.02))
SIZE_PX = (640, 480)


def transform(turn_rad, move_m) -> np.ndarray:
    """(4, 4) of a rotation vector and a translation."""
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = Rotation.from_rotvec(turn_rad).as_matrix(), move_m
    return pose


def looks(rng: np.random.Generator, count: int, turn_rad: float = 0.45) -> np.ndarray:
    """(count, 4, 4): ``T_camera_board`` with the board before the camera, turned by up to ``turn_rad`` an axis."""
    middle = np.array([*(0.5 * np.array(Board().size_m)), 0.0])
    poses = []
    for _ in range(count):
        pose = transform(rng.uniform(-turn_rad, turn_rad, 3), (0.0, 0.0, 0.0))
        pose[:3, 3] = rng.uniform((-0.04, -0.04, 0.4), (0.04, 0.04, 0.55)) - pose[:3, :3] @ middle
        poses.append(pose)
    return np.array(poses)


def views_of(camera, board, boards_seen, frame, noise_px=0.0, rng=None, square=1.0, lens=LENS) -> list[View]:
    """What is seen with ``camera`` and ``board`` fixed as ``frame`` says: ``boards_seen`` are ``T_camera_board``.
    ``square``: how large the print is over what it is taken for."""
    points = Board().points_m(np.arange(CORNERS))
    (fx, fy), (cx, cy) = lens.focal_px, lens.centre_px
    matrix = np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])
    views = []
    for seen in boards_seen:
        arm = board @ np.linalg.inv(camera @ seen)
        turn = Rotation.from_matrix(seen[:3, :3]).as_rotvec()
        pixels = cv2.projectPoints(square * points, turn, seen[:3, 3], matrix, np.array(lens.distortion))[0].reshape(
            -1, 2
        )
        if noise_px:
            pixels = pixels + noise_px * rng.normal(size=pixels.shape)
        views.append(View(pose_from_matrix(arm if frame == "ee" else np.linalg.inv(arm)), points, pixels))
    return views
