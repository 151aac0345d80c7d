"""The browser of recorded episodes: list, filter, look, relabel, export."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from robot_rl.console.recorded import (
    ANY,
    HELP,
    OUTCOMES,
    Filter,
    RecordedFrames,
    Stage,
    Staging,
    about,
    date_of,
    table,
    timeline,
)
from robot_rl.console.scene_view import SceneView
from robot_rl.episodes import EpisodeRow, EpisodeStore
from robot_rl.export import Target, export
from robot_rl.types import Episode

if TYPE_CHECKING:
    import viser

LABELS: dict[str, str | None] = {
    "Success": "success", "Failure": "failure", "Discard": "discard", "As recorded": None,
}  # fmt: skip
EXPORTS: dict[str, Target] = {"MCAP": "mcap", "LeRobot": "lerobot"}
NOTHING = "no episode"


class EpisodesTab:
    """What the person sees and may do. All of it happens in one thread, since a renderer belongs to one."""

    def __init__(
        self, server: viser.ViserServer, folder: Path, staging: Staging | None, in_scene: bool = False
    ) -> None:
        """``staging``: draws episodes without cameras, and moves the bodies ``in_scene`` where nothing else does."""
        self._server, self._folder, self._staging, self._in_scene = server, folder, staging, in_scene
        self._worker = ThreadPoolExecutor(1)
        self._all: list[EpisodeRow] = []
        self._rows: list[EpisodeRow] = []
        self._row: EpisodeRow | None = None
        self._episode: Episode | None = None
        self._stage: Stage | None = None
        self._view: SceneView | None = None
        self._stopped = Event()
        self._stopped.set()
        self._build()
        self._worker.submit(self._guarded, self._refresh)

    def close(self) -> None:
        """End what plays, free what draws."""
        self._stopped.set()
        if self._stage is not None:
            self._worker.submit(self._stage.close)
        self._worker.shutdown()

    def _build(self) -> None:
        gui = self._server.gui
        self._filters = {
            "outcome": gui.add_dropdown("Outcome", OUTCOMES),
            "help": gui.add_dropdown("Interventions", HELP),
            "task": gui.add_dropdown("Task", (ANY,)),
            "date": gui.add_dropdown("Date", (ANY,)),
        }
        self._table = gui.add_html("")
        self._choice: Any = gui.add_dropdown("Episode", (NOTHING,))
        turn = gui.add_button_group("", ("Previous", "Next", "Read again"))
        label = gui.add_button_group("Label", tuple(LABELS))
        self._images: dict[str, Any] = {}
        self._pictures = gui.add_folder("Recording")
        with self._pictures:
            self._slider: Any = gui.add_slider("Step", 0, 1, 1, 0)
            play = gui.add_button_group("", ("Play", "Stop"))
            self._timeline = gui.add_html("")
            self._about = gui.add_html("")
        with gui.add_folder("Export what is listed, but for what is discarded"):
            self._out = gui.add_text("To folder", str(self._folder.parent / "exported"))
            export = gui.add_button_group("As", tuple(EXPORTS))
        self._said = gui.add_html("")
        for control in self._filters.values():
            control.on_update(self._queued(self._list))
        self._choice.on_update(self._queued(self._choose))
        self._slider.on_update(self._queued(self._show))
        turn.on_click(self._queued(self._turn, turn))
        play.on_click(self._queued(self._play, play))
        label.on_click(self._queued(self._label, label))
        export.on_click(self._queued(self._export, export))

    def _queued(self, work: Callable[..., None], control: Any = None) -> Callable[[Any], Any]:
        """A callback that has the worker do ``work``, with the value that ``control`` then had."""

        async def queued(event: Any) -> None:
            if event.client_id is None:  # Set from here, and seen to.
                return
            self._stopped.set()  # Whatever the person does ends what plays.
            arguments = () if control is None else (control.value,)
            self._worker.submit(self._guarded, work, *arguments)

        return queued

    def _guarded(self, work: Callable[..., None], *arguments: Any) -> None:
        try:
            self._say("")
            work(*arguments)
        except (ValueError, OSError, KeyError) as error:
            self._say(str(error))

    def _say(self, text: str) -> None:
        self._said.content = f"<div id='said' style='padding:.3em .8em'><b>{text}</b></div>" if text else ""

    @contextmanager
    def _store(self) -> Iterator[EpisodeStore]:
        store = EpisodeStore(self._folder)
        try:
            yield store
        finally:
            store.close()

    # -- the list ----------------------------------------------------------------------------------------------------

    def _refresh(self) -> None:
        """Read the folder again."""
        with self._store() as store:
            self._all = store.list()
        for name, values in (("task", {row.task for row in self._all}), ("date", {date_of(row) for row in self._all})):
            _offer(self._filters[name], (ANY, *sorted(values)))
        self._list()

    def _list(self) -> None:
        wanted = Filter(**{name: control.value for name, control in self._filters.items()})
        self._rows = [row for row in self._all if wanted.keeps(row)]
        _offer(self._choice, tuple(row.path for row in self._rows) or (NOTHING,))
        self._choose()

    def _turn(self, button: str) -> None:
        if button == "Read again":
            self._refresh()
        elif self._rows:
            paths = [row.path for row in self._rows]
            at = paths.index(self._choice.value) + (1 if button == "Next" else -1)
            self._choice.value = paths[at % len(paths)]
            self._choose()

    def _choose(self) -> None:
        """Read the chosen episode, unless it is the one that is shown."""
        row = next((row for row in self._rows if row.path == self._choice.value), None)
        self._table.content = table(self._rows, self._choice.value)
        if row is None or (self._row is not None and self._row.path == row.path):
            self._row = row
            self._show()
            return
        self._say(f"reading {row.path} …")
        with self._store() as store:
            episode = store.read(row)
        self._set_stage(self._folder / row.path, episode)
        self._say("")
        self._row, self._episode = row, episode
        self._slider.value, self._slider.max = 0, max(len(episode.steps) - 1, 1)
        self._show()

    # -- one episode -------------------------------------------------------------------------------------------------

    def _set_stage(self, path: Path, episode: Episode) -> None:
        if self._stage is not None:
            self._stage.close()
        try:
            stage = RecordedFrames(episode) if self._staging is None else self._staging(path, episode)
        except ValueError as error:
            stage = RecordedFrames(episode, str(error))
        self._stage = stage
        if self._view is not None:
            self._view.remove()
        scene = stage.scene if self._in_scene else None
        self._view = None if scene is None else SceneView(self._server, scene)

    def _show(self) -> None:
        row, episode, stage = self._row, self._episode, self._stage
        if row is None or episode is None or stage is None:
            self._timeline.content = self._about.content = ""
            return
        at = min(int(self._slider.value), len(episode.steps) - 1)
        pictures = stage.pictures(at)
        for name in set(self._images) - set(pictures):
            self._images.pop(name).remove()
        for name, image in pictures.items():
            if name not in self._images:
                with self._pictures:
                    self._images[name] = self._server.gui.add_image(image, label=name)
            self._images[name].image = image
        if self._view is not None:
            self._view.move(stage.body_poses(at))
        self._timeline.content = f"<div style='padding:.3em .8em'>{timeline(episode.steps, at)}</div>"
        text = about(row, episode, at, stage.note)
        self._about.content = f"<div id='about' style='padding:.3em .8em;font-size:.85em'>{text}</div>"

    def _play(self, button: str) -> None:
        if button == "Stop" or self._episode is None:
            return
        self._stopped.clear()
        last, period_s = len(self._episode.steps) - 1, 1.0 / self._episode.header.control_hz
        if self._slider.value >= last:
            self._slider.value = 0
        while self._slider.value < last and not self._stopped.wait(period_s):
            self._slider.value += 1
            self._show()
        self._stopped.set()

    # -- what changes something --------------------------------------------------------------------------------------

    def _label(self, button: str) -> None:
        if self._row is None:
            return
        with self._store() as store:
            store.label(self._row.path, LABELS[button])
        self._refresh()

    def _export(self, button: str) -> None:
        out = Path(self._out.value)
        with self._store() as store:
            rows, steps = export(store, self._rows, EXPORTS[button], out)
        self._say(f"{rows} episodes, {steps} steps are in {out}")


def _offer(dropdown: Any, options: tuple[str, ...]) -> None:
    """Let these be chosen; what is chosen stays where it still can be."""
    if tuple(dropdown.options) != options:
        chosen = dropdown.value
        dropdown.options = options
        if chosen in options:
            dropdown.value = chosen
