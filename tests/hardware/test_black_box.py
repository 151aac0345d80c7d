"""The black box: what is saved, when, what it costs, and what a person reads in it."""

from __future__ import annotations

import json
import re

import pytest

from hardware.black_box import KEEP, BlackBox
from hardware.black_box_page import page
from hardware.black_box_report import (
    amount_text,
    headline,
    limits_touched,
    read_black_box,
    read_inputs,
    timeline,
)
from hardware.commands import BlackBoxReport
from hardware.fakes import shifted
from hardware.interfaces import GuardMode
from hardware.recording import RecordingError, RecordingWriter
from robot_rl.cli import main
from tests.hardware.rig import NAN_POSE, Rig


def recorded(folder, lag_s: float = 0.01, **options) -> Rig:
    rig = Rig(lag_s=lag_s).engage()
    rig.guard.recorder = BlackBox(folder, rig.guard.settings, {"cell": "twin", "limits_profile": "p"}, **options)
    return rig


def drive(rig: Rig, ticks: int, step_m: float = 0.006) -> None:
    """A policy's steps to the left at 10 Hz."""
    for tick in range(ticks):
        if tick % 10 == 0:
            rig.ask(shifted(rig.guard.state.target.pose, (0.0, step_m, 0.0)))
        rig.tick()


def files(folder) -> list[str]:
    return sorted(path.name for path in folder.glob("*.mcap"))


def test_nothing_is_saved_while_all_is_well(tmp_path):
    rig = recorded(tmp_path / "box")
    drive(rig, 100)
    rig.guard.recorder.close()
    assert not (tmp_path / "box").exists()


def test_a_stop_is_saved_with_five_seconds_before_it_and_what_came_after(tmp_path):
    rig = recorded(tmp_path)
    drive(rig, 700, 0.002)
    rig.ask(NAN_POSE)
    drive(rig, 100)
    rig.guard.recorder.close()
    assert files(tmp_path) == ["hold-00001.mcap"]
    record = read_black_box(tmp_path / "hold-00001.mcap")
    assert record.time_s[0] == pytest.approx(-4.99)
    assert record.time_s[-1] == pytest.approx(0.5)
    assert record.executed == rig.trace[700 - 499 : 700 + 51]
    assert record.position_m.tolist() == [list(p.position_m) for p in rig.measured[700 - 499 : 700 + 51]]
    assert record.commands[499] == 2  # the NaN, and the step asked for in the same tick


def test_a_run_that_ends_soon_after_a_stop_saves_it_too(tmp_path):
    rig = recorded(tmp_path)
    drive(rig, 20)
    rig.guard.hold()
    rig.tick(3)
    rig.guard.recorder.close()
    assert len(read_black_box(tmp_path / "hold-00001.mcap").executed) == 23


def test_each_stop_gets_a_file_and_a_hold_that_becomes_a_fault_another(tmp_path):
    rig = recorded(tmp_path, before_s=0.2, after_s=0.05)
    for _ in range(2):
        rig.ask(NAN_POSE)
        rig.tick(60)
        rig.resume()
    rig.guard.hold()
    rig.tick(40)
    rig.guard.hold("no", GuardMode.FAULT)
    rig.tick(40)
    rig.guard.recorder.close()
    assert files(tmp_path) == ["fault-00004.mcap", "hold-00001.mcap", "hold-00002.mcap", "hold-00003.mcap"]


def test_only_the_newest_files_are_kept(tmp_path):
    for number in range(1, KEEP + 6):
        (tmp_path / f"hold-{number:05d}.mcap").touch()
    rig = recorded(tmp_path)
    rig.guard.hold()
    rig.tick(60)
    rig.guard.recorder.close()
    kept = files(tmp_path)
    assert len(kept) == KEEP
    assert kept[-1] == f"hold-{KEEP + 6:05d}.mcap"


def test_a_disk_that_refuses_does_not_stop_the_guard(tmp_path, caplog):
    (tmp_path / "box").write_text("a file where the folder should be")
    rig = recorded(tmp_path / "box")
    rig.guard.hold()
    rig.tick(60)
    rig.guard.recorder.close()
    assert rig.guard.mode is GuardMode.HOLD
    assert "black box not saved" in caplog.text


def test_inputs_and_what_was_no_pose_are_there(tmp_path):
    rig = recorded(tmp_path)
    rig.teleop.push(0.25, -0.5)
    rig.tick(5)
    rig.ask(("x", None))
    rig.tick(5)
    rig.guard.recorder.close()
    path = tmp_path / "hold-00001.mcap"
    assert [row["teleop.twist.1"] for row in read_inputs(path)] == [-0.5] * 10
    assert any("('x', None)" in event.what for event in timeline(read_black_box(path)))


def test_the_report_says_which_limit_by_how_much_whose_and_how_it_ended(tmp_path):
    rig = recorded(tmp_path)
    drive(rig, 30)
    rig.ask(shifted(rig.guard.state.target.pose, (0.0, 0.0, -0.5)))  # through the table
    rig.tick(20)
    rig.teleop.push(1.0)
    rig.tick(30)
    rig.guard.hold("S99: a reason")
    rig.tick(60)
    rig.guard.recorder.close()
    record = read_black_box(tmp_path / "hold-00001.mcap")
    assert headline(record) == "the guard went to HOLD: S99: a reason"
    words = [event.what for event in timeline(record)]
    order = [
        "the policy drives",
        "S4 refused the policy, over by 255.0 mm",
        "the person drives",
        "HOLD: S99: a reason",
    ]
    assert [word for word in words if word in order] == order
    assert re.fullmatch(r"the arm stands, after \d+ ms and \d+\.\d mm", words[-1])
    assert {"limit": "S4", "ticks": 1, "worst": "255.0 mm", "whose": "the policy"} in limits_touched(record)
    html = page(record)
    assert "S99: a reason" in html
    assert html.count("<svg") == 6
    assert "nan" not in html
    assert "http" not in html  # self-contained


def test_an_amount_has_its_unit():
    assert amount_text("S4", 0.0123) == "12.3 mm"
    assert amount_text("S1", 1.0) == "-"
    assert amount_text("S7", 0.01) == "0.01 m or rad"
    assert amount_text("S28", 0.3) == "0.3 s"


def test_the_command_prints_it_in_words_and_as_json(tmp_path, capsys):
    rig = recorded(tmp_path)
    drive(rig, 30)
    rig.ask(NAN_POSE)
    rig.tick(60)
    rig.guard.recorder.close()
    path = tmp_path / "hold-00001.mcap"
    assert main(["blackbox", str(path)]) == 0
    assert "the guard went to HOLD: S1" in capsys.readouterr().out
    assert path.with_suffix(".html").read_text().startswith("<!doctype html>")
    assert main(["blackbox", str(path), "--json", "--page", str(tmp_path / "p.html")]) == 0
    assert json.loads(capsys.readouterr().out)["limits"][0]["limit"].strip() == "S1"
    assert (tmp_path / "p.html").exists()


def test_what_is_no_black_box_is_refused_in_one_line(tmp_path, capsys):
    other = RecordingWriter(tmp_path / "other.mcap", {"kind": "episode"})
    other.seal({})
    with pytest.raises(RecordingError, match="not a whole black box"):
        read_black_box(tmp_path / "other.mcap")
    assert main(["blackbox", str(tmp_path / "none.mcap")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert BlackBoxReport.defaults([]).page is None
