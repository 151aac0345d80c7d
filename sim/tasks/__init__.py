"""The twin's tasks, one file each."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sim.tasks.base import TwinTask

TASKS = {
    "reach": "sim.tasks.reach:Reach",
    "pick_cube": "sim.tasks.pick_cube:PickCube",
    "peg_insertion": "sim.tasks.peg_insertion:PegInsertion",
    "connector_insertion": "sim.tasks.connector_insertion:ConnectorInsertion",
    "pick_and_insert": "sim.tasks.pick_and_insert:PickAndInsert",
}
"""Task name → where its class is. A further task registers by adding its line."""
SCENES = {"board_on_table": "sim.tasks.board:BoardOnTable", "board_in_hand": "sim.tasks.board:BoardInHand"}
"""What can be set up like a task, and is none."""


def make_task(name: str, **options: Any) -> TwinTask:
    """The task called ``name``, in a world of its own; raises as :func:`task_class`."""
    return task_class(name)(**options)


def task_class(name: str) -> type[TwinTask]:
    """Of the task called ``name``; ``ValueError`` names the nearest one where there is none."""
    known = {**TASKS, **SCENES}
    if name not in known:
        near = get_close_matches(name, TASKS, 1, cutoff=0.0)[0]
        raise ValueError(f"no task {name!r} in the twin; did you mean {near!r}? There are {', '.join(TASKS)}")
    module, _, cls = known[name].partition(":")
    found: type[TwinTask] = getattr(import_module(module), cls)
    return found
