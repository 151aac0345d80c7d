"""A recorded episode on the twin's stage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from robot_rl.demonstrations import collect_demos
from robot_rl.episodes import read_episode
from robot_rl.rollout import EnvSpec
from sim.recorded import ARM_ALONE, TwinStage


@pytest.fixture(scope="module")
def lifted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cube that is lifted."""
    folder = tmp_path_factory.mktemp("lifted")
    collect_demos(folder, EnvSpec("sim:PickCube-v0", {"person": "expert", "takeover": "always"}), 1, 0)
    (path,) = folder.glob("*.mcap")
    return path


@pytest.fixture
def stage(lifted: Path) -> Iterator[TwinStage]:
    stage = TwinStage(lifted, read_episode(lifted))
    yield stage
    stage.close()


def height_m(stage: TwinStage, body: str, step: int) -> float:
    assert stage.scene is not None
    return float(stage.body_poses(step)[list(stage.scene.bodies).index(body), 2])


def test_the_twins_objects_move_as_they_did(stage: TwinStage, lifted: Path) -> None:
    last = len(read_episode(lifted).steps) - 1
    assert stage.note == ""
    assert height_m(stage, "cube", last) - height_m(stage, "cube", 0) > 0.05
    assert height_m(stage, "cube", 0) == pytest.approx(height_m(stage, "cube", 1), abs=1e-5)  # Backwards too.


def test_pictures_are_drawn_where_no_camera_recorded_any(stage: TwinStage) -> None:
    pictures = stage.pictures(0)
    if stage.note:
        pytest.skip("no off-screen renderer here")
    assert set(pictures) == {"scene", "front"} and not np.array_equal(pictures["scene"], stage.pictures(20)["scene"])


def test_an_episode_without_a_physics_state_moves_the_arm_alone_and_says_so(lifted: Path) -> None:
    episode = read_episode(lifted)
    episode.header = replace(episode.header, initial_state=None)
    stage = TwinStage(lifted, episode)
    last = len(episode.steps) - 1
    assert stage.note == ARM_ALONE and height_m(stage, "cube", last) == height_m(stage, "cube", 0)
    joints = [step.raw.arm.T_base_ee.position_m[2] for step in episode.steps if step.raw is not None]
    moved_m = height_m(stage, "hand", last) - height_m(stage, "hand", 0)
    assert moved_m == pytest.approx(joints[last] - joints[0], abs=5e-3)
    stage.close()


def test_an_episode_of_a_real_cell_moves_the_arm_at_an_empty_table(lifted: Path) -> None:
    episode = read_episode(lifted)
    real = {"id": "robot_rl.cell_env:RealCell-v0", "task": "/lab/touch.toml"}
    episode.header = replace(episode.header, initial_state=None, task="touch", setup={}, environment=real)
    stage = TwinStage(lifted, episode)
    last = len(episode.steps) - 1
    recorded = [step.raw.arm.T_base_ee.position_m[2] for step in episode.steps if step.raw is not None]
    assert stage.scene is not None and "cube" not in stage.scene.bodies and stage.note == ARM_ALONE
    moved_m = height_m(stage, "hand", last) - height_m(stage, "hand", 0)
    assert moved_m == pytest.approx(recorded[-1] - recorded[0], abs=2e-3)
    assert height_m(stage, "goal", last) < -0.5, "a goal that was never there is not shown"
    stage.close()
    robot = episode.header.initial_robot
    assert robot is not None
    six = replace(robot, arm=replace(robot.arm, joint_positions_rad=(0.0,) * 6))
    episode.header = replace(episode.header, initial_robot=six)
    with pytest.raises(ValueError, match="an arm of 6 joints, the twin's has 7"):
        TwinStage(lifted, episode)


def test_an_episode_without_a_robot_has_no_stage(lifted: Path) -> None:
    episode = read_episode(lifted)
    episode.steps = [replace(step, raw=None) for step in episode.steps]
    with pytest.raises(ValueError, match="nothing to replay"):
        TwinStage(lifted, episode)
