"""``python -m sim.console_page``: the process of a twin's console; :class:`sim.console.TwinConsole` starts it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from hardware.cell import load_cell
from robot_rl.console.viewer import Setting, serve
from sim.live import Eyes
from sim.recorded import TwinStage
from sim.scene import scene_of
from sim.tasks import make_task


def setting(options: Mapping[str, Any]) -> Setting:
    """Scene and eyes of the task and cell named in ``options``, and the twin as a stage."""
    model = make_task(options["task"]).world.model
    return scene_of(model, load_cell(options["cell"])), Eyes(model), TwinStage


if __name__ == "__main__":
    serve(int(sys.argv[1]), setting)
