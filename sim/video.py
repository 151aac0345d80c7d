"""Films of frames: H.264 files, and GIFs for pages that play nothing else."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageDraw, ImageFont

GIF_WIDTH, GIF_COLOURS = 480, 160
"""A GIF is small or it is not looked at."""


class GifWriter:
    """A ``.gif`` of uint8 HWC frames: scaled down to :data:`GIF_WIDTH`, in one palette, repeated for ever."""

    def __init__(self, path: Path, frames_per_s: int = 20) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._frame_ms = path, round(1000 / frames_per_s)
        self._frames: list[Image.Image] = []

    def add(self, frame: np.ndarray) -> None:
        """Append one frame."""
        picture = Image.fromarray(frame)
        picture.thumbnail((GIF_WIDTH, GIF_WIDTH))
        palette = self._frames[0] if self._frames else None
        self._frames.append(
            picture.quantize(GIF_COLOURS, Image.Quantize.MAXCOVERAGE, palette=palette, dither=Image.Dither.NONE)
        )

    def close(self) -> None:
        """Write the file; the last frame stays for a second."""
        if not self._frames:
            return
        durations = [self._frame_ms] * (len(self._frames) - 1) + [1000]
        self._frames[0].save(self._path, save_all=True, append_images=self._frames[1:], duration=durations, loop=0)


def film_writer(path: Path, shape: tuple[int, ...], frames_per_s: int = 20) -> VideoWriter | GifWriter:
    """What writes frames of ``shape`` to ``path``: a GIF by its name, else a video."""
    return GifWriter(path, frames_per_s) if path.suffix == ".gif" else VideoWriter(path, shape, frames_per_s)


class VideoWriter:
    """An H.264 file of uint8 HWC frames, all of one shape; an odd last row or column is cut off. A context manager."""

    def __init__(self, path: Path, shape: tuple[int, ...], frames_per_s: int = 20) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._container = av.open(str(path), "w", options={"movflags": "faststart"})
        options = {"crf": "23", "preset": "veryfast"}
        self._stream = self._container.add_stream("libx264", rate=frames_per_s, options=options)
        self._stream.height, self._stream.width = shape[0] // 2 * 2, shape[1] // 2 * 2
        self._stream.pix_fmt = "yuv420p"

    def add(self, frame: np.ndarray) -> None:
        """Append one frame."""
        cut = np.ascontiguousarray(frame[: self._stream.height, : self._stream.width])
        self._container.mux(self._stream.encode(av.VideoFrame.from_ndarray(cut, format="rgb24")))

    def close(self) -> None:
        """Write what the encoder still holds, and the index."""
        self._container.mux(self._stream.encode())
        self._container.close()

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def enlarged(image: np.ndarray, height: int) -> np.ndarray:
    """``image`` (uint8 HWC) at ``height`` px and the same aspect, by repeating its pixels."""
    width = round(image.shape[1] * height / image.shape[0])
    rows, columns = np.arange(height) * image.shape[0] // height, np.arange(width) * image.shape[1] // width
    return image[rows][:, columns]


def titled(image: np.ndarray, title: str) -> np.ndarray:
    """``image`` (uint8 HWC) with a line of text over its upper edge."""
    picture = Image.fromarray(image)
    draw, size = ImageDraw.Draw(picture, "RGBA"), max(12, image.shape[0] // 24)
    draw.rectangle((0, 0, picture.width, 2 * size), fill=(16, 20, 26, 190))
    draw.text((size // 2, size // 2), title, (225, 230, 236), ImageFont.load_default(size))
    return np.asarray(picture)
