"""The report: one file that needs no other, says what the summary says, and shows what exists."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from robot_rl.failures import OUT_OF_TIME, Failure, endings, keep_picture
from robot_rl.metrics import MetricsLog, wilson_interval
from robot_rl.report import FAILURES, NO_PICTURES, write_report


def evaluation(successes: int, episodes: int) -> dict[str, Any]:
    low, high = wilson_interval(successes, episodes)
    rate = successes / episodes
    return {
        "episodes": episodes,
        "successes": successes,
        "success": rate,
        "success_low": low,
        "success_high": high,
        "cycle_s": 4.25,
    }


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    policy = evaluation(194, 200)
    summary = {
        "task": "peg_insertion", "preset": "hil_serl", "seed": 3, "env_steps": 10_000, "robot_minutes": 21.0,
        "wall_s": 402.0, "updates": 9_500, "demos": 20, "base_success": 0.51, "success": 0.97,
        "success_low": policy["success_low"],
        "cycle_s": 4.25, "interventions_first_20": 1.35, "interventions_last_20": 0.05, "person_seconds": 312.0,
        "training_robot_s": {"policy acts": 900.0, "person drives": 0.0, "resets": 60.0, "holds": 40.0},
        "evaluations": {"policy": policy, "blind": evaluation(14, 100)},
    }  # fmt: skip
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    with MetricsLog(tmp_path) as log:
        for step in range(100, 1100, 100):
            row = {"success": step / 1000, "intervention_rate": 0.1, "episode_steps": 50, "autonomous_episodes": 5}
            log.log(step, row | {"learner_wait_s": 30.0, "actor_wait_s": 10.0})
    return tmp_path


class Balance(HTMLParser):
    """Fails on tags that are closed out of order."""

    VOID = ("meta", "img")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes <{self.open[-1:]}>"
        self.open.pop()


def test_report_is_self_contained_and_well_formed(run_folder: Path) -> None:
    (run_folder / "stills").mkdir()
    Image.new("RGB", (4, 4)).save(run_folder / "stills" / "0.png")
    (run_folder / "demo.mp4").write_bytes(b"video")
    page = write_report(run_folder).read_text()
    assert not re.search(r"(src|href)='(?!data:)", page) and "http" not in page and "<script" not in page
    assert page.count("data:image/png") == 1 and page.count("data:video/mp4") == 1
    checker = Balance()
    checker.feed(page)
    assert checker.open == []


def test_report_shows_the_test_with_its_interval_and_the_floor_beside_it(run_folder: Path) -> None:
    page = write_report(run_folder).read_text()
    assert "97.0%" in page and "93.6% – 98.6%" in page and "194/200" in page
    assert "blind script" in page and "14.0%" in page
    assert "1.35 → 0.05" in page


def test_report_shows_where_the_time_went(run_folder: Path) -> None:
    page = write_report(run_folder).read_text()
    assert "policy acts 900 s, 90%" in page and "resets 60 s, 6%" in page and "person drives 0" not in page
    assert "holds 40 s, 4%" in page
    assert "environment 30 s, 75%" in page and "updates 10 s, 25%" in page


def test_a_run_without_pictures_or_metrics_still_has_a_report(run_folder: Path) -> None:
    (run_folder / "metrics.jsonl").unlink()
    assert "renderer" not in write_report(run_folder).read_text(), "only a demo makes any"
    (run_folder / "final_test.json").write_text("{}")
    page = write_report(run_folder).read_text()
    assert "no off-screen renderer" in page and "<h2>Training" not in page


def with_failures(folder: Path, *failures: Failure) -> None:
    path = folder / "summary.json"
    summary = json.loads(path.read_text())
    summary["evaluations"]["policy"] |= {"failures": [asdict(f) for f in failures], "endings": endings(failures)}
    path.write_text(json.dumps(summary))


def test_report_shows_how_failures_were_left_and_why(run_folder: Path) -> None:
    stopped = Failure(7, 960329833, 42, "S8: 43 N & more", progress=-0.1, best_progress=0.62)
    with_failures(run_folder, stopped, Failure(11, 5, 80, OUT_OF_TIME))
    keep_picture(run_folder / FAILURES, 7, np.zeros((36, 84, 3), np.uint8))
    page = write_report(run_folder).read_text()
    assert "Failures of the final test" in page and "1 × S8, 1 × time ran out; below the first 2" in page
    assert "Episode 7: S8: 43 N &amp; more" in page and "seed 960329833 · 42 steps" in page
    assert "62% of the way at best, 0% at the end" in page
    assert "Episode 11: time ran out" in page and page.count("data:image/jpeg") == 1


def test_failures_without_pictures_say_why_in_one_line(run_folder: Path) -> None:
    with_failures(run_folder, Failure(7, 1, 42, OUT_OF_TIME))
    page = write_report(run_folder).read_text()
    assert NO_PICTURES in page and "Episode 7: time ran out" in page and "data:image/jpeg" not in page


def test_a_run_without_a_test_shows_what_it_has(tmp_path: Path) -> None:
    figures = {
        "task": "reach",
        "preset": "rlpd",
        "seed": 1,
        "demos": 0,
        "env_steps": 10,
        "episodes": 2,
        "recent_success": 0.5,
    }
    (tmp_path / "summary.json").write_text(json.dumps(figures | {"wall_s": 12.0}))
    page = write_report(tmp_path).read_text()
    assert "50%" in page and "12.0 s" in page and "Final test" not in page and "takeovers" not in page


def test_a_large_video_is_linked(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("robot_rl.report.VIDEO_LIMIT_BYTES", 2)
    (run_folder / "demo.mp4").write_bytes(b"video")
    assert "src='demo.mp4'" in write_report(run_folder).read_text()


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_report(tmp_path)
