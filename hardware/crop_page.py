"""A page for the web browser on which a camera's still is cropped by dragging; it says the numbers to type."""

from __future__ import annotations

import re
from html import escape
from importlib.resources import files
from pathlib import Path

from hardware.device_settings import CameraSettings

_PAGE = files("hardware") / "crop.html"


def write_crop_page(still: str, settings: CameraSettings) -> str:
    """Beside ``still``, a picture of ``settings.capture_px``; the frame begins as ``settings.crop`` and keeps the shape
    of what a reader gets. Returns its path."""
    path = Path(still).with_suffix(".html")
    width, height = settings.capture_px
    told = {
        "STILL": escape(Path(still).name),
        "WIDTH": width,
        "HEIGHT": height,
        "SHAPE": f"{settings.width_px} / {settings.height_px}",
        "CROP": ", ".join(map(str, settings.crop)),
    }
    page = re.sub("|".join(told), lambda word: f"{told[word[0]]}", _PAGE.read_text(encoding="utf-8"))
    path.write_text(page, encoding="utf-8")
    return str(path)
