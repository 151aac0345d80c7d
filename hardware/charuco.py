"""The calibration board: a ChArUco of 8 x 6 squares. To print, to draw in the twin, and to find in a picture.

Its frame is OpenCV's: origin at the outer corner of the black square top left, x along the 8 squares, y down along the
6, z into the board.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

COLUMNS, ROWS = 8, 6
CORNERS = (COLUMNS - 1) * (ROWS - 1)
MIN_CORNERS = 8
"""With fewer a board's pose is a guess."""
_MARKER = 0.6
"""Side of a marker, in squares. Larger ones are read from further away, but crowd the corners: at 22 px a square 0.73
finds them to 0.09 px, 0.6 to 0.03."""
_SQUARE_PX = 360
_MARGIN, _STRIP = 1.0 / 3.0, 1.0 / 3.0
"""White around the printed board, and below it for what it says, in squares."""
_MM_INCH = 25.4


class Seen(NamedTuple):
    """Inner corners that were found."""

    ids: np.ndarray
    """(n,) whole numbers."""
    points_px: np.ndarray
    """(n, 2): x, y."""


@dataclass(frozen=True)
class Board:
    """The board with squares of ``square_m``, whose corners are found to about 0.04 px."""

    square_m: float = 0.03

    @property
    def size_m(self) -> tuple[float, float]:
        """Width and height of the squares together."""
        return COLUMNS * self.square_m, ROWS * self.square_m

    def picture(self, square_px: int, margin_px: int = 0) -> np.ndarray:
        """uint8 (height, width): 0 and 255, white margin all round."""
        size = (COLUMNS * square_px + 2 * margin_px, ROWS * square_px + 2 * margin_px)
        return np.asarray(self._charuco().generateImage(size, marginSize=margin_px, borderBits=1))

    def points_m(self, ids: np.ndarray) -> np.ndarray:
        """(n, 3): where the corners ``ids`` are in the board's frame."""
        return np.asarray(self._charuco().getChessboardCorners(), np.float64)[ids]

    def find(self, picture: np.ndarray) -> Seen:
        """The corners in ``picture``, uint8 (height, width, 3) RGB. Raises ``ValueError`` where they are too few."""
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        points, ids, markers, _ = cv2.aruco.CharucoDetector(self._charuco()).detectBoard(grey)
        count = 0 if ids is None else len(ids)
        if count < MIN_CORNERS or self._charuco().checkCharucoCornersCollinear(ids):
            raise ValueError(
                f"{count} of {CORNERS} corners of the board seen, {len(markers)} markers; {MIN_CORNERS} not in "
                "a row are needed: all of it into the picture, in focus, without glare"
            )
        return Seen(ids.ravel().astype(int), points.reshape(-1, 2).astype(np.float64))

    def write(self, path: Path) -> tuple[float, float]:
        """The page to print, a .pdf or .png at its true size; width and height, mm. Raises ``ValueError``."""
        if path.suffix not in (".pdf", ".png"):
            raise ValueError(f"{path}: a board's name ends in .pdf or .png")
        square_mm = 1e3 * self.square_m
        board = self.picture(_SQUARE_PX, round(_MARGIN * _SQUARE_PX))
        height, width = board.shape
        strip = round(_STRIP * _SQUARE_PX)
        page = Image.new("L", (width, height + strip), 255)
        page.paste(Image.fromarray(board))
        words = (
            f"robot_rl ChArUco {COLUMNS} x {ROWS}, DICT_4X4_50. Print at 100 %; the squares should measure "
            f"{square_mm:g} mm, all {COLUMNS} of them {COLUMNS * square_mm:g} mm."
        )
        ImageDraw.Draw(page).text((strip, height - strip // 3), words, 0, ImageFont.load_default(0.4 * strip))
        dots_inch = _SQUARE_PX / square_mm * _MM_INCH
        page.convert("1").save(path, resolution=dots_inch, dpi=(dots_inch, dots_inch))  # Each kind heeds its own.
        return page.width / _SQUARE_PX * square_mm, page.height / _SQUARE_PX * square_mm

    def _charuco(self) -> cv2.aruco.CharucoBoard:
        words = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_4X4_50)
        return cv2.aruco.CharucoBoard((COLUMNS, ROWS), self.square_m, _MARKER * self.square_m, words)
