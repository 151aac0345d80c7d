"""The commands of ``robot-rl`` for a new cell: doctor, setup-cell.

``--sim`` runs each against the twin: its arm in a process of its own, as `robot-rl twin` starts it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

_TWIN_STARTS_S = 60.0


@contextmanager
def running_twin() -> Iterator[Path]:
    """The folder of a twin's arm, which runs as long as this lasts. ``ConnectionError`` where it does not start."""
    code = "import sys; from robot_rl.cli import main; sys.exit(main())"
    with tempfile.TemporaryDirectory(prefix="twin-") as name:
        folder = Path(name)
        twin = subprocess.Popen(
            [sys.executable, "-c", code, "twin", "--folder", name, "--json"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
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
        from hardware.doctor import examine

        found = list(examine(doctor_computer.checks(self.folder)))
        if self.sim:
            with running_twin() as folder:
                found += self._of_cell(self.cell or "twin", folder)
        elif self.cell:
            from hardware.devices import runtime_folder

            found += self._of_cell(self.cell, runtime_folder(self.cell))
        return found

    def _of_cell(self, name: str, folder: Path) -> list[Any]:
        from hardware import doctor_devices
        from hardware.cell import load_cell
        from hardware.devices import devices_of
        from hardware.doctor import examine

        cell = load_cell(name)
        devices = devices_of(cell, folder)
        return list(examine(doctor_devices.checks(cell, devices, self.trip_watchdog or self.sim)))
