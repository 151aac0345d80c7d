"""``make faults``: what faults cost a training of two processes, in steps and seconds; damage to episode files byte by
byte; corrupt frames at both sockets of the link."""

from __future__ import annotations

import argparse
import tempfile
from itertools import pairwise
from pathlib import Path

from robot_rl.demonstrations import collect_demos
from robot_rl.rollout import EnvSpec
from tests.faults.damage import saved_by_position
from tests.faults.training_rig import FAULTS, POINT, suffer
from tests.robot_rl.link_fuzz import fuzz_actor, fuzz_learner

DEMONSTRATOR = f"{POINT.partition(':')[0]}:demonstrate"


def processes(repeats: int, only: str, seed: int) -> None:
    """Each fault, several times in one run."""
    print(f"{'fault':<30}{'repeats':>8}{'steps':>8}{'lost':>6}{'duplicated':>12}{'recovery s (median, worst)':>29}")
    for name, fault in FAULTS.items():
        if only in name:
            seen = suffer(fault, repeats, seed)
            times = sorted(seen.recovery_s)
            counts = f"{repeats:>8}{seen.steps:>8}{seen.lost:>6}{seen.duplicated:>12}"
            print(f"{name:<30}{counts}{times[len(times) // 2]:>20.1f}{times[-1]:>9.1f}", flush=True)


def damage(every: int) -> None:
    """One episode's file, cut and bent at every position of its last 64 KiB."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        collect_demos(folder / "demos", EnvSpec(POINT), 4, 0, DEMONSTRATOR)
        path = max((folder / "demos").glob("*.mcap"), key=lambda file: file.stat().st_size)
        seen = list(saved_by_position(path, every, folder / "one"))
    wrong = sum(after_cut + after_flip for _, after_cut, after_flip in seen)
    fell = sum(later < earlier for (earlier, _, _), (later, _, _) in pairwise(seen))
    print(f"episode file: {len(seen)} cuts and {len(seen)} flips, {wrong} wrong steps, {fell} longer files gave less")


def frames(count: int) -> None:
    """Corrupt frames at either socket."""
    for name, fuzz in (("learner", fuzz_learner), ("actor", fuzz_actor)):
        with tempfile.TemporaryDirectory() as folder:
            seen = fuzz(Path(folder), count)
        well = "works on" if seen.alive else "IS DEAD"
        print(f"{name}'s socket: {seen.sent} frames, {seen.refused} refused, {well}, {seen.grown_mb:.0f} MB more")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5, help="how often each fault strikes; 0 leaves them out")
    parser.add_argument("--only", default="", help="faults whose name contains this")
    parser.add_argument("--every", type=int, default=1, help="bytes between positions of damage; 0 leaves it out")
    parser.add_argument("--frames", type=int, default=100_000, help="corrupt frames a socket; 0 leaves them out")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if given.repeats:
        processes(given.repeats, given.only, given.seed)
    if given.every:
        damage(given.every)
    if given.frames:
        frames(given.frames)


if __name__ == "__main__":
    main()
