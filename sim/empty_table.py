"""Episodes of a real cell in the twin: nobody recorded where its things were, so the arm moves at an empty table.

The cell's file has the limits under which targets were accepted; the guard keeps them here too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from hardware.cell import Cell, load_cell
from hardware.geometry import pose_distance
from hardware.interfaces import ArmState, NoTeleop, Pose, ResetError, ResetPlan, RobotObservation
from hardware.toml_dataclass import ConfigError
from robot_rl.cell_task import load_task
from robot_rl.task import TaskSpec
from robot_rl.types import EpisodeHeader
from sim.drivers import SimClock
from sim.envs import guarded
from sim.parameters import TwinParameters
from sim.recorded_targets import RecordedTargets
from sim.tasks import make_task
from sim.tasks.base import TwinTask

JOINTS = 7
SAME_HAND_M, SAME_HAND_RAD = 0.005, 0.05
EMPTY, OUT_OF_SIGHT = "reach", Pose((0.5, 0.0, -1.0), (0.0, 0.0, 0.0, 1.0))
"""The twin's task that has nothing on its table, and where its goal goes: under the floor."""


def of_real_cell(header: EpisodeHeader) -> bool:
    """Its task is a file, not one of the twin's."""
    return str(header.environment.get("task", "")).endswith(".toml")


def empty_table(header: EpisodeHeader) -> TwinTask:
    """The twin's arm at its table. Raises ``ValueError`` for an episode of an arm with other joints."""
    joints = 0 if header.initial_robot is None else len(header.initial_robot.arm.joint_positions_rad)
    if joints != JOINTS:
        raise ValueError(
            f"recorded with an arm of {joints} joints, the twin's has {JOINTS}: `robot-rl console --cell FILE "
            "--runs RUN` shows episodes of any arm"
        )
    scene = make_task(EMPTY)
    scene.world.place("goal", OUT_OF_SIGHT)
    return scene


def put(twin: TwinTask, arm: ArmState) -> Pose:
    """Put the joints and fingers of ``arm`` into the scene, at rest; where that brings the end effector."""
    data, joints = twin.world.data, len(arm.joint_positions_rad)
    data.qpos[:joints] = arm.joint_positions_rad
    data.qpos[joints : joints + 2] = 0.5 * arm.gripper_width_m
    data.qvel[: joints + 2] = 0.0
    twin.world.place("target", arm.T_base_ee)
    twin.world.refresh()
    return twin.world.site_pose("ee")


def carried_out_alone(
    path: Path | str, header: EpisodeHeader, reports: list[RobotObservation]
) -> tuple[TwinTask, Iterator[ArmState]]:
    """The recorded targets from the recorded joints on, through guard, controller and physics; nothing is in the way.

    Raises ``ValueError`` (one line) where the cell's file is not here, or the twin's hand is elsewhere at those joints.
    """
    scene, start = empty_table(header), header.initial_robot
    assert start is not None
    metres, radians = pose_distance(put(scene, start.arm), start.arm.T_base_ee)
    if metres > SAME_HAND_M or radians > SAME_HAND_RAD:
        raise ValueError(
            f"{path}: at the recorded joints the twin's fingertips are {1000 * metres:.1f} mm and {radians:.3f} rad "
            "from where the arm's were: it has another hand; try --mode kinematic"
        )
    cell, scene.spec = _limits(path, header)
    parameters = TwinParameters.of(header.environment.get("twin"))  # type: ignore[arg-type]
    parameters.apply(scene.world)
    clock = SimClock(scene.world)
    robot = guarded(scene, clock, NoTeleop(), cell, delay_s=parameters.delay_s)

    def begin() -> None:
        put(scene, start.arm)

    try:
        robot.reset(ResetPlan(start.arm.T_base_ee, start.executed.gripper, teleport=begin))
    except ResetError as refused:
        raise ValueError(f"{path}: the guard of the twin: {refused}") from None
    robot.engage_at(start.executed.reference)
    robot.guard.promise(None)  # Only changes were recorded, not every command.
    later_s = clock.now() - start.arm.stamp_s
    changes = [replace(change, stamp_s=change.stamp_s + later_s) for report in reports for change in report.changes]
    robot.teleop = RecordedTargets(changes, robot.guard, robot.arm)

    def states() -> Iterator[ArmState]:
        for report in reports:
            clock.sleep_until(report.arm.stamp_s + later_s)
            yield replace(robot.arm.read(), stamp_s=report.arm.stamp_s)

    return scene, states()


def _limits(path: Path | str, header: EpisodeHeader) -> tuple[Cell, TaskSpec]:
    """Those of cell and task as they were then; of an episode that does not hold their files, as these are today.
    Without cameras, as no picture can be late here (S2)."""
    where, text = header.environment, header.files
    try:
        cell = load_cell(str(where.get("cell")), text.get("cell"))
        task = load_task(str(where["task"]), text.get("task"))
    except ConfigError as error:
        raise ValueError(f"{path}: the limits of its cell and task are needed, or --mode kinematic: {error}") from None
    return replace(cell, cameras={}, scripted_operator=True), replace(task.spec, control_hz=header.control_hz)
