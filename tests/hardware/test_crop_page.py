"""Cropping a still by dragging, at a real browser."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from hardware import cell_answers as answers
from hardware.crop_page import write_crop_page
from hardware.device_settings import CameraSettings
from tests.browser import blank_page


@pytest.mark.parametrize(
    ("shape", "drag", "kept"),
    [
        ((128, 128), ((100, 50), (300, 200)), [100, 50, 200, 200]),
        ((128, 128), ((300, 200), (250, 40)), [140, 40, 160, 160]),  # Up and to the left.
        ((128, 128), ((500, 20), (5000, 30)), [500, 20, 140, 140]),  # Beyond the edge.
        ((200, 100), ((10, 10), (110, 300)), [10, 10, 580, 290]),
    ],
)
def test_a_frame_is_dragged_and_its_numbers_are_an_answer(shape, drag, kept, tmp_path):
    still = str(tmp_path / "bench_front.png")
    Image.fromarray(np.full((480, 640, 3), 90, np.uint8)).save(still)
    settings = CameraSettings(width_px=shape[0], height_px=shape[1])
    path = write_crop_page(still, settings)
    with blank_page() as page:
        page.set_viewport_size({"width": 800, "height": 700})
        page.goto(f"file://{path}")
        assert page.evaluate("document.images[0].naturalWidth") == 640
        assert page.input_value("#answer") == ",".join(map(str, settings.crop))
        box = page.locator("#picture").bounding_box()
        (x, y), (to_x, to_y) = drag
        page.mouse.move(box["x"] + x, box["y"] + y)
        page.mouse.down()
        page.mouse.move(box["x"] + to_x, box["y"] + to_y, steps=5)
        page.mouse.up()
        answer = page.input_value("#answer")
    assert answers.crop(answer, {"capture_px": [640, 480]}) == pytest.approx(kept, abs=2)
