"""A camera of the twin, found by its arm going round and by what is typed; the model knows where it truly is."""

from __future__ import annotations

import dataclasses
import io
from math import degrees

import numpy as np
import pytest

from hardware import camera_calibration
from hardware.arm_in_hand import ArmInHand
from hardware.camera_calibration import AUTO_VIEWS, CameraCalibration, solved
from hardware.cell import load_cell
from hardware.charuco import Board
from hardware.geometry import matrix_from_pose, pose_add, pose_distance
from hardware.hand_eye import apart, board_poses
from hardware.interfaces import NoTeleop
from hardware.local_robot import LocalRobot
from hardware.questions import Questions
from hardware.saved_views import About, SavedViews
from sim.drivers import SimArm, SimCamera, SimClock
from sim.tasks import make_task

SIZE = 480
CASES = {"ee": ("board_on_table", "wrist"), "base": ("board_in_hand", "front")}


class Bench:
    """The twin with a board, an arm obeying words, a camera."""

    def __init__(self, frame, folder):
        scene, name = CASES[frame]
        self.frame, self.task = frame, make_task(scene)
        plan = self.task.reset(np.random.default_rng(0), teleport=True)
        plan.teleport()
        world, clock = self.task.world, SimClock(self.task.world)
        self.arm, self.camera = SimArm(world), SimCamera(world, name, SIZE, clock)
        self.arm.connect()
        cell = dataclasses.replace(load_cell("twin"), cameras={})
        self.robot = LocalRobot(self.arm, {}, NoTeleop(), cell, clock, control_hz=None)
        self.hand = ArmInHand(self.robot)
        self.about = About(name, frame, (SIZE, SIZE), self.camera.lens)
        self.saved = SavedViews(folder, Board(), self.about)

    def session(self, lines="", auto=False):
        """Whose answers are ``lines``."""
        questions = Questions({"auto": "auto"} if auto else {}, False, io.StringIO(lines))
        return CameraCalibration(questions, self.hand, self.camera, self.saved, 2.0)

    @property
    def true_camera(self):
        """(4, 4), by the model; MuJoCo's cameras look along -z, y up."""
        world = self.task.world
        camera = world.data.camera(self.about.camera)
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = camera.xmat.reshape(3, 3) @ np.diag((1.0, -1.0, -1.0)), camera.xpos
        return np.linalg.inv(matrix_from_pose(world.site_pose("ee"))) @ pose if self.frame == "ee" else pose

    def half_a_pixel(self, report):
        """At the board's distance, m; and for the camera's axis, rad. A slip of the pixels' origin would be as much."""
        boards = board_poses(list(self.saved.views.values()), report.lens)
        focal = report.lens.focal_px[0]
        return 0.5 * np.mean(boards[:, 2, 3]) / focal, 0.5 / focal


@pytest.fixture(scope="module", params=CASES)
def gone_round(request, tmp_path_factory):
    bench = Bench(request.param, tmp_path_factory.mktemp(request.param))
    report = bench.session("solve\n", auto=True).run()
    yield bench, report
    bench.robot.close()


def test_the_true_camera_is_found_to_half_a_pixel(gone_round):
    bench, report = gone_round
    error_m, error_rad = apart(report.found.camera, bench.true_camera)
    allowed_m, allowed_rad = bench.half_a_pixel(report)
    print(
        f"{bench.frame}: {1e3 * error_m:.3f} mm of {1e3 * allowed_m:.3f}, {degrees(error_rad):.4f}° of "
        f"{degrees(allowed_rad):.4f}; {report.rows()}"
    )
    assert report.views == AUTO_VIEWS
    assert error_m < allowed_m
    assert error_rad < allowed_rad
    assert report.held_out_px < 0.2
    assert report.square == pytest.approx(1.0, abs=2e-3)
    assert report.found.extrinsics.frame == bench.frame


def test_with_a_lens_that_nobody_knows_too(gone_round):
    bench, report = gone_round
    folder = bench.saved.folder
    before = (folder / "camera.json").read_text()
    try:
        (folder / "camera.json").unlink()
        report = solved(SavedViews(folder, Board(), dataclasses.replace(bench.about, lens=None)), 2.0)
    finally:
        (folder / "camera.json").write_text(before)
    error_m, error_rad = apart(report.found.camera, bench.true_camera)
    allowed_m, allowed_rad = bench.half_a_pixel(report)
    print(f"{bench.frame}, lens estimated: {1e3 * error_m:.3f} mm, {degrees(error_rad):.4f}°; {report.lens}")
    assert error_m < 2.0 * allowed_m  # Where the optical axis is, a dozen views tell no better.
    assert error_rad < 2.0 * allowed_rad


def test_what_was_taken_tells_the_same_later(gone_round):
    bench, report = gone_round
    again = solved(SavedViews(bench.saved.folder, Board()), 2.0)
    assert apart(again.found.camera, report.found.camera) == pytest.approx((0.0, 0.0), abs=1e-9)


def test_poses_are_taken_by_typed_words_and_what_is_no_use_is_refused(tmp_path, capsys):
    bench = Bench("ee", tmp_path)
    start = bench.robot.arm.read().T_base_ee
    lines = ["here", "x 20", "here", "roll 12", "here", "drop", "drop 9", "pitch 12", "here", "drop 2", "solve", "hear"]
    with pytest.raises(ValueError, match="the answers ended before --auto"):
        bench.session("\n".join([*lines, ""])).run()
    said = capsys.readouterr().err
    assert "turned by 0.0° against pose 1, 5° are needed: turns, not shifts" in said
    assert "pose 3: " in said
    assert "about its two main axes so far" in said
    assert "`drop 3`" in said
    assert "no pose 9; there are 1, 2" in said
    assert "2 poses; 12 are needed" in said
    assert "no word 'hear'" in said
    assert list(bench.saved.views) == [1, 3]
    assert pose_distance(bench.saved.views[1].T_base_ee, start) == pytest.approx((0.0, 0.0), abs=1e-4)
    # Where the board is not seen, nothing is kept.
    bench.hand.go_to(pose_add(start, (0.0, 0.0, 0.0, 0.6, 0.0, 0.0)))
    bench.task.world.model.cam_fovy[:] = 5.0
    with pytest.raises(ValueError, match="of 35 corners of the board seen"):
        bench.session()._take()
    assert list(SavedViews(tmp_path, Board()).views) == [1, 3]
    bench.robot.close()


def test_a_stop_ends_going_round_and_it_goes_on_where_it_was(tmp_path, monkeypatch):
    bench = Bench("ee", tmp_path)
    bench.robot.cell = dataclasses.replace(bench.robot.cell, scripted_operator=False)
    bench.robot.clock.every(0.01, lambda now: bench.robot.hold("somebody called") if 6.0 < now < 6.5 else None)
    with pytest.raises(ValueError, match="somebody called; `clear`, then on"):
        bench.session()._go_round()
    taken = set(bench.saved.views)
    assert 0 < len(taken) < 6
    bench.robot.clock.sleep_until(7.0)
    bench.hand.obey("clear")
    monkeypatch.setattr(camera_calibration, "AUTO_VIEWS", len(taken) + 1)
    with pytest.raises(ValueError, match=f"{len(taken) + 1} poses so far"):
        bench.session()._go_round()
    assert set(bench.saved.views) > taken
    bench.robot.close()


def test_going_round_where_nothing_is_seen_says_so(tmp_path, capsys):
    bench = Bench("ee", tmp_path)
    bench.task.world.model.cam_fovy[:] = 5.0
    with pytest.raises(ValueError, match="0 poses so far: begin elsewhere"):
        bench.session()._go_round()
    assert capsys.readouterr().err.count("left out: ") == 6
    bench.robot.close()


def test_an_arm_of_five_joints_is_led_by_hand(tmp_path):
    bench = Bench("ee", tmp_path)
    bench.robot.cell = load_cell("so101")
    before = bench.robot.guard.mode
    with pytest.raises(ValueError, match="fewer than six joints and cannot lean to all sides: lead it by hand"):
        bench.session()._go_round()
    assert bench.robot.guard.mode is before
    bench.robot.close()


@pytest.mark.parametrize(
    ("pushed_s", "says"),
    [(0.3, "the arm moves; hold it still"), (0.51, r"the arm moved by \d+\.\d mm while the picture")],
)
def test_an_arm_that_moves_gives_no_pose(pushed_s, says, tmp_path):
    bench = Bench("ee", tmp_path)
    clock, turning = bench.robot.clock, bench.task.world.data.qvel

    def push(now):
        """To and fro, ten times a second."""
        if now >= pushed_s:
            turning[0] = 0.5 if int(20.0 * (now - pushed_s)) % 2 else -0.5

    clock.every(0.002, push)
    clock.sleep_until(0.5)
    with pytest.raises(ValueError, match=says):
        bench.session()._take()
    assert not bench.saved.views
    bench.robot.close()


def test_a_camera_that_sends_nothing_gives_no_pose(tmp_path, monkeypatch):
    bench = Bench("ee", tmp_path)
    frozen = bench.camera.newest()
    monkeypatch.setattr(bench.camera, "newest", lambda: frozen)
    bench.robot.clock.sleep_until(0.1)
    with pytest.raises(ValueError, match="camera 'wrist' sends no new picture"):
        bench.session()._take()
    bench.robot.close()


def test_the_scene_shows_the_board_where_its_body_is(tmp_path):
    """Texture, mesh and body agree: every corner lies where the model and the lens put it."""
    for frame in CASES:
        bench = Bench(frame, tmp_path / frame)
        world, board = bench.task.world, "tool/board" if frame == "base" else "board"
        seen = Board().find(world.render(bench.about.camera, SIZE, SIZE))
        camera = bench.true_camera
        if frame == "ee":
            camera = matrix_from_pose(world.site_pose("ee")) @ camera
        at = np.linalg.inv(camera) @ matrix_from_pose(world.body_pose(board))
        points = Board().points_m(seen.ids) @ at[:3, :3].T + at[:3, 3]
        lens = bench.camera.lens
        pixels = points[:, :2] / points[:, 2:] * lens.focal_px + lens.centre_px
        assert len(seen.ids) > 20
        assert np.abs(pixels - seen.points_px).max() < 0.5
        assert np.abs((pixels - seen.points_px).mean(0)).max() < 0.1
        bench.robot.close()
