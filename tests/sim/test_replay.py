"""Replay: an episode of the twin, its recorded targets carried out again, comes out the same to the last bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from hardware.cell import cell_file
from hardware.interfaces import GuardMode, RobotObservation, Source
from robot_rl.config import LearnerConfig
from robot_rl.episodes import EpisodeStore, read_episode
from robot_rl.policy import Interface, load_policy, save_policy
from robot_rl.rlpd import RLPD
from robot_rl.rollout import EnvSpec, Rollout
from robot_rl.types import Episode
from sim.replay import replay
from sim.retry import retry
from sim.video import GIF_WIDTH
from sim.world import RendererUnavailable, World


class Pushing:
    """A policy that pushes down and about, into limits and contacts; NaN from step ``sane`` on."""

    def __init__(self, dim: int, sane: int = 1_000) -> None:
        self.rng, self.dim, self.sane = np.random.default_rng(3), dim, sane

    def act(self, observation: object, deterministic: bool = False) -> np.ndarray:
        self.sane -= 1
        if self.sane < 0:
            return np.full(self.dim, nan, np.float32)
        action = self.rng.uniform(-1.0, 1.0, self.dim).astype(np.float32)
        action[2] -= 0.5
        return np.clip(action, -1.0, 1.0)


def record(folder: Path, env_id: str, episodes: int = 2, sane: int = 1_000, **options: Any) -> list[Path]:
    spec = EnvSpec(env_id, {"max_steps": 30, **options})
    env, store = spec.make(), EpisodeStore(folder)
    rollout = Rollout(env, spec, "run", seed=1, store=store)
    list(rollout.episodes(Pushing(env.action_space.shape[0], sane), episodes))
    env.close()
    return [folder / row.path for row in store.list()]


def rewritten(path: Path, folder: Path, change: Any) -> Path:
    """The episode at ``path`` as ``change`` makes it, filed in ``folder``."""
    episode: Episode = change(read_episode(path))
    writer = EpisodeStore(folder).writer(episode.header)
    for step in episode.steps:
        writer.add(step)
    return writer.close(episode.final_observation)


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    paths = record(tmp_path_factory.mktemp("pushed"), "sim:PegInsertion-v0", jitter_s=0.02)
    # An open hand, pushed onto the table: there the guard has to intervene.
    return paths + record(tmp_path_factory.mktemp("limits"), "sim:PickCube-v0", jitter_s=0.02, max_steps=50)


@pytest.fixture(scope="module")
def renderer() -> None:
    try:
        World("reach.xml").render("front", 8, 8)
    except RendererUnavailable as missing:
        pytest.skip(str(missing))


def test_a_policy_in_contact_is_repeated_exactly(pushed):
    steps = [step for path in pushed for step in read_episode(path).steps]
    assert any(step.raw.executed.refusals for step in steps)  # the guard had to intervene, too
    for path in pushed:
        report = replay(path)
        assert report.exact and report.steps == len(read_episode(path).steps) > 20
        assert (report.max_position_error_m, report.max_joint_error_rad) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("env_id", "options"),
    [
        ("sim:PegInsertion-v0", {"person": "novice", "takeover": "always"}),
        ("sim:PegInsertion-v0", {"person": "intermediate", "takeover": "no_progress", "jitter_s": 0.03}),
        ("sim:PickCube-v0", {"person": "novice", "takeover": "always"}),
        ("sim:Reach-v0", {"reset": "scripted"}),
    ],
)
def test_whoever_drove_and_however_it_began_it_is_repeated_exactly(tmp_path, env_id, options):
    paths = record(tmp_path, env_id, **options)
    if options.get("takeover") == "always":
        assert read_episode(paths[0]).intervened_steps > 0
    assert all(replay(path).exact for path in paths)


def test_a_hold_is_repeated_exactly(tmp_path):
    (path,) = record(tmp_path, "sim:Reach-v0", episodes=1, sane=5)
    last = read_episode(path).steps[-1]
    assert last.source == Source.HOLD and last.raw.executed.mode == GuardMode.HOLD and last.truncated
    assert replay(path).exact


@pytest.fixture
def of_an_arm(tmp_path: Path) -> Callable[..., Path]:
    """What a real arm's episode has: no physics state, another clock whose ticks lie elsewhere, its cell's file."""
    cell = tmp_path / "cell.toml"
    cell.write_text(cell_file("twin").read_text())
    task = tmp_path / "touch.toml"
    task.write_text('name = "touch"\ninstruction = "Touch it."\n[start]\nposition_m = [0.5, 0.0, 0.3]\n')

    def changed(path: Path, later_s: float = 86_400.0037, held: bool = False, **environment: str) -> Path:
        def moved(robot: RobotObservation) -> RobotObservation:
            at = later_s + robot.stamp_s
            arm = replace(robot.arm, stamp_s=later_s + robot.arm.stamp_s)
            said = [replace(c, stamp_s=later_s + c.stamp_s) for c in (*robot.changes, robot.executed)]
            return replace(robot, stamp_s=at, arm=arm, executed=said[-1], changes=tuple(said[:-1]))

        def of_cell(episode: Episode) -> Episode:
            where = {"cell": str(cell), "task": str(task), **environment}
            began = moved(episode.header.initial_robot)
            header = replace(episode.header, task="touch", setup={}, environment=where, initial_state=None)
            header = replace(header, files=EnvSpec("", where).files() if held else {})
            episode.header = replace(header, initial_robot=began)
            episode.steps = [replace(step, raw=moved(step.raw)) for step in episode.steps]
            return episode

        return rewritten(path, tmp_path / "arm", of_cell)

    return changed


def test_targets_of_a_real_arm_are_carried_out_at_an_empty_table(tmp_path, of_an_arm):
    """The twin stands in for an arm that is just as the twin, so nothing may be left of a difference."""
    (path,) = record(tmp_path, "sim:Reach-v0", 1, person="expert", takeover="always")
    report = replay(of_an_arm(path))
    assert report.max_position_error_m < 1e-6 and report.max_joint_error_rad < 1e-6
    assert (report.replayed_success, report.parts_after_s) == (None, None)
    began, ended = (read_episode(path).steps[i].raw.arm.T_base_ee.position_m for i in (0, -1))
    assert np.linalg.norm(np.subtract(began, ended)) > 0.05, "an arm that hardly moved proves nothing"


def test_a_real_arms_targets_are_held_to_the_limits_of_then_and_not_of_today(tmp_path, of_an_arm):
    (path,) = record(tmp_path, "sim:Reach-v0", 1, person="expert", takeover="always")
    was, cell = of_an_arm(path, held=True), tmp_path / "cell.toml"
    cell.write_text(cell.read_text().replace("[limits.collaborative]", "[limits.collaborative]\nmax_speed_m_s = 0.03"))
    assert replay(was).max_position_error_m < 1e-6
    assert replay(was, moved={"cell": str(cell)}).max_position_error_m > 0.02, "what the slower limit would have done"
    cell.unlink()
    (tmp_path / "touch.toml").unlink()
    assert replay(was).max_position_error_m < 1e-6


def test_what_keeps_a_real_arms_targets_from_the_twin_is_said_in_one_line(tmp_path, of_an_arm):
    (path,) = record(tmp_path, "sim:Reach-v0", 1)
    with pytest.raises(ValueError, match=r"limits of its cell and task are needed, .*: .*gone.toml") as caught:
        replay(gone := of_an_arm(path, cell="/gone.toml"))
    assert "\n" not in str(caught.value)
    assert replay(gone, moved={"cell": str(cell_file("twin"))}).max_position_error_m < 1e-6, "it stands here now"

    def bent(episode: Episode) -> Episode:
        robot = episode.header.initial_robot
        joints = list(robot.arm.joint_positions_rad)
        joints[0] += 0.3
        episode.header = replace(
            episode.header,
            initial_robot=replace(robot, arm=replace(robot.arm, joint_positions_rad=tuple(joints))),
        )
        return episode

    with pytest.raises(ValueError, match=r"fingertips are 142.* mm and 0.300 rad from"):
        replay(rewritten(of_an_arm(path), tmp_path / "bent", bent))


def test_success_is_found_again(tmp_path):
    (path,) = record(tmp_path, "sim:Reach-v0", 1, person="expert", takeover="always", max_steps=50)
    report = replay(path)
    assert report.recorded_success and report.replayed_success


def test_a_recording_that_was_tampered_with_is_found_out(pushed, tmp_path):
    def moved(episode: Episode) -> Episode:
        step = episode.steps[4]
        change = step.raw.changes[0]
        x, y, z = change.target.position_m
        target = change.target._replace(position_m=(x + 0.002, y, z))
        changes = (replace(change, target=target), *step.raw.changes[1:])
        episode.steps[4] = replace(step, raw=replace(step.raw, changes=changes))
        return episode

    page = tmp_path / "pages" / "a.html"
    report = replay(rewritten(pushed[0], tmp_path, moved), page=page, bound_m=5e-4)
    assert not report.exact
    assert 1e-4 < report.max_position_error_m < 0.05 and report.max_force_error_n > 0.0
    period_s = 1.0 / read_episode(pushed[0]).header.control_hz
    assert report.parts_after_s is not None and 3 * period_s < report.parts_after_s < 10 * period_s
    text = page.read_text()
    assert text.count("<svg") == 5 and f"further apart than 0.5 mm from {report.parts_after_s:.2f} s on" in text


def test_another_policy_begins_where_the_recording_did(tmp_path):
    """The one that was recorded does the same again; one that pulls up leaves its way."""
    spec = EnvSpec("sim:PegInsertion-v0", {"max_steps": 25})
    env, store, policies = spec.make(), EpisodeStore(tmp_path), []
    for name, up in (("recorded", 0.0), ("other", 1.0)):
        made = RLPD(LearnerConfig(width=8), *(face := Interface.of(env)).sizes, seed=1)
        with torch.no_grad():
            made.average_actor.out.bias[2] += up
        save_policy(tmp_path / name, made, face)
        policies.append(tmp_path / name)
    rollout = Rollout(env, spec, "run", seed=5, store=store)
    list(rollout.episodes(load_policy(policies[0])[0], 2, deterministic=True))
    env.close()
    path = tmp_path / store.list()[1].path
    same, other = (retry(path, policy, spec) for policy in policies)
    assert (same.parts_after_s, same.success, same.steps) == (None, same.recorded_success, same.recorded_steps)
    assert other.parts_after_s is not None and other.parts_after_s > 0.0, "not from the first step on"
    with pytest.raises(ValueError, match=r"is of 'reach', the policy in .* of 'peg_insertion'"):
        retry(record(tmp_path / "reach", "sim:Reach-v0", 1)[0], policies[0], spec)


def test_a_kinematic_replay_says_how_well_the_kinematics_fit(pushed, tmp_path):
    report = replay(pushed[0], "kinematic")
    assert report.max_position_error_m < 1e-9 and report.max_rotation_error_rad < 1e-9
    assert report.exact is None and report.replayed_success is None

    def bent(episode: Episode) -> Episode:
        raw = episode.steps[0].raw
        joints = list(raw.arm.joint_positions_rad)
        joints[0] += 0.1
        arm = replace(raw.arm, joint_positions_rad=tuple(joints))
        episode.steps[0] = replace(episode.steps[0], raw=replace(raw, arm=arm))
        return episode

    assert replay(rewritten(pushed[0], tmp_path, bent), "kinematic").max_position_error_m > 0.02


def test_what_cannot_be_replayed_is_refused_in_one_line(pushed, tmp_path):
    changes = {
        "physics state": lambda e: replace(e, header=replace(e.header, initial_state=None)),
        "did you mean 'peg_insertion'": lambda e: replace(e, header=replace(e.header, task="peg_insertoin")),
        "no robot states": lambda e: replace(e, steps=[replace(step, raw=None) for step in e.steps]),
        "recorded in another scene": lambda e: replace(e, header=replace(e.header, initial_state=np.zeros(3))),
    }
    for index, (message, change) in enumerate(changes.items()):
        with pytest.raises(ValueError, match=message) as caught:
            replay(rewritten(pushed[0], tmp_path / str(index), change))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("cameras", "mode", "width"), [((), "actions", 960), (("front",), "kinematic", 720)])
def test_the_video_shows_recording_and_replay_side_by_side(tmp_path, renderer, cameras, mode, width):
    import av

    (path,) = record(tmp_path, "sim:Reach-v0", 1, max_steps=4, cameras=cameras, image_size=32)
    report = replay(path, mode, tmp_path / "films" / "a.mp4")
    assert report.video is not None
    with av.open(str(report.video)) as container:
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert container.streams.video[0].codec_context.name == "h264"
    assert len(pictures) == 4 and pictures[0].shape == (360, width, 3)
    left, right = np.split(pictures[-1].astype(float), 2, axis=1)
    assert left.std() > 20
    if not cameras:  # The same scene twice under two titles; what the encoder leaves may differ.
        assert np.abs(left - right)[40:].mean() < 2 < np.abs(left - right)[:24].mean()


def test_a_film_may_be_a_small_gif(tmp_path, renderer):
    (path,) = record(tmp_path, "sim:Reach-v0", 1, max_steps=4)
    assert replay(path, "kinematic", tmp_path / "a.gif").video == tmp_path / "a.gif"
    with Image.open(tmp_path / "a.gif") as film:
        assert film.n_frames == 4 and film.width == GIF_WIDTH
