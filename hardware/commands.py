"""The commands of ``robot-rl`` that belong to the robot's side: arm, blackbox, guard.

Found as entry points; what a command must be is written in ``robot_rl/cli.py`` (``Runnable``). Nothing of that package
is imported here, and nothing heavy before a command runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

Wish = Literal["status", "engage", "hold", "resume", "reset", "disarm", "recover"]
"""What an operator may ask of a guard; ``hardware/guard_socket.py`` says what each does."""


@dataclass(kw_only=True)
class GuardCommand:
    """Guard an arm: the only way to it, at a fixed rate, until SIGTERM or Ctrl-C brings it to rest."""

    cell: str = "twin"
    """Cell by name, or the path of its .toml file."""
    profile: str = "collaborative"
    """Limits of the cell to enforce."""
    task: str = ""
    """What the arm is to do, by its name in the cell file: what stands there, is held, may be touched."""
    control_hz: float = 10.0
    """Rate at which commands will come; without them for 1.5 periods the guard holds."""
    folder: Path | None = None
    """Where lock, socket and black box go; one of the cell's own by default."""
    realtime: bool = True
    """Ask the system for real-time scheduling."""
    json: bool = False
    """Print one JSON object on stdout and nothing else; progress goes to stderr in any case."""

    @classmethod
    def defaults(cls, arguments: Sequence[str]) -> GuardCommand:
        return cls()

    def run(self) -> Mapping[str, Any]:
        import logging

        from hardware.cell import load_cell
        from hardware.devices import runtime_folder
        from hardware.guard_process import run_guard

        logging.basicConfig(level=logging.INFO, format="%(message)s")
        cell = load_cell(self.cell)
        folder = self.folder or runtime_folder(cell.name)
        times = run_guard(cell, folder, self.profile, self.realtime, self.control_hz, self.task)
        return {"cell": cell.name, "ticks": len(times.ticks), "missed_ticks": times.missed, **times.percentiles()}


@dataclass(kw_only=True)
class ArmRequest:
    """Ask the guard that runs (robot-rl guard) for something, as its operator: what it does then is printed.

    status: say how things are. engage: DISARMED to ARMED. hold: a controlled stop. resume: HOLD to ARMED. reset: any
    mode to DISARMED. disarm: a controlled stop that ends DISARMED. recover: have the arm clear an error of its own.
    """

    do: Annotated[Wish, tyro.conf.Positional]
    """What is asked for."""
    cell: str = "twin"
    """Cell by name, or the path of its .toml file, as the guard was given it."""
    folder: Path | None = None
    """The guard's folder, where it was given one."""
    reason: str = "the operator asked for it"
    """Of a hold; it is what everybody reads who finds the arm standing."""
    json: bool = False
    """Print one JSON object on stdout and nothing else."""

    @classmethod
    def defaults(cls, arguments: Sequence[str]) -> ArmRequest:
        return cls(do=tyro.MISSING)

    def run(self) -> Mapping[str, Any]:
        from dataclasses import asdict

        from hardware.cell import load_cell
        from hardware.devices import runtime_folder
        from hardware.guard_process import SOCKET
        from hardware.guard_socket import GuardClient

        client = GuardClient((self.folder or runtime_folder(load_cell(self.cell).name)) / SOCKET)
        try:
            status = client.request(self.do, reason=self.reason)
        finally:
            client.close()
        if status.error:
            raise ValueError(f"{self.do} was refused: {status.error}")
        found = asdict(status)
        del found["error"]
        return found


@dataclass(kw_only=True)
class BlackBoxReport:
    """Say what happened in the seconds before the guard stopped the arm, and plot it."""

    file: Annotated[Path, tyro.conf.Positional]
    """A .mcap file of a run's black_box folder."""
    page: Path | None = None
    """Where the charts go, an HTML page; beside the file by default."""
    json: bool = False
    """Print one JSON object on stdout and nothing else."""

    @classmethod
    def defaults(cls, arguments: Sequence[str]) -> BlackBoxReport:
        return cls(file=tyro.MISSING)

    def run(self) -> Mapping[str, Any]:
        from hardware.black_box_page import page
        from hardware.black_box_report import headline, limits_touched, read_black_box, timeline

        record = read_black_box(self.file)
        path = self.page or self.file.with_suffix(".html")
        path.write_text(page(record), encoding="utf-8")
        return {
            "what": headline(record),
            "timeline": [{"at": f"{event.at_s:+7.2f} s", "what": event.what} for event in timeline(record)],
            "limits": [
                {"limit": f"{row['limit']:>4}", "ticks": f"{row['ticks']} ticks", "worst": f"worst {row['worst']}"}
                | {"whose": row["whose"]}
                for row in limits_touched(record)
            ],
            "page": path,
        }
