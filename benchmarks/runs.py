"""Runs of ``robot-rl`` that benchmarks are made of: each in a process of its own; what runs have in common, once."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from robot_rl.config import CloningConfig, from_dict

PROGRAM = (sys.executable, "-m", "robot_rl")
SHARED = ("demos", "base", "final_test.json", "evaluations/base.json", "evaluations/blind.json")
"""What runs of one task and seed have in common, whatever learns: the same seeds would make the same again."""


def robot_rl(*arguments: object) -> dict[str, Any]:
    """Run ``robot-rl``, its progress on our stderr; the JSON object that it prints. SystemExit where it fails."""
    done = subprocess.run([*PROGRAM, *map(str, arguments), "--json"], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"robot-rl {arguments[0]} stopped with code {done.returncode}; the same command goes on with it")
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def share(runs: Path, like: str, out: Path, cloning: CloningConfig) -> None:
    """Give the new run ``out`` demonstrations, base and their tests, where a finished run in ``runs`` whose name
    matches ``like`` has them, cloned as ``cloning`` wants."""
    for other in sorted(runs.glob(like)):
        if out.exists() or not (other / "summary.json").exists():
            continue
        theirs = json.loads((other / "config.json").read_text())["train"]["cloning"]
        if from_dict(CloningConfig, theirs) != cloning:
            continue
        part = runs / f"{out.name}.part"
        shutil.rmtree(part, ignore_errors=True)
        for name in SHARED:
            source, target = other / name, part / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(source, target) if source.is_dir() else shutil.copy2(source, target)
        part.rename(out)
