"""``make faults``: what faults cost a training of two processes, in steps and seconds; damage to episode files byte by
byte; corrupt frames at both sockets of the link.

Each row is kept in ``benchmarks/results/link/faults.json`` as soon as it is measured, and all of them make the table of
``benchmarks/RESULTS.md``: ``--only`` measures some again.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.page import put
from tests.faults.damage import record_pictures, saved_by_position
from tests.faults.training_faults import FAULTS, LONG, LOST_PER_FAULT, ON_SMALL_DISKS, suffer
from tests.robot_rl.link_fuzz import fuzz_actor, fuzz_learner

RESULTS = Path(__file__).resolve().parent / "results" / "link" / "faults.json"
DAMAGE, FRAMES = "damage", "frames"
SHM = Path("/dev/shm")
"""Where bringing a file to disk costs nothing: damage is not about that."""


def processes(repeats: int, only: str, seed: int) -> None:
    """Each fault, several times in one run; those that last long a quarter as often."""
    for name, fault in {**FAULTS, **ON_SMALL_DISKS, **LONG}.items():
        if only not in name:
            continue
        times = max(2, repeats // 4) if name in LONG else repeats
        try:
            seen = suffer(fault, times, seed, small_disks=name in ON_SMALL_DISKS)
        except PermissionError as missing:
            keep(name, {"skipped": str(missing)})
            continue
        counts = {"repeats": times, "steps": seen.steps, "lost": seen.lost, "duplicated": seen.duplicated}
        recovery = {"median_s": statistics.median(seen.recovery_s), "worst_s": max(seen.recovery_s)}
        keep(name, {**counts, **recovery})


def damage(every: int) -> None:
    """One episode's file, cut and bent at every position of its last 64 KiB."""
    with tempfile.TemporaryDirectory(dir=SHM if SHM.is_dir() else None) as name:
        path = record_pictures(Path(name) / "demos")
        seen = list(saved_by_position(path, every, Path(name) / "one"))
    wrong = sum(after_cut + after_flip for _, after_cut, after_flip in seen)
    fell = sum(later < earlier for (earlier, _, _), (later, _, _) in pairwise(seen))
    keep(DAMAGE, {"positions": len(seen), "wrong_steps": wrong, "longer_gave_less": fell})


def frames(count: int) -> None:
    """Corrupt frames at either socket."""
    found = {}
    for name, fuzz in (("learner", fuzz_learner), ("actor", fuzz_actor)):
        with tempfile.TemporaryDirectory() as folder:
            found[name] = fuzz(Path(folder), count)._asdict()
    keep(FRAMES, found)


def keep(name: str, row: dict[str, Any]) -> None:
    """Add or replace a row of the results, and write the table."""
    print(f"{name}: {json.dumps(row)}", flush=True)
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    rows = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    rows[name] = row
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n")
    put("link-faults", table(rows))


def table(rows: dict[str, dict[str, Any]]) -> str:
    """The rows as Markdown."""
    lines = [
        "| fault | repeats | steps | lost | duplicated | recovery, median | worst |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in (*FAULTS, *ON_SMALL_DISKS, *LONG):
        row = rows.get(name, {"skipped": "not run yet"})
        if "skipped" in row:
            lines.append(f"| {name} | {row['skipped']} | | | | | |")
            continue
        over = row["lost"] > row["repeats"] * LOST_PER_FAULT.get(name, 0) or row["duplicated"]
        counts = f"{row['repeats']} | {row['steps']:,} | {row['lost']} | {row['duplicated']}"
        times = f"{row['median_s']:.1f} s | {row['worst_s']:.1f} s"
        lines.append(f"| {name}{' **over**' * bool(over)} | {counts} | {times} |")
    lines.append("")
    if DAMAGE in rows:
        seen = rows[DAMAGE]
        lines.append(
            f"An episode's file cut at {seen['positions']:,} and bent at as many positions of its last 64 KiB: "
            f"{seen['wrong_steps']} wrong steps, {seen['longer_gave_less']} times a longer file gave less.\n"
        )
    for name, seen in rows.get(FRAMES, {}).items():
        end = "works on" if seen["alive"] else "**is dead**"
        counts = f"{seen['sent']:,} corrupt frames, {seen['refused']:,} refused"
        lines.append(f"The {name}'s socket: {counts}, it {end}, {seen['grown_mb']:.0f} MB more memory.")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=12, help="how often each fault strikes; 0 leaves them out")
    parser.add_argument("--only", default="", help="faults whose name contains this")
    parser.add_argument("--every", type=int, default=1, help="bytes between positions of damage; 0 leaves it out")
    parser.add_argument("--frames", type=int, default=100_000, help="corrupt frames a socket; 0 leaves them out")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if given.repeats:
        processes(given.repeats, given.only, given.seed)
    if given.every and not given.only:
        damage(given.every)
    if given.frames and not given.only:
        frames(given.frames)


if __name__ == "__main__":
    main()
