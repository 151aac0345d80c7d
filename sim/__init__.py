"""The twin: the robot cell in MuJoCo. Importing it registers the environments with gymnasium and loads nothing else."""

from gymnasium.envs.registration import register

for _name, _task in {
    "Reach": "reach",
    "PickCube": "pick_cube",
    "PegInsertion": "peg_insertion",
    "ConnectorInsertion": "connector_insertion",
    "PickAndInsert": "pick_and_insert",
}.items():
    # The environment counts its own steps (a timeout is a truncation there), so no wrapper is wanted.
    register(f"{_name}-v0", entry_point="sim.envs:make", kwargs={"task": _task}, disable_env_checker=True)
