"""The board as printed and found, poses on disk, and what of them comes into a cell file. With an arm: tests/sim."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from PIL import Image, ImageFilter

from hardware.camera_calibration import around, solved
from hardware.camera_geometry import Extrinsics, Intrinsics
from hardware.cameras.grabbing import cut
from hardware.cell import CellError, load_cell
from hardware.cell_writer import write_camera
from hardware.charuco import CORNERS, Board
from hardware.device_settings import CameraSettings
from hardware.geometry import pose_distance
from hardware.hand_eye import MIN_TURN_RAD, MIN_VIEWS
from hardware.interfaces import Pose
from hardware.saved_views import About, SavedViews
from robot_rl.cli import main
from tests.hardware.hand_eye_rig import LENS, SIZE_PX

DOWN = Pose((0.5, 0.0, 0.3), (1.0, 0.0, 0.0, 0.0))
ABOUT = About("wrist", "ee", SIZE_PX, LENS)
EXTRINSICS = {"frame": "ee", "position_m": (0.085, 0.0, -0.0834), "quat_xyzw": (-0.5, 0.5, 0.5, 0.5)}


@pytest.fixture(scope="module")
def picture():
    """The board in the middle of a picture, flat."""
    shown = np.full((*SIZE_PX[::-1], 3), 200, np.uint8)
    board = Board().picture(40, 10)
    shown[100 : 100 + board.shape[0], 150 : 150 + board.shape[1]] = board[:, :, None]
    # As sharp as a lens draws.
    return np.asarray(Image.fromarray(shown).filter(ImageFilter.GaussianBlur(0.7)))


# -- the lens ----------------------------------------------------------------------------------------------------------


def test_a_lens_is_cut_as_pictures_are():
    """A spot where the lens maps it to in the captured picture is where the cut lens maps it to in the cut one."""
    lens = Intrinsics((340.0, 350.0), (322.5, 238.0), (0.1, 0.0, 0.0, 0.0, 0.0))
    settings = CameraSettings(crop_px=(100, 20, 400, 440), width_px=200, height_px=110, intrinsics=lens)
    seen = settings.lens(None)
    assert seen is not None and seen.distortion == lens.distortion
    assert settings.lens(Intrinsics((1.0, 1.0), (0.0, 0.0))) != seen, "what the driver knows is believed first"
    assert CameraSettings().lens(None) is None
    for x, y in ((0.1, -0.2), (-0.25, 0.15), (0.0, 0.0)):
        u, v = (f * at + c for f, at, c in zip(lens.focal_px, (x, y), lens.centre_px, strict=True))
        picture = np.zeros((480, 640, 3), np.uint8)
        columns, rows = np.arange(640)[None], np.arange(480)[:, None]
        picture[:] = (250.0 * np.exp(-((columns - u) ** 2 + (rows - v) ** 2) / (2.0 * 9.0**2)))[:, :, None]
        spot = cut(picture, settings)[:, :, 0].astype(float)
        middle = (spot.sum(axis=0) @ np.arange(200), spot.sum(axis=1) @ np.arange(110)) / spot.sum()
        wanted = [f * at + c for f, at, c in zip(seen.focal_px, (x, y), seen.centre_px, strict=True)]
        assert middle == pytest.approx(wanted, abs=0.02)


# -- the board ---------------------------------------------------------------------------------------------------------


def test_corners_are_found_where_they_are(picture):
    seen = Board().find(picture)
    assert sorted(seen.ids) == list(range(CORNERS))
    expected = np.array([(159.5 + 40 * x, 109.5 + 40 * y) for y in range(1, 6) for x in range(1, 8)])
    assert np.abs(seen.points_px[np.argsort(seen.ids)] - expected).max() < 0.1
    assert Board(0.02).points_m(np.array([0, CORNERS - 1])) == pytest.approx(
        np.array([[0.02, 0.02, 0], [0.14, 0.1, 0]])
    )


def test_too_little_of_it_is_refused_with_what_was_seen(picture):
    half = picture.copy()
    half[:, 230:] = 0
    with pytest.raises(ValueError, match=rf"^\d+ of {CORNERS} corners of the board seen, \d+ markers"):
        Board().find(half)
    with pytest.raises(ValueError, match=f"^0 of {CORNERS} corners"):
        Board().find(np.zeros_like(picture))


@pytest.mark.parametrize(("square_mm", "page_mm"), [(30.0, (260.0, 210.0)), (15.0, (130.0, 105.0))])
def test_the_page_prints_at_its_true_size(square_mm, page_mm, tmp_path, capsys):
    for name in ("board.pdf", "board.png"):
        given = ["calibrate-camera", "--board", str(tmp_path / name), "--square-mm", str(square_mm), "--json"]
        assert main(given) == 0
        assert json.loads(capsys.readouterr().out)["page"].startswith(f"{page_mm[0]:g} x {page_mm[1]:g} mm")
    page = re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", (tmp_path / "board.pdf").read_bytes())
    assert [float(points) / 72.0 * 25.4 for points in page.groups()] == pytest.approx(page_mm, abs=0.05)
    printed = Image.open(tmp_path / "board.png")
    assert [size / printed.info["dpi"][0] * 25.4 for size in printed.size] == pytest.approx(page_mm, abs=0.1)
    small = np.asarray(printed.convert("RGB").resize((printed.width // 4, printed.height // 4)))
    across = np.ptp(Board().find(small).points_px[:, 0]) * 4 / printed.info["dpi"][0] * 25.4
    assert across == pytest.approx(6.0 * square_mm, rel=2e-3)


def test_the_arm_goes_round_in_poses_that_differ():
    poses = list(around(DOWN))
    apart = [pose_distance(a, b)[1] for i, a in enumerate(poses[:20]) for b in poses[:i]]
    assert sum(turn < MIN_TURN_RAD for turn in apart) <= 4  # They are left out; MIN_VIEWS and more remain.
    assert max(pose_distance(DOWN, pose)[1] for pose in poses) < np.radians(40.0)  # The guard's cone (S33).


# -- poses on disk -----------------------------------------------------------------------------------------------------


def test_poses_outlive_the_process_that_took_them(picture, tmp_path):
    saved = SavedViews(tmp_path, Board(), ABOUT)
    assert [saved.add(DOWN, picture), saved.add(DOWN._replace(position_m=(0.4, 0.0, 0.3)), picture)] == [1, 2]
    saved.drop(1)
    Image.fromarray(picture).save(tmp_path / "03.png")  # Killed between picture and pose: it does not count.
    again = SavedViews(tmp_path, Board(), ABOUT)
    assert (again.about, list(again.views)) == (ABOUT, [2])
    assert again.views[2].T_base_ee == saved.views[2].T_base_ee
    assert np.array_equal(again.views[2].points_px, saved.views[2].points_px)
    assert again.add(DOWN, picture) == 3
    # The print was measured since: the same pictures tell with the true size.
    larger = SavedViews(tmp_path, Board(0.031))
    assert larger.views[2].points_m == pytest.approx(31.0 / 30.0 * again.views[2].points_m)


def test_a_folder_of_something_else_is_refused(picture, tmp_path):
    with pytest.raises(ValueError, match="holds no poses"):
        SavedViews(tmp_path, Board())
    SavedViews(tmp_path, Board(), ABOUT).add(DOWN, picture)
    with pytest.raises(ValueError, match="another camera, frame, size or lens"):
        SavedViews(tmp_path, Board(), About("wrist", "base", SIZE_PX, LENS))
    with pytest.raises(ValueError, match="no pose 7; there are 1"):
        SavedViews(tmp_path, Board(), ABOUT).drop(7)
    with pytest.raises(ValueError, match=f"1 poses; {MIN_VIEWS} are needed"):
        solved(SavedViews(tmp_path, Board()), 2.0)
    (tmp_path / "01.json").write_text("{}")
    with pytest.raises(ValueError, match=r"01.json and its .png cannot be read"):
        SavedViews(tmp_path, Board(), ABOUT)


# -- the cell file -----------------------------------------------------------------------------------------------------

CELL = """\
name = "mine" # my own
arm = "fr3"
home_joint_positions_rad = []

[workspace]
min_m = [0.3, -0.2, 0.0]
max_m = [0.6, 0.2, 0.4]

[cameras.wrist] # on the hand
driver = "realsense"
serial = "1"

# To the left.
[cameras.front]
driver = "uvc"
path = "a"
"""


def test_a_camera_is_written_into_its_section_and_all_else_stays(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(CELL)
    write_camera(path, "wrist", {"extrinsics": EXTRINSICS})
    written = path.read_text()
    assert (
        written.index("[cameras.wrist]") < written.index("[cameras.wrist.extrinsics]") < written.index("# To the left")
    )
    camera = load_cell(path).cameras["wrist"]
    assert camera.extrinsics == Extrinsics(**EXTRINSICS)
    assert camera.extrinsics.pose.position_m == (0.085, 0.0, -0.0834)
    lens = {"focal_px": (600.0, 600.0), "centre_px": (320.0, 240.0), "distortion": (0.1, 0.0, 0.0, 0.0, 0.0)}
    moved = {**EXTRINSICS, "frame": "base"}
    for _ in range(2):  # In place of what is there: the second time changes nothing.
        write_camera(path, "wrist", {"extrinsics": moved, "intrinsics": lens})
        write_camera(path, "front", {"extrinsics": moved})
    cameras = load_cell(path).cameras
    assert (cameras["wrist"].extrinsics.frame, cameras["front"].extrinsics.frame) == ("base", "base")
    assert cameras["wrist"].intrinsics == Intrinsics(**lens)
    assert path.read_text().count("extrinsics]") == 2
    kept = [line for line in path.read_text().splitlines() if line in CELL.splitlines() and line]
    assert kept == [line for line in CELL.splitlines() if line]
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_take_it_is_left_alone_and_says_what_to_add(tmp_path):
    path = tmp_path / "mine.toml"
    inline = CELL.split("[cameras.wrist]")[0] + 'cameras.wrist = { driver = "uvc" }\n'
    path.write_text('cameras = { wrist = { driver = "uvc" } }\n' + inline.split("cameras.wrist")[0])
    before = path.read_text()
    with pytest.raises(CellError, match=r"no section \[cameras.wrist\] of its own; add by hand: .*position_m"):
        write_camera(path, "wrist", {"extrinsics": EXTRINSICS})
    assert (path.read_text(), list(tmp_path.iterdir())) == (before, [path])


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('extrinsics = { fram = "ee" }', "unknown key 'fram'; did you mean 'frame'"),
        ('extrinsics = { frame = "bse", position_m = [0, 0, 0], quat_xyzw = [0, 0, 0, 1] }', "did you mean 'base'"),
        ('extrinsics = { frame = "ee", position_m = [0, 0], quat_xyzw = [0, 0, 0, 1] }', "it must have 3"),
        ('extrinsics = { frame = "ee", position_m = [0, 0, 0], quat_xyzw = [0, 0, 0, 2] }', "a unit quaternion"),
        ('extrinsics = { frame = "ee", position_m = [0, 0, 0] }', "'quat_xyzw' is missing"),
        ("intrinsics = { focal_px = [0, 600], centre_px = [320, 240] }", "both must be above 0"),
        ("intrinsics = { focal_px = [600, 600], centre_px = [320, 240], distortion = [1] }", "k1, k2, p1, p2, k3"),
    ],
)
def test_what_makes_no_sense_in_a_cell_file_is_refused(line, says, tmp_path):
    (tmp_path / "mine.toml").write_text(CELL + line + "\n")
    with pytest.raises(CellError, match=re.escape(says)):
        load_cell(tmp_path / "mine.toml")


def test_the_twins_cameras_do_not_go_into_a_real_cell(tmp_path, capsys):
    path = tmp_path / "mine.toml"
    path.write_text(CELL)
    assert main(["calibrate-camera", "--sim", "--cell", str(path), "--camera", "wrist"]) == 2
    assert "is a real cell" in capsys.readouterr().err
    assert path.read_text() == CELL


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["--cell", "fr3_two_realsense", "--camera", "wrist"], "give the path of your own cell file"),
        (["--camera", "wrist"], "give the path of your own cell file"),
        (["--sim", "--camera", "wirst"], "did you mean 'wrist'"),
        (["--sim", "--camera", "wrist", "--frame", "bas"], "--frame 'bas': no 'bas'; did you mean 'base'"),
        (["--board", "board.gif"], "ends in .pdf or .png"),
        (["--square-mm", "0", "--board", "board.pdf"], "above 0"),
        (["--sim", "--camera", "wrist", "--solve-only", "--out", "nowhere"], "nowhere holds no poses"),
    ],
)
def test_a_wrong_option_is_one_line(given, says, capsys):
    assert main(["calibrate-camera", *given]) == 2
    assert says in capsys.readouterr().err
