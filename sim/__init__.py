"""The twin: the robot cell in MuJoCo. Importing it registers the environments with gymnasium and loads nothing else."""

import os
import sys

from gymnasium.envs.registration import register

if sys.platform == "linux" and not os.environ.get("DISPLAY"):
    # MuJoCo chooses its renderer when it is first imported; without a display only an off-screen one can draw.
    os.environ.setdefault("MUJOCO_GL", "egl")

for _name, _task in {
    "Reach": "reach",
    "PickCube": "pick_cube",
    "PegInsertion": "peg_insertion",
    "ConnectorInsertion": "connector_insertion",
    "PickAndInsert": "pick_and_insert",
}.items():
    # The environment counts its own steps (a timeout is a truncation there), so no wrapper is wanted.
    register(f"{_name}-v0", entry_point="sim.envs:make", kwargs={"task": _task}, disable_env_checker=True)
