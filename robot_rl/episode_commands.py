"""``robot-rl episodes``: what is in a folder of episodes, what its labels say, whether it is whole, and copies of it
for other programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from robot_rl.cli import nearest
from robot_rl.command import TWIN, say
from robot_rl.console.door import LOOPBACK, Address

if TYPE_CHECKING:
    from robot_rl.episodes import EpisodeRow, EpisodeStore

NO_LABEL = "none"
STAGING = f"{TWIN}.recorded:TwinStage"
"""Draws episodes of the twin's tasks. Reached by name: this package does not know the twin."""


@dataclass(kw_only=True)
class Episodes:
    """List, browse, show, label, verify, repair or export recorded episodes.

    list FOLDER · browse FOLDER · show FOLDER EPISODE · label FOLDER EPISODE LABEL · verify FOLDER · repair FOLDER ·
    export FOLDER
    """

    action: Annotated[Literal["list", "browse", "show", "label", "verify", "repair", "export"], tyro.conf.Positional]
    """What to do. browse opens them in the web browser (extra `console`)."""
    folder: Annotated[Path, tyro.conf.Positional]
    """A run's folder, or one of episodes."""
    episode: Annotated[str, tyro.conf.Positional] = ""
    """show, label: the episode's file name, or its number where that is unique."""
    label: Annotated[str, tyro.conf.Positional] = ""
    """label: success, failure, discard, or none for as it was recorded."""
    to: Literal["lerobot", "rerun", "mcap"] = "lerobot"
    """export: LeRobotDataset v3 (extra `lerobot`), one .rrd file an episode for rerun (extra `rerun`), or the files as
    they are, with their labels."""
    out: Path | None = None
    """export: a new folder."""
    address: Annotated[Address, tyro.conf.arg(name="")] = LOOPBACK
    json: bool = False
    """Print one JSON object on stdout and nothing else."""

    @classmethod
    def defaults(cls, arguments: Sequence[str]) -> Episodes:
        return cls(action=tyro.MISSING, folder=tyro.MISSING)

    def run(self) -> Mapping[str, Any]:
        from robot_rl.episodes import EpisodeStore
        from robot_rl.manifest import MANIFEST

        inside = self.folder / "episodes"
        folder = inside if (inside / MANIFEST).exists() else self.folder
        if not folder.is_dir() or not ((folder / MANIFEST).exists() or any(folder.glob("*.mcap*"))):
            raise ValueError(f"no episodes in '{self.folder}': give a run's folder, or one that holds .mcap files")
        store = EpisodeStore(folder)
        try:
            actions = {"list": self._list, "show": self._show, "label": self._label}
            actions |= {"browse": self._browse, "verify": self._verify, "repair": self._repair, "export": self._export}
            return actions[self.action](store)
        finally:
            store.close()

    def _list(self, store: EpisodeStore) -> Mapping[str, Any]:
        rows = store.list()
        steps, successes = sum(row.steps for row in rows), sum(row.succeeded for row in rows)
        return {"episodes": len(rows), "steps": steps, "successes": successes, "files": [_line(row) for row in rows]}

    def _show(self, store: EpisodeStore) -> Mapping[str, Any]:
        row = self._find(store)
        episode = store.read(row)
        first = episode.steps[0]
        seen = {name: f"{value.dtype} {value.shape}" for name, value in first.observation.items()}
        header = episode.header
        about = {"control_hz": header.control_hz, "action_dim": header.action_dim, "setup": dict(header.setup)}
        return {**asdict(row), **about, "base_version": header.base_version, **seen}

    def _label(self, store: EpisodeStore) -> Mapping[str, Any]:
        row = self._find(store)
        if not self.label:
            raise ValueError("say which label: success, failure, discard, or none for as it was recorded")
        store.label(row.path, None if self.label == NO_LABEL else self.label)
        return {"episode": row.path, "label": self.label, "recorded": "success" if row.success else "failure"}

    def _verify(self, store: EpisodeStore) -> Mapping[str, Any]:
        from robot_rl.episode_repair import problems

        rows, found = store.list(), problems(store)
        if found:
            for path, problem in found.items():
                say(f"{path}: {problem}")
            raise ValueError(f"{len(found)} of {len(rows)} episodes are not whole: `robot-rl episodes repair` mends")
        return {"episodes": len(rows), "whole": len(rows)}

    def _repair(self, store: EpisodeStore) -> Mapping[str, Any]:
        from robot_rl.episode_repair import repair

        mended = repair(store)
        for path, what in mended.items():
            say(f"{path}: {what}")
        return {"episodes": len(store.list()), "mended": len(mended)}

    def _export(self, store: EpisodeStore) -> Mapping[str, Any]:
        from robot_rl.export import export

        if self.out is None:
            raise ValueError("say where to: give --out, a new folder")
        episodes, frames = export(store, store.list(), self.to, self.out)
        return {"out": self.out, "episodes": episodes, "frames": frames}

    def _browse(self, store: EpisodeStore) -> Mapping[str, Any]:
        from robot_rl.console.page import browse
        from robot_rl.peoples_code import load_callable

        browse(store.folder, self.address, load_callable(STAGING))
        return {"episodes": len(store.list())}

    def _find(self, store: EpisodeStore) -> EpisodeRow:
        rows = store.list()
        found = [row for row in rows if self.episode in (row.path, Path(row.path).stem, str(row.episode))]
        if len(found) == 1:
            return found[0]
        if found:
            raise ValueError(f"{len(found)} episodes have the number {self.episode}: give a file's name")
        raise ValueError(f"no episode '{self.episode}'; {nearest(self.episode, [row.path for row in rows])}")


def _line(row: EpisodeRow) -> dict[str, Any]:
    outcome = row.label or ("success" if row.success else "failure")
    human = sum(end - start for start, end in row.intervention_spans)
    state = "" if row.complete else "cut off"
    return {
        "path": row.path,
        "kind": row.kind,
        "steps": f"{row.steps} steps",
        "human": f"{human} by a person",
        "outcome": outcome + (" (label)" if row.label else ""),
        "state": state,
    }
