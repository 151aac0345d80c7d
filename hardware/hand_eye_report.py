"""How far a calibration can be trusted: every view is also judged by a solution that has not seen it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import degrees
from typing import Any

import numpy as np

from hardware.camera_geometry import Intrinsics
from hardware.hand_eye import MIN_VIEWS, HandEye, View, apart, arm_poses, average, board_poses, solve, square_scale

FOLDS = 4
_SCALE = 0.01
"""How far a square may be from what it was taken for: 4 mm at 0.4 m."""
_ALONE = 4.0
"""One pose is the culprit where it is so many times worse than the middle one."""


@dataclass(frozen=True)
class Report:
    """A camera found, and what speaks for it. Errors are root mean squares unless they say otherwise."""

    found: HandEye
    lens: Intrinsics
    views: int
    reprojection_px: float
    """Corners as seen, and as they should be."""
    held_out_px: float
    """The same, of each quarter of the views by what the others told."""
    board_m: float
    board_rad: float
    """Spread of where each view by itself puts the board, which did not move."""
    moved_m: float
    moved_rad: float
    """How far the camera moves where a quarter of the views is left out; the farthest."""
    square: float
    """A square's side by the arm's motion, over what it was taken for."""

    def rows(self) -> dict[str, Any]:
        """For people."""
        return {
            "poses": self.views,
            "reprojection": f"{self.reprojection_px:.2f} px, held out {self.held_out_px:.2f} px",
            "board": f"spread of {1e3 * self.board_m:.2f} mm, {degrees(self.board_rad):.3f}°",
            "squares": f"{100.0 * (self.square - 1.0):+.2f} % by the arm's motion",
            "left out": f"without a quarter it moves by {1e3 * self.moved_m:.2f} mm, {degrees(self.moved_rad):.3f}°",
        }


def judge(views: Mapping[int, View], lens: Intrinsics, frame: str, max_error_px: float) -> Report:
    """Solve, and check. Raises ``ValueError``, one line with what to do, for what cannot be solved or trusted."""
    if len(views) < MIN_VIEWS:
        raise ValueError(f"{len(views)} poses; {MIN_VIEWS} are needed")
    every = list(views.values())
    found = solve(every, lens, frame)
    errors, moved = _held_out(every, lens, found)
    by_view = {number: _rms(error) for number, error in zip(views, errors, strict=True)}
    _require_good(by_view, _rms(np.concatenate(errors)), max_error_px)
    square = square_scale(every, lens, found)
    if abs(square - 1.0) > _SCALE:
        raise ValueError(
            f"by the arm's motion the squares are {100.0 * (square - 1.0):+.1f} % off what --square-mm says: measure "
            "all 8 of them together on the print, and give an eighth of that with --solve-only"
        )
    boards = arm_poses(every, frame) @ found.camera @ board_poses(every, lens)
    apart_m, apart_rad = zip(*(apart(board, average(boards)) for board in boards), strict=True)
    return Report(
        found,
        lens,
        len(every),
        _rms(np.concatenate(found.errors_px(every, lens))),
        _rms(np.concatenate(errors)),
        _rms(apart_m),
        _rms(apart_rad),
        max(m for m, _ in moved),
        max(rad for _, rad in moved),
        square,
    )


def _held_out(
    views: Sequence[View], lens: Intrinsics, found: HandEye
) -> tuple[list[np.ndarray], list[tuple[float, float]]]:
    """Errors of each view by a solution without it, px, and how far each such solution is from ``found`` (m, rad)."""
    errors: list[np.ndarray] = [np.zeros(0)] * len(views)
    moved = []
    for fold in range(FOLDS):
        part = solve([view for i, view in enumerate(views) if i % FOLDS != fold], lens, found.frame)
        moved.append(apart(part.camera, found.camera))
        errors[fold::FOLDS] = part.errors_px(views[fold::FOLDS], lens)
    return errors, moved


def _require_good(by_view: Mapping[int, float], all_px: float, max_error_px: float) -> None:
    if all_px <= max_error_px:
        return
    worst = max(by_view, key=by_view.__getitem__)
    middle = float(np.median(list(by_view.values())))
    if middle <= max_error_px and by_view[worst] > _ALONE * middle:
        raise ValueError(
            f"pose {worst} is {by_view[worst]:.1f} px off by what the others tell, which are {middle:.1f} px off: "
            f"`drop {worst}`, and take it again with everything still"
        )
    raise ValueError(
        f"poses are {all_px:.1f} px off by what the others tell, {max_error_px:g} px are allowed: board or camera "
        "moved, the board is not flat, or the frame is the wrong one; take them anew in another --out (an arm with "
        "play needs a greater --max-error-px)"
    )


def _rms(values: Sequence[float] | np.ndarray) -> float:
    """Root mean square of numbers, or of the lengths of vectors (n, 2)."""
    squares = np.square(values)
    return float(np.sqrt(np.mean(squares.sum(-1) if squares.ndim > 1 else squares)))
