"""``make faults``: what faults cost a training of two processes, in steps and seconds."""

from __future__ import annotations

import argparse

from tests.faults.training_rig import FAULTS, suffer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5, help="how often each fault strikes")
    parser.add_argument("--only", default="", help="faults whose name contains this")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    print(f"{'fault':<30}{'repeats':>8}{'steps':>8}{'lost':>6}{'duplicated':>12}{'recovery s (median, worst)':>29}")
    for name, fault in FAULTS.items():
        if given.only in name:
            seen = suffer(fault, given.repeats, given.seed)
            times = sorted(seen.recovery_s)
            counts = f"{given.repeats:>8}{seen.steps:>8}{seen.lost:>6}{seen.duplicated:>12}"
            print(f"{name:<30}{counts}{times[len(times) // 2]:>20.1f}{times[-1]:>9.1f}", flush=True)


if __name__ == "__main__":
    main()
