"""Episodes as a LeRobotDataset v3 (https://huggingface.co/docs/lerobot/lerobot-dataset-v3), for other people's tools.

One parquet file and, a camera, one video an episode. What was executed is the ``action``; what the policy proposed and
who drove stand beside it. Training reads the recordings themselves, never this copy: videos lose detail.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from robot_rl.types import Episode

VERSION = "v3.0"
CHUNK = 1_000
"""Files a folder."""
DATA = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
CODEC, PIXELS, QUALITY = "libx264", "yuv420p", "18"
_SCALARS = {
    "next.reward": "float32",
    "next.done": "bool",
    "next.success": "bool",
    "source": "int64",
    "timestamp": "float32",
    "frame_index": "int64",
    "episode_index": "int64",
    "index": "int64",
    "task_index": "int64",
}


def export_lerobot(episodes: Iterable[Episode], out: Path) -> int:
    """Write ``episodes``, all of one environment, into the new folder ``out``; the number of frames.

    Raises ValueError where ``pyarrow`` is missing or the episodes do not go together.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise ValueError("this export needs pyarrow: pip install 'robot-rl[lerobot]'") from None

    writer: _Dataset | None = None
    for episode in episodes:
        writer = writer or _Dataset(out, episode)
        columns = writer.add(episode)
        path = out / DATA.format(**writer.place)
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({name: _column(pa, values) for name, values in columns.items()}), path)
    if writer is None:
        return 0
    writer.finish()
    _write_tasks(pa, pq, out, writer.tasks)
    listed = out / "meta/episodes/chunk-000/file-000.parquet"
    listed.parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(writer.rows), listed)
    return writer.frames


class _Dataset:
    """What goes into the folder's ``meta``, gathered episode by episode."""

    def __init__(self, out: Path, first: Episode):
        self.out, self.fps = out, first.header.control_hz
        self.cameras = [n for n, v in first.steps[0].observation.items() if v.dtype == np.uint8]
        self.layout = {n: v.shape for n, v in first.steps[0].observation.items()} | {"": (first.header.action_dim,)}
        self.vectors = {"observation.state": self.layout["state"], "action": self.layout[""]}
        self.vectors |= {"proposed_action": self.layout[""], "base_action": self.layout[""]}
        self.tasks: list[str] = []
        self.rows: list[dict[str, Any]] = []
        self.frames = 0
        self._stats: dict[str, list[np.ndarray]] = {}

    @property
    def place(self) -> dict[str, int]:
        """Of the newest episode's files."""
        chunk, file = divmod(len(self.rows) - 1, CHUNK)
        return {"chunk_index": chunk, "file_index": file}

    def add(self, episode: Episode) -> dict[str, np.ndarray]:
        """The episode's columns; its videos are written."""
        steps, header = episode.steps, episode.header
        layout = {name: value.shape for name, value in steps[0].observation.items()} | {"": (header.action_dim,)}
        if (layout, header.control_hz) != (self.layout, self.fps):
            raise ValueError(f"episode {header.episode} of '{header.run}' is of another environment: export it alone")
        if header.task not in self.tasks:
            self.tasks.append(header.task)
        count, number = len(steps), len(self.rows)
        columns = {
            "observation.state": np.stack([s.observation["state"] for s in steps]),
            "action": np.stack([s.executed_action for s in steps]),
            "proposed_action": np.stack([s.proposed_action for s in steps]),
            "base_action": np.stack([s.base_action for s in steps]),
            "next.reward": np.array([s.reward for s in steps], np.float32),
            "next.done": np.array([s.is_last for s in steps]),
            "next.success": np.array([s.success for s in steps]),
            "source": np.array([int(s.source) for s in steps]),
            "timestamp": (np.arange(count) / self.fps).astype(np.float32),
            "frame_index": np.arange(count),
            "episode_index": np.full(count, number),
            "index": np.arange(self.frames, self.frames + count),
            "task_index": np.full(count, self.tasks.index(header.task)),
        }
        row = {"episode_index": number, "tasks": [header.task], "length": count}
        row |= {"dataset_from_index": self.frames, "dataset_to_index": self.frames + count}
        self.rows.append(row)
        self.frames += count
        row |= {f"data/{name}": value for name, value in self.place.items()}
        row |= {"meta/episodes/chunk_index": 0, "meta/episodes/file_index": 0}
        for camera in self.cameras:
            self._film(camera, [step.observation[camera] for step in steps], row)
        for name, values in columns.items():
            self._stats.setdefault(name, []).append(values.reshape(count, -1).astype(np.float64))
        return columns

    def finish(self) -> None:
        """Write ``info.json`` and ``stats.json``."""
        features: dict[str, Any] = {
            name: {"dtype": "float32", "shape": list(shape), "names": None} for name, shape in self.vectors.items()
        }
        features |= {name: {"dtype": dtype, "shape": [1], "names": None} for name, dtype in _SCALARS.items()}
        features |= {_key(camera): self._feature(camera) for camera in self.cameras}
        info = {
            "codebase_version": VERSION,
            "robot_type": None,
            "total_episodes": len(self.rows),
            "total_frames": self.frames,
            "total_tasks": len(self.tasks),
            "chunks_size": CHUNK,
            "data_files_size_in_mb": 100,
            "video_files_size_in_mb": 200,
            "fps": int(self.fps) if float(self.fps).is_integer() else self.fps,
            "splits": {"train": f"0:{len(self.rows)}"},
            "data_path": DATA,
            "video_path": VIDEO if self.cameras else None,
            "features": features,
        }
        stats = {name: _stats(np.concatenate(parts)) for name, parts in self._stats.items()}
        for camera in self.cameras:
            stats[_key(camera)] = {k: [[[x]] for x in v] if k != "count" else v for k, v in stats[_key(camera)].items()}
        meta = self.out / "meta"
        meta.mkdir(parents=True, exist_ok=True)
        (meta / "info.json").write_text(json.dumps(info, indent=2))
        (meta / "stats.json").write_text(json.dumps(stats, indent=1))

    def _feature(self, camera: str) -> dict[str, Any]:
        height, width, channels = self.layout[camera]
        about = {"video.height": height, "video.width": width, "video.channels": channels, "video.fps": self.fps}
        about |= {"video.codec": "h264", "video.pix_fmt": PIXELS, "video.is_depth_map": False, "has_audio": False}
        names = ["height", "width", "channels"]
        return {"dtype": "video", "shape": [height, width, channels], "names": names, "info": about}

    def _film(self, camera: str, frames: Sequence[np.ndarray], row: dict[str, Any]) -> None:
        path = self.out / VIDEO.format(video_key=_key(camera), **self.place)
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_video(path, frames, self.fps)
        row |= {f"videos/{_key(camera)}/{name}": value for name, value in self.place.items()}
        row[f"videos/{_key(camera)}/from_timestamp"] = 0.0
        row[f"videos/{_key(camera)}/to_timestamp"] = len(frames) / self.fps
        colours = np.stack(frames[:: max(1, len(frames) // 16)]).reshape(-1, frames[0].shape[-1]) / 255.0
        self._stats.setdefault(_key(camera), []).append(colours)


def _key(camera: str) -> str:
    return f"observation.images.{camera}"


def _stats(values: np.ndarray) -> dict[str, list[Any]]:
    figures = {"min": values.min(0), "max": values.max(0), "mean": values.mean(0), "std": values.std(0)}
    return {name: figure.tolist() for name, figure in figures.items()} | {"count": [len(values)]}


def _write_video(path: Path, frames: Sequence[np.ndarray], fps: float) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(CODEC, rate=Fraction(fps).limit_denominator(1000))
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = PIXELS
        stream.options = {"crf": QUALITY, "g": "2"}  # near keyframes: single frames are read fast
        for image in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


def _column(pa: Any, values: np.ndarray) -> Any:
    if values.ndim == 1 or values.shape[1] == 1:  # LeRobot reads a vector of one entry as a number
        return pa.array(values.ravel())
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])


def _write_tasks(pa: Any, pq: Any, out: Path, tasks: Sequence[str]) -> None:
    """Tasks are the index of a pandas frame, which the file's metadata has to say."""
    table = pa.table({"task_index": list(range(len(tasks))), "task": list(tasks)})
    column = {"field_name": "task", "name": "task", "pandas_type": "unicode", "numpy_type": "object", "metadata": None}
    number = {**column, "field_name": "task_index", "name": "task_index", "pandas_type": "int64", "numpy_type": "int64"}
    about = {"index_columns": ["task"], "column_indexes": [], "columns": [number, column], "pandas_version": "2.0.0"}
    pq.write_table(table.replace_schema_metadata({"pandas": json.dumps(about)}), out / "meta/tasks.parquet")
