"""Who may import whom (docs/decisions.md), what importing must not load, and how large a module may grow."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("hardware", "robot_rl", "sim", "ros_ws", "launch")
OURS = ("hardware", "robot_rl", "sim", "robot_rl_nodes", "benchmarks", "tests")

ALLOWED: dict[str, tuple[str, ...]] = {
    "hardware": ("hardware",),
    "robot_rl": ("robot_rl", "hardware.interfaces", "hardware.geometry", "hardware.recording"),
    "sim": ("sim", "hardware", "robot_rl.env", "robot_rl.task", "robot_rl.types"),
    "ros_ws": ("robot_rl_nodes", "hardware", "robot_rl", "sim"),
    "launch": ("robot_rl_nodes",),
}
"""Prefixes of our own modules that each package may import."""

COMPOSITION_ROOTS: dict[str, tuple[str, ...]] = {
    "robot_rl/cell_console.py": ("robot_rl", "hardware"),
    "robot_rl/cell_env.py": ("robot_rl", "hardware"),
    "robot_rl/cell_live.py": ("robot_rl", "hardware"),
    "robot_rl/cell_person.py": ("robot_rl", "hardware"),
    "robot_rl/cell_scene.py": ("robot_rl.console", "hardware"),
    "robot_rl/cell_task.py": ("robot_rl", "hardware.interfaces", "hardware.geometry", "hardware.toml_dataclass"),
    "robot_rl/console/broadcast.py": ("robot_rl", "hardware.local_socket"),
    "sim/commands.py": ("sim", "hardware", "robot_rl"),
    "sim/console.py": ("sim", "hardware", "robot_rl"),
    "sim/console_page.py": ("sim", "hardware", "robot_rl.console"),
    "sim/live.py": ("sim", "hardware", "robot_rl.env", "robot_rl.rollout", "robot_rl.console"),
    "sim/recorded.py": ("sim", "hardware", "robot_rl.types", "robot_rl.console"),
    "sim/scene.py": ("sim", "hardware", "robot_rl.console.snapshot"),
    "sim/empty_table.py": ("sim", "hardware", "robot_rl.types", "robot_rl.task", "robot_rl.cell_task"),
    "sim/demo.py": ("sim", "hardware", "robot_rl"),
    "sim/demo_video.py": ("sim", "hardware", "robot_rl"),
    "sim/calibration.py": ("sim", "hardware", "robot_rl.types", "robot_rl.episodes"),
    "sim/replay_report.py": ("sim", "hardware", "robot_rl.charts", "robot_rl.report"),
    "sim/reference_value.py": ("sim", "robot_rl.env", "robot_rl.policy", "robot_rl.rlpd"),
    "sim/retry.py": ("sim", "hardware", "robot_rl"),
    "sim/replay.py": ("sim", "hardware", "robot_rl.env", "robot_rl.task", "robot_rl.types", "robot_rl.episodes"),
}
"""Files that join packages: a real cell's environment, the twin's commands, and what is made of recorded episodes."""

FORBIDDEN: dict[str, tuple[str, ...]] = {
    "hardware": ("torch", "rclpy", "mujoco", "gymnasium"),
    "robot_rl": ("rclpy", "mujoco"),
    "sim": ("rclpy",),
    "ros_ws": (),
    "launch": ("torch", "mujoco"),
}
"""Other people's packages that must stay out."""

MODULE_LINES, ALGORITHM_LINES, FUNCTION_LINES, NODE_LINES = 250, 400, 60, 80
ALGORITHMS = ("robot_rl/rlpd.py",)


def imports(source: str) -> Iterator[str]:
    """Absolute names of all modules that ``source`` imports; ``from a import b`` counts as ``a.b``."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                yield "."
            else:
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(module: str, prefixes: tuple[str, ...]) -> bool:
    return any(module == prefix or module.startswith(prefix + ".") for prefix in prefixes)


def violations(path: str, source: str) -> list[str]:
    """Imports in ``source``, a file at ``path`` under the root, that break the rules."""
    package = path.split("/")[0]
    allowed = COMPOSITION_ROOTS.get(path, ALLOWED[package])
    found = []
    for module in imports(source):
        if module == ".":
            found.append("a relative import: name the module in full")
        elif (within(module, OURS) and not within(module, allowed)) or within(module, FORBIDDEN[package]):
            found.append(module)
    return found


def sources() -> list[str]:
    return sorted(str(p.relative_to(ROOT)) for package in PACKAGES for p in (ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("path", sources())
def test_imports_follow_the_rules(path: str) -> None:
    assert violations(path, (ROOT / path).read_text()) == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("hardware/guard.py", "from robot_rl.task import TaskSpec"),
        ("hardware/guard.py", "def f():\n    import torch"),
        ("robot_rl/env.py", "import hardware.guard"),
        ("robot_rl/env.py", "from hardware import safety"),
        ("robot_rl/env.py", "import sim.world"),
        ("sim/world.py", "from robot_rl import rlpd"),
        ("sim/world.py", "import rclpy"),
        ("sim/demo.py", "import robot_rl_nodes"),
        ("sim/tasks/reach.py", "from .base import TwinTask"),
    ],
)
def test_planted_violations_are_found(path: str, source: str) -> None:
    assert violations(path, source)


@pytest.mark.parametrize("path", sources())
def test_modules_and_functions_keep_their_budget(path: str) -> None:
    source = (ROOT / path).read_text()
    most = ALGORITHM_LINES if path in ALGORITHMS else NODE_LINES if path.endswith("_node.py") else MODULE_LINES
    assert len(source.splitlines()) <= most
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= FUNCTION_LINES, f"{node.name} has {lines} lines"


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("hardware", ("torch", "mujoco", "gymnasium", "numpy")),
        ("hardware.guard", ("torch", "mujoco", "gymnasium")),
        ("hardware.calibrate_command", ("torch", "cv2", "scipy", "numpy")),
        ("robot_rl", ("torch", "mujoco", "gymnasium")),
        ("robot_rl.cli", ("torch", "mujoco", "gymnasium", "tyro")),
        ("robot_rl.commands", ("torch", "mujoco", "gymnasium")),
        ("robot_rl.env", ("torch", "mujoco")),
        ("robot_rl.link_commands", ("torch", "mujoco", "gymnasium", "zmq")),
        ("robot_rl.serve", ("mujoco",)),
        ("sim", ("torch", "mujoco")),
        ("sim.commands", ("torch", "mujoco")),
    ],
)
def test_importing_stays_light(module: str, heavy: tuple[str, ...]) -> None:
    check = f"import sys, {module}; print(*[m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.split() == []
