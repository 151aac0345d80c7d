"""What a run's folder says of the environment that it was made in, and of the test that it will be put to."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

from robot_rl.command import TWIN

if TYPE_CHECKING:
    from robot_rl.rollout import EnvSpec

DECLARED = "final_test.json"
"""What the final test of a run is, written down before training."""


def declare_test(out: Path, episodes: int, seed: int) -> None:
    """Write down what the final test will be, before anything is learned. ValueError where ``out`` declared another."""
    path = out / DECLARED
    declared = {"episodes": episodes, "stream": "evaluation", "seed": seed, "person": None}
    if path.exists() and json.loads(path.read_text()) != declared:
        raise ValueError(f"'{out}' declared another final test ({path.name}): give another --out, or the same options")
    path.write_text(json.dumps(declared), encoding="utf-8")


def write_config(out: Path, spec: EnvSpec, seed: int) -> None:
    """``config.json`` of a run that has no trainer to write it."""
    (out / "config.json").write_text(json.dumps({"env": dataclasses.asdict(spec), "seed": seed}, indent=1))


def spec_of_run(folder: Path, named: str | None = None) -> EnvSpec | None:
    """The environment that the run around a policy was trained in; None where no run is around it, or the user
    ``named`` another. A module or namespace in its id is imported, and no folder chooses what is run here: ValueError
    where that is neither the twin's nor what the user named."""
    from robot_rl.rollout import EnvSpec

    for place in (folder, folder.parent):
        if (place / "config.json").exists():
            spec = EnvSpec(**json.loads((place / "config.json").read_text())["env"])
            if named is None and not spec.id.startswith(f"{TWIN}:") and set(spec.id) & set(":/"):
                raise ValueError(
                    f"'{folder}' was trained in '{spec.id}'; making that runs code: if you trust it, --env {spec.id}"
                )
            return spec if named in (None, spec.id) else None
    return None
