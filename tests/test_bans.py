"""Calls that must not be: unsafe deserialisation anywhere, wall time in control code, global random state."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CODE = ("hardware", "robot_rl", "sim", "ros_ws", "launch", "benchmarks")
CONTROL = ("hardware/", "sim/", "robot_rl/env.py", "robot_rl/rollout.py", "robot_rl/task.py")
"""Where the injected clock alone tells the time (S20)."""

UNSAFE_MODULES = ("pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal")
UNSAFE_CALLS = (
    "torch.load",
    "torch.save",
    "numpy.save",
    "yaml.load",
    "yaml.unsafe_load",
    "yaml.full_load",
    "eval",
    "exec",
)
WALL_TIME = (
    "time.time",
    "time.time_ns",
    "datetime.datetime.now",
    "datetime.datetime.utcnow",
    "datetime.datetime.today",
)
OWN_GENERATORS = ("default_rng", "Generator", "SeedSequence", "PCG64", "BitGenerator")
WALL_TIME_ALLOWED: tuple[str, ...] = ()
"""Control files that may read the wall clock as information."""
GLOBAL_GENERATOR_ALLOWED = ("benchmarks/gym_hil/random_cube.py",)
"""Files that must seed NumPy's global generator because somebody else's environment draws from it."""


def names_of_imports(tree: ast.AST) -> dict[str, str]:
    """Local name → what it stands for: ``np`` → ``numpy``, ``now`` → ``time.time``."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return names


def qualified(node: ast.AST, names: dict[str, str]) -> str | None:
    """``np.random.rand`` → ``numpy.random.rand``; None for what is no plain name."""
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        base = qualified(node.value, names)
        return None if base is None else f"{base}.{node.attr}"
    return None


def banned(path: str, source: str) -> Iterator[str]:
    """What ``source``, a file at ``path`` under the root, uses and must not."""
    tree = ast.parse(source)
    names = names_of_imports(tree)
    used = {
        n for node in ast.walk(tree) if isinstance(node, (ast.Name, ast.Attribute)) if (n := qualified(node, names))
    }
    control = any(path.startswith(prefix) for prefix in CONTROL) and path not in WALL_TIME_ALLOWED
    for name in sorted(used | set(names.values())):
        if name.split(".")[0] in UNSAFE_MODULES or name in UNSAFE_CALLS:
            yield f"{name}: data from a file or the network must not run code"
        if control and name in WALL_TIME:
            yield f"{name}: time comes from the injected clock"
        shared = name.startswith("numpy.random.") and name.split(".")[2] not in OWN_GENERATORS
        if shared and path not in GLOBAL_GENERATOR_ALLOWED:
            yield f"{name}: hand a numpy Generator in"
        if name.startswith("random.") and names.get("random", "random") == "random" and "random" in names:
            yield f"{name}: hand a numpy Generator in"


def sources() -> list[str]:
    return sorted(str(p.relative_to(ROOT)) for folder in CODE for p in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("path", sources())
def test_nothing_banned_is_used(path: str) -> None:
    assert list(banned(path, (ROOT / path).read_text())) == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("robot_rl/x.py", "import pickle"),
        ("robot_rl/x.py", "from pickle import loads"),
        ("robot_rl/x.py", "import torch as t\nt.load('x')"),
        ("robot_rl/x.py", "from torch import load"),
        ("robot_rl/x.py", "import yaml\nyaml.load(f)"),
        ("robot_rl/x.py", "import numpy as np\nnp.random.seed(0)"),
        ("robot_rl/x.py", "from numpy.random import rand"),
        ("robot_rl/x.py", "import random\nrandom.random()"),
        ("hardware/x.py", "import time\ntime.time()"),
        ("sim/x.py", "from time import time"),
        ("sim/x.py", "from datetime import datetime\ndatetime.now()"),
        ("robot_rl/env.py", "import time as clock\nclock.time_ns()"),
    ],
)
def test_planted_violations_are_found(path: str, source: str) -> None:
    assert list(banned(path, source))


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("robot_rl/x.py", "import time\ntime.time()"),
        ("sim/x.py", "import time\ntime.monotonic()"),
        ("sim/x.py", "import numpy as np\nrng = np.random.default_rng(0)\nrng.random()"),
        ("robot_rl/x.py", "import torch\ntorch.random.fork_rng()"),
    ],
)
def test_what_is_allowed_passes(path: str, source: str) -> None:
    assert not list(banned(path, source))
