"""Pictures and H.264 files from frames."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np


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
