"""What every command shares: which environment its options mean."""

from __future__ import annotations

import pytest

from robot_rl.command import ROS_CELL, Command


def test_a_task_takes_the_commands_arguments_and_the_persons_over_them() -> None:
    command = Command(task="reach", env_kwargs='{"jitter_s": 0.05, "person": "novice"}')
    spec = command.env_spec(person="expert", reset="scripted")
    assert spec.id == "sim:Reach-v0"
    assert spec.kwargs == {"person": "novice", "reset": "scripted", "jitter_s": 0.05}


def test_somebody_elses_environment_takes_the_persons_arguments_alone() -> None:
    spec = Command(env="Pendulum-v1", env_kwargs='{"g": 9.81}').env_spec(person="expert")
    assert (spec.id, spec.kwargs) == ("Pendulum-v1", {"g": 9.81})
    assert spec.make().env.unwrapped.g == 9.81  # type: ignore[union-attr]


@pytest.mark.parametrize("text", ["jitter_s=0.05", "[1]", "", "{'g': 1}", "3"])
def test_arguments_that_are_no_json_object_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="give a JSON object") as caught:
        Command(task="reach", env_kwargs=text).env_spec()
    assert "\n" not in str(caught.value)


def test_an_unknown_task_names_the_nearest() -> None:
    with pytest.raises(ValueError, match="no task 'peg_insert'; did you mean 'peg_insertion'"):
        Command(task="peg_insert").env_spec()


def test_over_nodes_it_is_the_cells_task_or_that_of_the_twin_that_runs(tmp_path):
    cell, task = tmp_path / "cell.toml", tmp_path / "task.toml"
    real = Command(ros=True, cell=cell, task=str(task), cameras=("wrist",)).env_spec()
    seen = {"cameras": ("wrist",), "image_size": 64}
    assert (real.id, real.kwargs) == (ROS_CELL, {"cell": str(cell), "task": str(task), **seen})
    twin = Command(ros=True, cameras=("wrist",)).env_spec()
    assert (twin.id, twin.kwargs) == (ROS_CELL, {**seen, "frame": "base", "tracked": False})
