"""Pictures of the board and where the arm was, on disk as they are taken: nothing is lost by Ctrl-C, and what they tell
can be worked out again.

A folder a camera: ``camera.json`` says which, what it is fixed to and what its driver knows of its lens; ``07.png`` and
``07.json`` are a picture, lossless and whole, and ``T_base_ee`` when it was taken.
"""

from __future__ import annotations

import dataclasses
import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hardware.camera_geometry import Intrinsics
from hardware.charuco import Board
from hardware.hand_eye import View
from hardware.interfaces import Pose
from hardware.toml_dataclass import ConfigError, from_table

_ABOUT = "camera.json"


@dataclasses.dataclass(frozen=True)
class About:
    """What all views of a folder share."""

    camera: str
    frame: str
    """``ee`` or ``base``: what the camera is fixed to."""
    size_px: tuple[int, int]
    """Width and height of the pictures."""
    lens: Intrinsics | None = None
    """From the driver; None where it knows none."""


class SavedViews:
    """The views in a folder, by number."""

    def __init__(self, folder: Path, board: Board, about: About | None = None) -> None:
        """Go on in ``folder`` or, with ``about``, begin there. Raises ``ValueError`` where it holds none, or those of
        something else."""
        self.folder, self.board = folder, board
        if not (folder / _ABOUT).exists():
            if about is None:
                raise ValueError(f"{folder} holds no poses of a camera: give the folder that an earlier run named")
            folder.mkdir(parents=True, exist_ok=True)
            _write(folder / _ABOUT, json.dumps(dataclasses.asdict(about), indent=1).encode())
        self.about = _about(folder / _ABOUT)
        if about is not None and about != self.about:
            raise ValueError(
                f"{folder} holds poses of another camera, frame, size or lens: {self.about} there, {about} here; "
                "give another --out"
            )
        self.views = {int(path.stem): self._read(path) for path in sorted(folder.glob("[0-9]*.json"))}

    def add(self, pose: Pose, picture: np.ndarray) -> int:
        """Keep a view, on disk before it counts; its number. Raises ``ValueError`` without enough of the board."""
        view = self._view(pose, picture)
        number = max(self.views, default=0) + 1
        path = self.folder / f"{number:02d}.json"
        png = io.BytesIO()
        Image.fromarray(picture).save(png, "png")
        _write(path.with_suffix(".png"), png.getvalue())
        _write(path, json.dumps({"position_m": pose.position_m, "quat_xyzw": pose.quat_xyzw}).encode())
        self.views[number] = view
        return number

    def drop(self, number: int) -> None:
        """Forget a view; raises ``ValueError`` where there is none of this number."""
        if number not in self.views:
            raise ValueError(f"no pose {number}; there are {', '.join(map(str, self.views)) or 'none'}")
        path = self.folder / f"{number:02d}.json"
        path.unlink()
        path.with_suffix(".png").unlink(missing_ok=True)
        del self.views[number]

    def _read(self, path: Path) -> View:
        try:
            pose = json.loads(path.read_text())
            picture = np.asarray(Image.open(path.with_suffix(".png")).convert("RGB"))
            return self._view(Pose(tuple(pose["position_m"]), tuple(pose["quat_xyzw"])), picture)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} and its .png cannot be read ({error}); remove both, take it again") from None

    def _view(self, pose: Pose, picture: np.ndarray) -> View:
        seen = self.board.find(picture)
        return View(pose, self.board.points_m(seen.ids), seen.points_px)


def _about(path: Path) -> About:
    try:
        table: dict[str, Any] = json.loads(path.read_text())
        return from_table(About, {key: value for key, value in table.items() if value is not None}, path.name)
    except (OSError, json.JSONDecodeError, ConfigError) as error:
        raise ValueError(f"{path} cannot be read ({error}); give another --out") from None


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all."""
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
