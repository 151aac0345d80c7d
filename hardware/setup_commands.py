"""The commands of ``robot-rl`` for a new cell: doctor, setup-cell.

``--sim`` runs each against the twin: its arm in a process of its own, as `robot-rl twin` starts it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

if TYPE_CHECKING:
    from hardware.cell import Cell

_TWIN_STARTS_S = 60.0
TWIN_DEVICES = "sim.remote_scene:devices"
"""Arm, cameras and person of a twin that runs elsewhere. Reached by name: this package does not know the twin."""


def require_twin(cell: Cell, name: str) -> None:
    """Raises ``ValueError`` for a real cell, called ``name``, with ``--sim``: its arm would be looked at, and moved."""
    if cell.devices.partition(".")[0] != TWIN_DEVICES.partition(".")[0]:
        raise ValueError(
            f"--sim: {name} is a real cell, and the twin has devices of its own: leave one of them out, or write a "
            "cell of the twin by `robot-rl setup-cell --sim`"
        )


@contextmanager
def running_twin(task: str = "reach") -> Iterator[Path]:
    """The folder of a twin's arm, which runs in the scene of ``task`` as long as this lasts. ``ConnectionError`` where
    it does not start."""
    code = "import sys; from robot_rl.cli import main; sys.exit(main())"
    with tempfile.TemporaryDirectory(prefix="twin-") as name:
        folder = Path(name)
        twin = subprocess.Popen(
            [sys.executable, "-c", code, "twin", "--task", task, "--folder", name, "--json"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is the guard's first: the arm outlives it.
        )
        try:
            deadline_s = time.monotonic() + _TWIN_STARTS_S
            while not any(folder.glob("*.sock")):
                if twin.poll() is not None or time.monotonic() > deadline_s:
                    said = "" if twin.poll() is None or twin.stderr is None else twin.stderr.read().strip()
                    raise ConnectionError(f"the twin did not start: {said or 'it takes too long'}")
                time.sleep(0.05)
            yield folder
        finally:
            twin.terminate()
            twin.wait()


@dataclass(kw_only=True)
class Doctor:
    """Look at computer and cell: PASS, WARN or FAIL, and what puts it right. Exit code 1 where one FAILs."""

    cell: str = ""
    """Cell by name, or the path of its .toml file; without one only the computer is looked at."""
    sim: bool = False
    """Look at the twin as if it were the arm."""
    trip_watchdog: bool = False
    """Have the arm stopped by its own watchdog (S3): it moves 1 to 2 cm up, so clear the space. Part of --sim."""
    by_hand: bool = False
    """Look also at what needs you beside the cell: it asks you to unplug each camera, to push the teleop device and to
    press the emergency stop."""
    folder: Path = Path("runs")
    """Where episodes will be written."""
    json: bool = False
    """Print one JSON object on stdout and nothing else; progress goes to stderr in any case."""
    exit_code: Annotated[int, tyro.conf.Suppress] = 0

    @classmethod
    def defaults(cls, arguments: Sequence[str]) -> Doctor:
        return cls()

    def run(self) -> Mapping[str, Any]:
        from hardware.doctor import Level

        if self.by_hand and (self.sim or not self.cell):
            raise ValueError("--by-hand needs a real cell: give its file as --cell, and leave --sim out")
        findings = self._findings()
        self.exit_code = int(any(finding.level is Level.FAIL for finding in findings))
        counts = {level.name: sum(finding.level is level for finding in findings) for level in Level}
        if self.json:
            rows = [{"level": f.level.name, "what": f.what, "found": f.found, "fix": f.fix} for f in findings]
        else:
            rows = [finding.row() for finding in findings]
        return {"findings": rows, "summary": ", ".join(f"{count} {name}" for name, count in counts.items())}

    def _findings(self) -> list[Any]:
        from hardware import doctor_computer
        from hardware.cell import load_cell, load_cells
        from hardware.devices import runtime_folder
        from hardware.doctor import examine
        from hardware.questions import say

        name = self.cell or ("twin" if self.sim else "")
        cells = {"": load_cell(name)} if self.sim else load_cells(name) if name else {}
        if self.sim:
            require_twin(cells[""], name)
        if self.trip_watchdog and len(cells) > 1:
            raise ValueError(
                f"--trip-watchdog: {name} has several arms, and none moves without the others' guards (S30)"
            )
        found = list(examine(doctor_computer.checks(self.folder)))
        for arm, cell in cells.items():
            with running_twin() if self.sim else nullcontext(runtime_folder(cell.name)) as folder:
                if arm and self.by_hand:
                    say(f"  the {arm} arm, its cameras and its device:")
                own = self._of_cell(cell, folder)
            found += [replace(finding, what=f"{arm} {finding.what}".strip()) for finding in own]
        return found

    def _of_cell(self, cell: Cell, folder: Path) -> list[Any]:
        from hardware import doctor_by_hand, doctor_devices
        from hardware.devices import devices_of
        from hardware.doctor import examine

        devices = devices_of(cell, folder)
        checks = doctor_devices.checks(cell, devices, self.trip_watchdog or self.sim)
        return list(examine(checks + (doctor_by_hand.checks(devices) if self.by_hand else [])))


@dataclass(kw_only=True)
class SetupCell:
    """Write a cell file by asking: devices, home, workspace, crops. Every question has an option that answers it."""

    out: Path
    """The file to write, as my_cell.toml. One that exists is never overwritten; stills of its cameras lie beside it."""
    sim: bool = False
    """Set up the twin as if it were the arm."""
    like: str | None = None
    """Cell to begin from, by name or path of a .toml file: what nothing asks for stays as it is there. By default
    fr3_two_realsense, with --sim twin."""
    yes: bool = False
    """Ask nothing that has a proposal, take that."""
    name: str | None = None
    """Name of the cell."""
    arm: str | None = None
    """Model of arm, by the driver's name."""
    address: str | None = None
    """Network address of the arm's controller."""
    payload: tuple[str, ...] | None = None
    """What is mounted beyond the vendor's gripper: kg, and its centre from the flange, x y z, m."""
    table_m: str | None = None
    """Height of the table's top over the arm's base, m."""
    cameras: tuple[str, ...] | None = None
    """As wrist=realsense:SERIAL front=uvc:PATH, or none."""
    crops: tuple[str, ...] = ()
    """What to keep of a camera's picture, as front=160,80,320,320: left, top, width, height, px."""
    teleop: str | None = None
    """spacemouse, gamepad, evdev, keyboard or none; of several as spacemouse:PATH."""
    home: tuple[str, ...] | None = None
    """Joint angles, rad; or here."""
    wrench_bias: tuple[str, ...] | None = None
    """What the arm feels with nothing touched: six numbers, N and Nm; or zero, to measure it."""
    corners: tuple[str, ...] | None = None
    """Workspace: least x y z and greatest x y z, m; or around, 10 cm about home."""
    json: bool = False
    """Print one JSON object on stdout and nothing else; questions go to stderr in any case."""

    @classmethod
    def defaults(cls, arguments: Sequence[str]) -> SetupCell:
        return cls(out=tyro.MISSING)

    def run(self) -> Mapping[str, Any]:
        from hardware.cell import cell_file, load_cell
        from hardware.cell_writer import require_free
        from hardware.toml_dataclass import read_toml

        require_free(self.out)
        name = self.like or ("twin" if self.sim else "fr3_two_realsense")
        arm = load_cell(name).arm  # Refuses what makes no sense, and a file of several arms.
        if self.sim and arm != (twins := load_cell("twin").arm):
            raise ValueError(f"--like {name} has a {arm}; the twin's arm is a {twins}: leave --like or --sim out")
        like = read_toml(cell_file(name))
        if not self.sim:
            return self._ask(like, self.out.parent)
        with running_twin() as folder:
            return self._ask({**like, "devices": TWIN_DEVICES}, folder)

    def _ask(self, like: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
        from hardware.cell_wizard import CellWizard
        from hardware.cell_writer import write_cell
        from hardware.questions import Questions

        questions = Questions(self._answers(), self.yes)
        wizard = CellWizard(questions, like, folder, self.out.with_suffix(""))
        try:
            cell = write_cell(wizard.run(), self.out)
        except BaseException:  # Ctrl-C too: without the cell nobody needs its pictures.
            for picture in wizard.pictures:
                Path(picture).unlink(missing_ok=True)
            raise
        doctor = f"robot-rl doctor {'--sim ' if self.sim else ''}--cell {self.out}"
        result = {"cell": str(self.out), "cameras": " ".join(cell.cameras) or "none", "next": doctor}
        unknown = [name for name, camera in cell.cameras.items() if camera.extrinsics is None]
        if unknown:  # Nothing needs to know where a camera is; what does can be told with a printed board.
            sim = "--sim " if self.sim else ""
            result["then"] = f"robot-rl calibrate-camera {sim}--cell {self.out} --camera {unknown[0]}"
        return result

    def _answers(self) -> dict[str, str]:
        names = ("name", "arm", "address", "payload", "table_m", "cameras", "teleop", "home", "wrench_bias", "corners")
        given = {name.replace("_", "-"): getattr(self, name) for name in names}
        texts = {
            name: value if isinstance(value, str) else " ".join(value)
            for name, value in given.items()
            if value is not None
        }
        for word in self.crops:
            camera, _, part = word.partition("=")
            texts[f"crops {camera}"] = part
        return texts
