"""``robot-rl calibrate-camera``: where a camera of a cell is, with a printed board; ``--sim`` with the twin's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from hardware.setup_commands import TWIN_DEVICES, require_twin, running_twin

if TYPE_CHECKING:
    from hardware.cell import Cell
    from hardware.charuco import Board
    from hardware.hand_eye_report import Report
    from hardware.saved_views import SavedViews

_SCENES = {"ee": "board_on_table", "base": "board_in_hand"}
"""The twin's, by what the camera is fixed to."""


@dataclass(kw_only=True)
class CalibrateCamera:
    """Find where a camera is, by a printed board seen from a dozen poses of the arm; write it into the cell file."""

    board: Path | None = None
    """Only write the board to print, a .pdf or .png, and end."""
    square_mm: float = 30.0
    """Side of the board's squares, mm, as measured on the print: all 8 together, divided by 8."""
    cell: str = ""
    """The cell's .toml file, which is changed. With --sim also a cell by name, which is not."""
    camera: str = ""
    """Name of the camera in the cell file."""
    frame: str | None = None
    """ee: the camera rides on the hand, the board lies still. base: it stands in the room, the hand holds the board."""
    out: Path | None = None
    """Folder for the poses and their pictures; by default beside the cell file. One that has some is gone on with."""
    auto: bool = False
    """Begin with the arm going through the poses by itself, about where it stands."""
    solve_only: bool = False
    """Connect nothing: only work out again what the poses in --out tell."""
    max_error_px: float = 2.0
    """Refuse a result whose poses are further off by what the others tell."""
    sim: bool = False
    """Calibrate a camera of the twin, which has a board."""
    yes: bool = False
    """Ask nothing that has a proposal, take that."""
    json: bool = False
    """Print one JSON object on stdout and nothing else; questions go to stderr in any case."""
    started_in: Annotated[Path | None, tyro.conf.Suppress] = None
    """Folder in which an interrupted calibration can go on."""

    @classmethod
    def defaults(cls, arguments: Sequence[str]) -> CalibrateCamera:
        return cls()

    def run(self) -> Mapping[str, Any]:
        missing = [name for name in ("cv2", "scipy") if find_spec(name) is None]
        if missing:
            raise ValueError(f"{' and '.join(missing)} not installed: pip install 'robot-rl[calibration]'")
        from hardware.charuco import Board

        if not 0.0 < self.square_mm < 1000.0:
            raise ValueError(f"--square-mm {self.square_mm:g}: above 0 and below 1000")
        board = Board(1e-3 * self.square_mm)
        if self.board is not None:
            width_mm, height_mm = board.write(self.board)
            return {"board": str(self.board), "page": f"{width_mm:g} x {height_mm:g} mm; print at 100 %, glue it flat"}
        return self._calibrate(board)

    def _calibrate(self, board: Board) -> Mapping[str, Any]:
        from hardware.camera_calibration import solved
        from hardware.cell_writer import write_camera
        from hardware.saved_views import SavedViews

        cell, path = self._cell()
        beside = Path("runs") / cell.name if path is None else path.with_suffix("")
        folder = self.out or beside.with_name(f"{beside.name}_{self.camera}_poses")
        if self.solve_only:
            saved = SavedViews(folder, board)
            if saved.about.camera != self.camera:
                raise ValueError(f"{folder} holds poses of camera {saved.about.camera!r}: give that, or another --out")
            report = solved(saved, self.max_error_px)
        else:
            saved, report = self._with_arm(cell, board, folder)
        tables = {"extrinsics": asdict(report.found.extrinsics)}
        if saved.about.lens is None:
            tables["intrinsics"] = asdict(report.lens)
        if path is not None:
            write_camera(path, self.camera, tables)
        return {**report.rows(), **tables["extrinsics"], "kept in": str(folder), "written to": str(path or "nowhere")}

    def _cell(self) -> tuple[Cell, Path | None]:
        """The cell, and its file where that is the user's own."""
        from hardware.cell import cell_names, load_cell
        from hardware.toml_dataclass import nearest

        name = self.cell or ("twin" if self.sim else "")
        if not name or (name in cell_names() and not self.sim):
            raise ValueError(
                f"--cell {name!r}: give the path of your own cell file, which `robot-rl setup-cell` writes"
            )
        cell = load_cell(name)
        if self.camera not in cell.cameras:
            raise ValueError(
                f"--camera {self.camera!r}: not in cell {cell.name!r}; {nearest(self.camera, cell.cameras)}"
            )
        if self.sim:
            require_twin(cell, name)
        return cell, None if name in cell_names() else Path(name)

    def _with_arm(self, cell: Cell, board: Board, folder: Path) -> tuple[SavedViews, Report]:
        from hardware.arm_in_hand import arm_in_hand
        from hardware.camera_calibration import CameraCalibration
        from hardware.camera_geometry import FRAMES
        from hardware.cell_answers import one_of
        from hardware.devices import devices_of
        from hardware.questions import Questions
        from hardware.saved_views import About, SavedViews

        given = {"frame": self.frame, "auto": "auto" if self.auto else None}
        questions = Questions({name: text for name, text in given.items() if text is not None}, self.yes)
        before = cell.cameras[self.camera].extrinsics
        proposal = before.frame if before else "ee" if self.camera == "wrist" else "base"
        question = f"{self.camera}: ee, where it rides on the hand, or base, where it stands in the room"
        frame = questions.ask("frame", question, lambda text: one_of(text, FRAMES), proposal)
        size = cell.cameras[self.camera].capture_px
        whole = replace(cell.cameras[self.camera], width_px=size[0], height_px=size[1], crop_px=(0, 0, *size))
        with self._place(cell, frame) as (served, place):
            devices = devices_of(replace(served, cameras={self.camera: whole}), place)
            camera = devices.cameras[self.camera]
            camera.connect()
            try:
                saved = SavedViews(folder, board, About(self.camera, frame, size, getattr(camera, "lens", None)))
                self.started_in = folder
                with arm_in_hand(served, devices) as hand:
                    return saved, CameraCalibration(questions, hand, camera, saved, self.max_error_px).run()
            finally:
                camera.close()

    @contextmanager
    def _place(self, cell: Cell, frame: str) -> Iterator[tuple[Cell, Path]]:
        """The cell, and the folder in which its processes meet; with ``--sim`` those of a twin with a board."""
        from hardware.devices import runtime_folder

        if not self.sim:
            yield cell, runtime_folder(cell.name)
            return
        with running_twin(_SCENES[frame]) as folder:
            yield replace(cell, devices=TWIN_DEVICES), folder
