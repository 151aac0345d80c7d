"""The solver: exact where nothing is noisy, as good as the pixels where they are, and clear where it cannot know."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from hardware.hand_eye import MIN_VIEWS, apart, arm_poses, board_poses, closed_form, estimated_lens, solve, turns_rad
from hardware.hand_eye_report import judge
from tests.hardware.hand_eye_rig import LENS, SIZE_PX, looks, transform, views_of

pytestmark = pytest.mark.no_cover  # not of the guard's core

TURNS = st.tuples(*[st.floats(-1.8, 1.8)] * 3)
MOVES = st.tuples(*[st.floats(-0.8, 0.8)] * 3)
FRAMES = pytest.mark.parametrize("frame", ["ee", "base"])
CAMERA, BOARD = transform((0.3, -0.2, 1.5), (0.08, 0.01, -0.05)), transform((3.0, 0.1, 0.2), (0.4, -0.1, 0.02))


def numbered(views):
    return dict(enumerate(views, 1))


@FRAMES
@given(camera=st.tuples(TURNS, MOVES), board=st.tuples(TURNS, MOVES), seed=st.integers(0, 10**6))
@settings(max_examples=8, deadline=None)
def test_without_noise_it_is_exact(frame, camera, board, seed):
    camera, board = transform(*camera), transform(*board)
    views = views_of(camera, board, looks(np.random.default_rng(seed), MIN_VIEWS), frame)
    first = closed_form(arm_poses(views, frame), board_poses(views, LENS))
    found = solve(views, LENS, frame)
    for what, true in ((first, camera), (found.camera, camera), (found.board, board)):
        assert apart(what, true) == pytest.approx((0.0, 0.0), abs=1e-6)


@FRAMES
def test_half_turns_which_have_no_one_axis_do_no_harm(frame):
    seen = looks(np.random.default_rng(7), MIN_VIEWS)
    seen[::2] = seen[::2] @ transform((0.0, 0.0, np.pi), (0.24, 0.18, 0.0))
    views = views_of(CAMERA, BOARD, seen, frame)
    assert apart(closed_form(arm_poses(views, frame), board_poses(views, LENS)), CAMERA) == pytest.approx(
        (0, 0), abs=1e-6
    )


@FRAMES
def test_its_error_grows_as_the_noise_does(frame):
    errors = []
    for noise_px in (0.05, 0.2):
        rng = np.random.default_rng(0)
        views = views_of(CAMERA, BOARD, looks(rng, 16), frame, noise_px, rng)
        errors.append(apart(solve(views, LENS, frame).camera, CAMERA))
    # The same noise, four times as strong.
    assert np.divide(errors[1], errors[0]) == pytest.approx([4.0, 4.0], rel=0.1)


@FRAMES
def test_it_knows_the_camera_as_well_as_the_pixels_allow(frame):
    """Its errors over their covariance by Cramér and Rao: 6 on average for 6 numbers, deviating by sqrt(12)."""
    seeds, noise_px, excess = 12, 0.1, []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        views = views_of(CAMERA, BOARD, looks(rng, 16), frame, noise_px, rng)
        found = solve(views, LENS, frame)
        covariance = noise_px**2 * np.linalg.inv(information(views, found))[:6, :6]
        off = np.linalg.inv(found.camera) @ CAMERA
        error = np.concatenate([off[:3, 3], Rotation.from_matrix(off[:3, :3]).as_rotvec()])
        excess.append(error @ np.linalg.solve(covariance, error))
    assert np.mean(excess) == pytest.approx(6.0, abs=3.0 * np.sqrt(12.0 / seeds))


def information(views, found):
    """(12, 12): what the pixels tell of the camera and of the board, by small changes of either."""
    before, step, columns = np.concatenate(found.errors_px(views, LENS)), 1e-6, []
    for change in step * np.eye(12):
        camera, board = (transform(part[3:], part[:3]) for part in (change[:6], change[6:]))
        moved = replace(found, camera=found.camera @ camera, board=found.board @ board)
        columns.append((np.concatenate(moved.errors_px(views, LENS)) - before).ravel())
    jacobian = np.array(columns).T / step
    return jacobian.T @ jacobian


@FRAMES
def test_motions_that_cannot_tell_are_refused(frame):
    rng = np.random.default_rng(0)
    shifted = looks(rng, 15, turn_rad=0.0)
    with pytest.raises(ValueError, match=r"turned hardly at all .* tilt it by 15°"):
        solve(views_of(CAMERA, BOARD, shifted, frame), LENS, frame)
    about_one = [transform((0.0, 0.0, angle), (-0.12, -0.09, 0.5)) for angle in np.linspace(-0.6, 0.6, 15)]
    with pytest.raises(ValueError, match="about one axis alone"):
        solve(views_of(CAMERA, BOARD, about_one, frame), LENS, frame)


def test_turns_are_told_by_axis():
    poses = np.array([transform((0.0, angle, 0.0), (0.1, 0.2, 0.3)) for angle in (-0.1, 0.1)])
    assert turns_rad(poses) == pytest.approx([0.2, 0.0, 0.0], abs=1e-9)


@FRAMES
def test_a_report_tells_how_good_it_is(frame):
    rng = np.random.default_rng(1)
    views = views_of(CAMERA, BOARD, looks(rng, 16), frame, 0.1, rng)
    report = judge(numbered(views), LENS, frame, 2.0)
    # Both axes of 0.1 px: 0.14 px a corner; held out more, since nothing of it was fitted.
    assert report.reprojection_px == pytest.approx(0.141, abs=0.01)
    assert report.reprojection_px < report.held_out_px < 0.16
    assert report.square == pytest.approx(1.0, abs=1e-3)
    error_m, error_rad = apart(report.found.camera, CAMERA)
    assert error_m < 3.0 * report.moved_m
    assert error_rad < 3.0 * report.moved_rad
    assert report.board_m < 1e-3
    assert "16" in str(report.rows()["poses"])


def test_too_few_poses_are_refused():
    views = views_of(CAMERA, BOARD, looks(np.random.default_rng(0), MIN_VIEWS - 1), "ee")
    with pytest.raises(ValueError, match=f"11 poses; {MIN_VIEWS} are needed"):
        judge(numbered(views), LENS, "ee", 2.0)


@FRAMES
def test_the_pose_that_is_off_is_named(frame):
    rng = np.random.default_rng(2)
    views = numbered(views_of(CAMERA, BOARD, looks(rng, 16), frame, 0.1, rng))
    x, y, z = views[7].T_base_ee.position_m
    views[7] = views[7]._replace(T_base_ee=views[7].T_base_ee._replace(position_m=(x + 0.02, y, z)))
    with pytest.raises(ValueError, match=r"pose 7 is \d\d\.\d px off .* `drop 7`"):
        judge(views, LENS, frame, 2.0)
    del views[7]
    assert apart(judge(views, LENS, frame, 2.0).found.camera, CAMERA)[0] < 0.2e-3


@FRAMES
def test_a_board_that_was_moved_on_the_way_is_refused(frame):
    rng = np.random.default_rng(3)
    poses = looks(rng, 16)
    moved = BOARD @ transform((0.0, 0.0, 0.1), (0.03, 0.0, 0.0))
    views = views_of(CAMERA, BOARD, poses[:8], frame) + views_of(CAMERA, moved, poses[8:], frame)
    with pytest.raises(ValueError, match="board or camera moved"):
        judge(numbered(views), LENS, frame, 2.0)


def test_the_wrong_frame_is_refused():
    views = views_of(CAMERA, BOARD, looks(np.random.default_rng(4), 16), "ee")
    with pytest.raises(ValueError, match="the frame is the wrong one"):
        judge(numbered(views), LENS, "base", 2.0)


@FRAMES
@pytest.mark.parametrize("square", [0.97, 1.03])
def test_a_print_that_came_out_smaller_or_larger_is_found_by_the_arms_motion(frame, square):
    rng = np.random.default_rng(5)
    views = views_of(CAMERA, BOARD, looks(rng, 16), frame, 0.1, rng, square)
    with pytest.raises(ValueError, match=re.escape(f"squares are {100 * (square - 1):+.1f} % off")):
        judge(numbered(views), LENS, frame, 20.0)


def test_a_lens_is_estimated_from_the_same_views():
    lens = LENS.__class__((600.0, 600.0), (322.0, 238.0), (0.05, -0.1, 0.0, 0.0, 0.0))
    rng = np.random.default_rng(6)
    views = views_of(CAMERA, BOARD, looks(rng, 16), "ee", 0.05, rng, lens=lens)
    found, error_px = estimated_lens(views, SIZE_PX)
    assert error_px < 0.1
    assert found.focal_px == pytest.approx(lens.focal_px, rel=0.005)
    assert found.centre_px == pytest.approx(lens.centre_px, abs=2.0)
    assert apart(solve(views, found, "ee").camera, CAMERA)[0] < 2e-3
