"""Setting up a cell: questions, what answers mean, the file written. With an arm: in tests/faults."""

from __future__ import annotations

import io
import json
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from hardware import cell_answers as answers
from hardware.cell import CellError, cell_file, cell_names, load_cell
from hardware.cell_writer import write_cell
from hardware.device_settings import ControllerSettings
from hardware.questions import Questions
from hardware.toml_dataclass import read_toml, tomllib
from hardware.toml_writer import to_toml
from robot_rl.cli import main
from tests.hardware.cameras.rig import NetworkCamera

pytestmark = pytest.mark.no_cover  # not of the guard's core

HOME = (0.0, -0.7854, 0.0, -2.3562, 0.0, 1.5708, 0.7854)
ANSWERS = [
    *("--yes", "--address", "10.0.0.2", "--cameras", "none", "--teleop", "spacemouse:/dev/hidraw3"),
    *("--home", *map(str, HOME), "--corners", *["0.3", "-0.2", "0.02", "0.6", "0.2", "0.55"]),
    *("--wrench-bias", *["0", "0", "-1.5", "0", "0", "0"], "--payload", *["0.4", "0", "0", "0.06"]),
]


def asked(lines="", given=None, yes=False):
    return Questions(given or {}, yes, io.StringIO(lines))


def test_an_option_answers_once_a_line_thereafter_and_an_empty_one_takes_the_proposal():
    questions = asked("7\n\n", {"size": "3"})
    assert [questions.ask("size", "how much", int, "5") for _ in range(3)] == [3, 7, 5]


def test_a_bad_line_is_asked_again_a_bad_option_and_the_end_of_the_lines_are_not(capsys):
    assert asked("much\n4\n").ask("size", "how much", int) == 4
    assert "invalid literal" in capsys.readouterr().err
    with pytest.raises(ValueError, match="--size 'much': invalid"):
        asked("4\n", {"size": "much"}).ask("size", "how much", int)
    with pytest.raises(ValueError, match="ended before --size"):
        asked("").ask("size", "how much", int, "5")
    with pytest.raises(ValueError, match="nothing can be proposed for --size"):
        asked("4\n", yes=True).ask("size", "how much", int)
    assert asked(yes=True).ask("size", "how much", int, "5") == 5


def test_an_option_that_nothing_asks_for_is_told():
    with pytest.raises(ValueError, match="--address: nothing"):
        asked(given={"address": "10.0.0.2"}).finish()


def test_cameras_are_named_with_driver_and_serial_or_path():
    own = {"top": {"width_px": 64}}
    assert answers.cameras("none", own) == {}
    assert answers.cameras("wrist=realsense:123 side=uvc:/dev/v4l/by-path/a:1 top", own) == {
        "wrist": {"driver": "realsense", "serial": "123"},
        "side": {"driver": "uvc", "path": "/dev/v4l/by-path/a:1"},
        "top": {"width_px": 64},
    }


def test_a_payload_is_four_numbers_within_what_an_arm_carries():
    assert answers.payload("1.2, 0 0 0.05") == {"payload_kg": 1.2, "payload_centre_m": [0.0, 0.0, 0.05]}
    with pytest.raises(ValueError, match="3 numbers; 4 finite ones are needed"):
        answers.payload("1 0 0")
    with pytest.raises(ValueError, match=r"payload_kg is 40; it must be at least 0 and at most 20"):
        answers.payload("40 0 0 0")


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ("wrist=realsens:123", "did you mean 'realsense'"),
        ("wrist=uvc", "which uvc"),
        ("tap", "did you mean 'top'"),
        ("a=uvc:1 a=uvc:2", "name of its own"),
        ("a-b=uvc:1", "name of its own"),
    ],
)
def test_cameras_that_make_no_sense_are_refused(wrong, match):
    with pytest.raises(ValueError, match=match):
        answers.cameras(wrong, {"top": {}})


def test_a_box_is_spanned_by_corners_in_any_order_and_holds_home():
    box = answers.spanned([(0.6, -0.2, 0.4), (0.3, 0.2, 0.02)], (0.4, 0.0, 0.2))
    assert (box.min_m, box.max_m) == ((0.3, -0.2, 0.02), (0.6, 0.2, 0.4))
    for corners, home, match in (
        ([(0.3, 0.0, 0.0)], (0.4, 0.0, 0.2), "two corners"),
        ([(0.3, 0.0, 0.0), (0.6, 0.01, 0.4)], (0.4, 0.0, 0.2), "thinner than 20 mm along y"),
        ([(0.3, -0.2, 0.0), (0.6, 0.2, 0.4)], (0.7, 0.0, 0.2), "100.0 mm outside"),
    ):
        with pytest.raises(ValueError, match=match):
            answers.spanned(corners, home)


def test_a_crop_must_fit_into_what_is_captured():
    assert answers.crop("160,80,320,320", {}) == [160, 80, 320, 320]
    for wrong, match in (("400,0,320,320", "does not fit"), ("1 2 3", "3 numbers"), ("0,0,1.5,2", "whole pixels")):
        with pytest.raises(ValueError, match=match):
            answers.crop(wrong, {})


def test_a_great_bias_is_a_payload_and_is_refused():
    assert ControllerSettings(wrench_bias=(0, 0, -2, 0, 0, 0)).unbiased((1, 0, -2, 0, 0, 0)) == (1, 0, 0, 0, 0, 0)
    with pytest.raises(ValueError, match="payload"):
        ControllerSettings(wrench_bias=(0.0, 0.0, -12.0, 0.0, 0.0, 0.0))


_SCALARS = st.one_of(
    st.booleans(), st.integers(-(2**62), 2**62), st.floats(allow_nan=False, allow_infinity=False), st.text()
)
_VALUES = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)


@settings(suppress_health_check=[HealthCheck.too_slow])  # On a busy machine drawing is slow, which proves nothing.
@given(st.dictionaries(st.text(), _VALUES, max_size=4))
def test_a_table_comes_back_from_its_text(table):
    assert tomllib.loads(to_toml(table)) == table


@pytest.mark.parametrize("name", cell_names())
def test_every_cell_comes_back_from_its_text(name):
    table = read_toml(cell_file(name))
    assert tomllib.loads(to_toml(table)) == table


def test_a_file_is_never_overwritten_and_none_is_left_that_would_not_load(tmp_path):
    path, table = tmp_path / "a.toml", read_toml(cell_file("twin"))
    with pytest.raises(CellError, match=r"^a.toml: unknown key 'gard_hz'; did you mean 'guard_hz'"):
        write_cell({**table, "gard_hz": 100.0}, path)
    assert list(tmp_path.iterdir()) == []
    path.write_text("mine")
    with pytest.raises(CellError, match="exists already"):
        write_cell(table, path)
    assert [(file, file.read_text()) for file in tmp_path.iterdir()] == [(path, "mine")]


def test_without_the_arm_all_is_answered_by_options(tmp_path, capsys):
    path = tmp_path / "mine.toml"
    assert main(["setup-cell", "--out", str(path), "--json", *ANSWERS]) == 0
    assert json.loads(capsys.readouterr().out)["next"] == f"robot-rl doctor --cell {path}"
    cell = load_cell(path)
    assert (cell.name, cell.arm, cell.controller.address) == ("mine", "fr3", "10.0.0.2")
    assert cell.controller.wrench_bias == (0.0, 0.0, -1.5, 0.0, 0.0, 0.0)
    assert (cell.controller.payload_kg, cell.controller.payload_centre_m) == (0.4, (0.0, 0.0, 0.06))
    assert (cell.home_joint_positions_rad, cell.workspace.max_m) == (HOME, (0.6, 0.2, 0.55))
    assert (cell.teleop.device, cell.teleop.path, cell.cameras) == ("spacemouse", "/dev/hidraw3", {})
    assert not cell.scripted_operator


@pytest.mark.parametrize(
    ("further", "says"),
    [
        (["--arm", "fr4"], "--arm 'fr4': no 'fr4'; did you mean 'fr3'"),
        (["--crops", "wrist=0,0,9,9"], "--crops wrist: nothing in this cell asks for it"),
        (["--corners", "around", "--table-m", "0.7"], "must lie below|thinner|outside"),
        (["--home", "here"], "the arm is not connected"),
        (["--home", *"0000000"], "joint 4 goes from -3.0421 to -0.1518 rad, not to 0"),
        (["--like", "twins"], "did you mean 'twin'"),
        (["--like", "two_arms"], "has the arms left, right"),
        (["--like", "so101", "--sim"], "--like so101 has a so101; the twin's arm is a fr3"),
        (["--out", "cell.yaml"], "ends in .toml"),
    ],
)
def test_a_wrong_option_is_one_line_and_writes_nothing(further, says, tmp_path, capsys):
    assert main(["setup-cell", "--out", str(tmp_path / "a.toml"), *ANSWERS, *further]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert any(part in said for part in says.split("|")), said
    assert list(tmp_path.iterdir()) == []


def test_an_arm_that_is_not_there_is_named_with_the_way_round_it(tmp_path, capsys):
    without = ANSWERS[: ANSWERS.index("--home")]
    without[without.index("10.0.0.2")] = ""
    assert main(["setup-cell", "--out", str(tmp_path / "a.toml"), *without]) == 2
    assert "to go on without it give --home" in capsys.readouterr().err


def test_a_camera_is_cropped_on_a_still(tmp_path, monkeypatch, capsys):
    pytest.importorskip("cv2", reason="needs the extra 'uvc'")
    source = NetworkCamera()
    monkeypatch.setattr(sys, "stdin", io.StringIO("600,0,320,320\n160,80,320,320\n"))
    answered = [word for word in ANSWERS if word != "--yes"]
    answered[answered.index("none")] = f"front=uvc:{source.address}"
    path = tmp_path / "mine.toml"
    try:
        assert (
            main(["setup-cell", "--out", str(path), "--name", "mine", "--arm", "fr3", "--table-m", "0", *answered]) == 0
        )
    finally:
        source.close()
    said = capsys.readouterr()
    assert "does not fit" in said.err
    assert f"robot-rl calibrate-camera --cell {path} --camera front" in said.out
    assert load_cell(path).cameras["front"].crop == (160, 80, 320, 320)
    sizes = [Image.open(tmp_path / f"mine_front{which}.png").size for which in ("", "_kept")]
    assert sizes == [(640, 480), (128, 128)]
