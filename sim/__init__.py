"""The twin: the robot cell in MuJoCo. Importing it registers the environments with gymnasium and loads nothing else."""

import os
import sys
from ctypes.util import find_library

from gymnasium.envs.registration import register

if sys.platform == "linux" and not os.environ.get("DISPLAY"):
    # MuJoCo loads its renderer when it is first imported, and fails to import at all where the library is missing. With
    # no display only an off-screen renderer can draw; without one the twin still runs.
    _libraries = {"egl": "EGL", "osmesa": "OSMesa"}
    os.environ.setdefault("MUJOCO_GL", next((gl for gl, lib in _libraries.items() if find_library(lib)), "disable"))

for _name, _task in {
    "Reach": "reach",
    "PickCube": "pick_cube",
    "PegInsertion": "peg_insertion",
    "ConnectorInsertion": "connector_insertion",
    "PickAndInsert": "pick_and_insert",
}.items():
    # The environment counts its own steps (a timeout is a truncation there), so no wrapper is wanted.
    register(f"{_name}-v0", entry_point="sim.envs:make", kwargs={"task": _task}, disable_env_checker=True)
