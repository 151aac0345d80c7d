"""The browser of episodes, without a browser: which are listed, what is said of one, what is copied."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hardware.interfaces import Source
from robot_rl.cli import main
from robot_rl.console.recorded import ALONE, ANY, HELPED, ROWS, Filter, RecordedFrames, about, table, timeline
from robot_rl.demonstrations import collect_demos
from robot_rl.episodes import EpisodeRow, EpisodeStore
from robot_rl.rollout import EnvSpec
from robot_rl.types import Episode, EpisodeHeader, Step, StepId

POINT = EnvSpec("tests.robot_rl.point_env:PointReach-v0")


def row(path: str = "a-00-000000.mcap", **more: Any) -> EpisodeRow:
    row = EpisodeRow(
        path, "a", 0, 0, "reach", 0, "2026-11-27T10:12:13+00:00", 4, True, (), 1.0, "online", complete=True, sha256=""
    )
    return replace(row, **more)


def episode(sources: list[Source]) -> Episode:
    def step(k: int, source: Source) -> Step:
        action = np.array([0.5, -1.0], np.float32)
        return Step(
            StepId("a", 0, 0, k), {"state": action, "front": np.full((2, 3, 3), k, np.uint8)}, action, action, action,
            source, False, 0.0, False, False, False, 0.1 * k,
        )  # fmt: skip

    header = EpisodeHeader("a", 0, 0, "reach", 7, 10.0, 2)
    return Episode(header, [step(k, source) for k, source in enumerate(sources)], {})


HELPED_ROW = row("b", success=False, intervention_spans=((1, 3),), created="2026-11-26T23:59:59+00:00")
OTHER_ROW = row("c", task="pick_cube", label="discard")


@pytest.mark.parametrize(
    ("wanted", "kept"),
    [
        (Filter(), "abc"),
        (Filter(outcome="success"), "a"),
        (Filter(outcome="failure"), "b"),
        (Filter(outcome="discard"), "c"),
        (Filter(help=HELPED), "b"),
        (Filter(help=ALONE), "ac"),
        (Filter(task="reach"), "ab"),
        (Filter(date="2026-11-26"), "b"),
        (Filter(outcome="failure", task="pick_cube"), ""),
        (Filter(outcome=ANY, help=ALONE, date="2026-11-27", task="reach"), "a"),
    ],
)
def test_filters_keep_what_agrees_with_all_of_them(wanted: Filter, kept: str) -> None:
    assert "".join(row.path for row in (row("a"), HELPED_ROW, OTHER_ROW) if wanted.keeps(row)) == kept


def test_a_label_overrules_the_recorded_outcome() -> None:
    assert Filter(outcome="failure").keeps(row(label="failure")) and not Filter(outcome="success").keeps(
        row(label="failure")
    )


def test_the_table_shows_the_neighbours_of_the_chosen_one_and_says_how_many_there_are() -> None:
    rows = [row(f"r-{number:03d}.mcap") for number in range(100)]
    for chosen in (0, 50, 99):
        shown = table(rows, f"r-{chosen:03d}.mcap")
        assert shown.count("<tr") == ROWS + 1 and f"r-{chosen:03d}<" in shown and "100 episodes" in shown
        assert shown.count("background") == 1
    assert "0 episodes" in table([], "none")
    assert "<script>" not in table([row("<script>.mcap")], "")


def test_the_timeline_has_a_band_for_whoever_drove_and_a_line_for_each_axis() -> None:
    recorded = episode([Source.POLICY, Source.HUMAN, Source.HUMAN, Source.POLICY])
    drawn = timeline(recorded.steps, 1)
    assert drawn.count("<rect") == 3 and drawn.count("<polyline") == 2
    assert "a person drives, steps 1 to 2" in drawn and "x1='112.5'" in drawn


def test_a_step_is_told_with_its_label() -> None:
    recorded = episode([Source.POLICY, Source.HUMAN])
    words = about(row(success=False, label="success"), recorded, 1, "a note")
    assert "success (recorded: failure)" in words and "step 1 of 2, 0.1 s" in words and "a note" in words


def test_without_a_robot_an_observations_images_are_shown() -> None:
    stage = RecordedFrames(episode([Source.POLICY, Source.POLICY]))
    assert list(stage.pictures(1)) == ["front"] and stage.pictures(1)["front"][0, 0, 0] == 1


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    collect_demos(tmp_path / "episodes", POINT, 3, 0, "tests.robot_rl.point_env:demonstrate")
    return tmp_path / "episodes"


def test_copies_are_a_store_with_the_same_labels(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = EpisodeStore(recorded)
    first, second, third = (row.path for row in store.list())
    store.label(first, "discard")
    store.label(second, "failure")
    out = recorded.parent / "copies"
    assert main(["episodes", "export", str(recorded), "--to", "mcap", "--out", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["episodes"] == 2
    copies = EpisodeStore(out)
    assert [(row.path, row.label) for row in copies.list()] == [(second, "failure"), (third, None)]
    assert [row.sha256 for row in copies.list()] == [row.sha256 for row in store.list()[1:]]
    assert main(["episodes", "export", str(recorded), "--to", "mcap", "--out", str(out)]) == 2
    assert "is not empty" in capsys.readouterr().err


def test_a_label_survives_a_kill(recorded: Path) -> None:
    script = (
        "import os, signal, sys; from robot_rl.episodes import EpisodeStore; store = EpisodeStore(sys.argv[1]);"
        "store.label(store.list()[0].path, 'failure'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", script, str(recorded)]).returncode == -signal.SIGKILL
    assert EpisodeStore(recorded).list()[0].label == "failure"
