"""Recorded episodes in the twin again: as the arm moved, or by having its accepted targets carried out once more.

``kinematic`` puts the recorded joints into the scene: a film of any episode, also a real arm's. ``actions`` starts from
the recorded physics state and lets guard, controller and contacts run again from the targets that the guard accepted;
for an episode of the twin the arm then does exactly what it did, for a real arm's the difference is the twin's error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import numpy as np

from hardware.interfaces import ArmState, ResetPlan, RobotObservation
from hardware.local_robot import LocalRobot
from robot_rl.episodes import read_episode
from robot_rl.types import Episode, EpisodeHeader
from sim.empty_table import carried_out_alone, empty_table, of_real_cell, put
from sim.envs import make
from sim.recorded_targets import RecordedTargets
from sim.replay_report import Difference, parts_after_s, write_page
from sim.tasks import make_task
from sim.tasks.base import TwinTask
from sim.video import GifWriter, VideoWriter, enlarged, film_writer, titled

Mode = Literal["kinematic", "actions"]
JOINTS = "recorded joints; objects stay where they began"
AGAIN = "carried out again"
HEIGHT = 360
"""Of a video's pictures, px."""
NOT_NEEDED = (
    "id", "task", "person", "takeover", "person_seed", "cameras", "image_size", "reset", "max_steps",
    "command_delay_s", "camera_delay_s", "jitter_s", "render_mode",
)  # fmt: skip
"""What an environment was made with that has no say in how accepted targets are carried out."""


@dataclass(frozen=True)
class ReplayReport:
    """How far the replay came out differently from the recording, at worst over the ends of all steps."""

    task: str
    steps: int
    max_position_error_m: float
    """Of the end effector. In a kinematic replay: of the twin's kinematics for the recorded joints."""
    max_rotation_error_rad: float
    max_joint_error_rad: float
    max_force_error_n: float
    max_torque_error_nm: float
    parts_after_s: float | None
    """When the end effectors were more than the bound apart for the first time; None if they never were."""
    exact: bool | None
    """Every number of the arm's state came out the same, bit for bit; None for a kinematic replay."""
    recorded_success: bool
    replayed_success: bool | None
    """Whether the twin's scene counted as solved at the end; None where only the arm moves."""
    video: Path | None = None
    page: Path | None = None


def replay(
    path: Path | str,
    mode: Mode = "actions",
    video: Path | None = None,
    page: Path | None = None,
    bound_m: float = 0.002,
    moved: Mapping[str, str] = MappingProxyType({}),
) -> ReplayReport:
    """Replay the episode at ``path`` and compare it with its recording; ``video`` (.mp4) shows both side by side,
    ``page`` (.html) their differences against time. They part where the end effectors are more than ``bound_m`` apart.
    ``moved``: files of a real cell (``cell``, ``task``) in place of those that it was recorded with.

    Raises ``ValueError`` (one line) for a damaged file, an episode without a robot, of a task that the twin lacks or,
    for ``actions``, with neither a physics state nor its cell's file; ``sim.world.RendererUnavailable`` if no video can
    be drawn here.
    """
    episode = read_moved(path, moved)
    reports = reports_of(path, episode)
    if mode == "actions":
        twin, states = carried_out(path, episode.header, reports)
    else:
        twin = scene_at_start(episode.header)
        states = posed(twin, reports)
    differences: list[Difference] = []
    success, began_s = False, reports[0].arm.stamp_s
    objects = mode == "actions" and not of_real_cell(episode.header)
    with ExitStack() as stack:
        stack.callback(twin.world.close)
        film = (
            stack.enter_context(Film(video, episode, twin, AGAIN if mode == "actions" else JOINTS))
            if video is not None
            else None
        )
        for recorded, replayed in zip(reports, states, strict=True):
            differences.append(Difference.of(recorded.arm, replayed, recorded.arm.stamp_s - began_s))
            success = objects and twin.success(replace(recorded, arm=replayed))
            if film is not None:
                film.add(recorded)
    if page is not None:
        write_page(page, f"{Path(path).name} · {mode}", differences, bound_m)
    return ReplayReport(
        task=episode.header.task,
        steps=len(reports),
        max_position_error_m=max(d.position_m for d in differences),
        max_rotation_error_rad=max(d.rotation_rad for d in differences),
        max_joint_error_rad=max(d.joints_rad for d in differences),
        max_force_error_n=max(d.force_n for d in differences),
        max_torque_error_nm=max(d.torque_nm for d in differences),
        parts_after_s=parts_after_s(differences, bound_m),
        exact=all(d.same for d in differences) if mode == "actions" else None,
        recorded_success=episode.success,
        replayed_success=success if objects else None,
        video=video,
        page=page,
    )


def read_moved(path: Path | str, moved: Mapping[str, str]) -> Episode:
    """The episode at ``path``, with other files of its cell (``moved``) than those that it was recorded with."""
    episode = read_episode(path)
    header = episode.header
    if moved and of_real_cell(header):
        kept = {name: text for name, text in header.files.items() if name not in moved}
        episode.header = replace(header, environment={**header.environment, **moved}, files=kept)
    return episode


def reports_of(path: Path | str, episode: Episode) -> list[RobotObservation]:
    """What the robot reported at each step. Raises ``ValueError`` where it did not."""
    reports = [step.raw for step in episode.steps if step.raw is not None]
    if len(reports) < len(episode.steps):
        raise ValueError(f"{path}: '{episode.header.task}' reported no robot states, so there is nothing to replay")
    return reports


def scene_at_start(header: EpisodeHeader) -> TwinTask:
    """The task's scene as the episode began; of a real cell the arm at an empty table."""
    if of_real_cell(header):
        return empty_table(header)
    twin = make_task(header.task)
    begin(twin, header)
    return twin


def begin(twin: TwinTask, header: EpisodeHeader) -> None:
    """Put the scene where the episode began."""
    plan = twin.apply_setup(header.setup)  # type: ignore[arg-type]
    if plan.teleport is not None:
        plan.teleport()
    if header.initial_state is not None:
        twin.world.load_state(header.initial_state)


def recorded_start(path: Path | str, header: EpisodeHeader) -> RobotObservation:
    """Of the robot. Raises ``ValueError`` where the episode was not recorded in the twin."""
    if header.initial_robot is None or header.initial_state is None:
        raise ValueError(
            f"{path}: recorded without a physics state, not in the twin: only `replay --mode kinematic` can show it"
        )
    return header.initial_robot


def posed(twin: TwinTask, reports: list[RobotObservation]) -> Iterator[ArmState]:
    """Kinematic: the arm put where it was recorded, without any dynamics."""
    for report in reports:
        yield replace(report.arm, T_base_ee=put(twin, report.arm))


def carried_out(
    path: Path | str, header: EpisodeHeader, reports: list[RobotObservation]
) -> tuple[TwinTask, Iterator[ArmState]]:
    """Actions: the recorded targets through guard, controller and physics."""
    if of_real_cell(header):
        return carried_out_alone(path, header, reports)
    twin, robot = under_way(path, header, reports)

    def states() -> Iterator[ArmState]:
        for report in reports:
            robot.clock.sleep_until(report.arm.stamp_s)
            yield robot.arm.read()

    return twin, states()


def under_way(path: Path | str, header: EpisodeHeader, reports: list[RobotObservation]) -> tuple[TwinTask, LocalRobot]:
    """The twin where the episode began, and its robot: as its clock goes on, it carries the recorded targets out."""
    start = recorded_start(path, header)
    options = {name: value for name, value in header.environment.items() if name not in NOT_NEEDED}
    env = make(header.task, **options)  # type: ignore[arg-type]
    robot, twin = env.robot, env.task
    assert isinstance(robot, LocalRobot) and isinstance(twin, TwinTask)
    # Twice: the first sets the gripper, so that its last change lies as far back as the twin's clock allows.
    for _ in range(2):
        robot.reset(ResetPlan(start.arm.T_base_ee, start.executed.gripper, teleport=lambda: begin(twin, header)))
    robot.engage_at(start.executed.reference)
    robot.guard.promise(None)  # Only changes were recorded, not every command.
    changes = [change for report in reports for change in report.changes]
    robot.teleop = RecordedTargets(changes, robot.guard, robot.arm)
    return twin, robot


class Film:
    """The recording on the left (its first camera, or its joints in the scene), the replay on the right."""

    def __init__(self, path: Path, episode: Episode, twin: TwinTask, title: str) -> None:
        """``title``: what the twin shows."""
        self._path, self._twin, self._title, self._frames_per_s = path, twin, title, round(episode.header.control_hz)
        # A kinematic replay without cameras is itself all that can be seen of the recording.
        self._ghost = scene_at_start(episode.header) if title != JOINTS else None
        model = twin.world.model
        self._cameras = {model.camera(i).name for i in range(model.ncam)}
        self._writer: VideoWriter | GifWriter | None = None

    def add(self, recorded: RobotObservation) -> None:
        """Draw the twin as it stands beside what was recorded at this moment."""
        if recorded.frames:
            name, frame = next(iter(recorded.frames.items()))
            left = titled(enlarged(frame.image, HEIGHT), f"recorded by camera {name}")
            right = self._twin.render(name, *left.shape[:2]) if name in self._cameras else self._twin.render()
            pictures = [left, titled(right, self._title)]
        elif self._ghost is not None:
            put(self._ghost, recorded.arm)
            pictures = [titled(self._ghost.render(), JOINTS), titled(self._twin.render(), self._title)]
        else:
            pictures = [titled(self._twin.render(), JOINTS)]
        picture = np.concatenate(pictures, axis=1)
        self._writer = self._writer or film_writer(self._path, picture.shape, self._frames_per_s)
        self._writer.add(picture)

    def __enter__(self) -> Film:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()
        if self._ghost is not None:
            self._ghost.world.close()
