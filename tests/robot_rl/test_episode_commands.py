"""``robot-rl episodes``: as a person uses it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robot_rl.cli import main
from robot_rl.demonstrations import collect_demos
from robot_rl.rollout import EnvSpec

POINT = EnvSpec("tests.robot_rl.point_env:PointReach-v0")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "episodes"
    collect_demos(folder, POINT, 3, 0, "tests.robot_rl.point_env:demonstrate")
    return folder


def ask(capsys: pytest.CaptureFixture[str], *words: Any) -> dict[str, Any]:
    assert main(["episodes", *map(str, words), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def refused(capsys: pytest.CaptureFixture[str], *words: Any) -> str:
    assert main(["episodes", *map(str, words)]) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return said


def test_a_runs_folder_or_the_episodes_own_can_be_given(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in (recorded, recorded.parent):
        listed = ask(capsys, "list", folder)
        assert listed["episodes"] == listed["successes"] == 3 and len(listed["files"]) == 3
    assert ask(capsys, "show", recorded, 1)["path"] == "demo-00-000001.mcap"
    assert ask(capsys, "verify", recorded) == {"episodes": 3, "whole": 3}


def test_a_label_is_given_counted_and_taken_away(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ask(capsys, "label", recorded, "demo-00-000001.mcap", "failure")
    assert ask(capsys, "list", recorded)["successes"] == 2
    ask(capsys, "label", recorded, 1, "none")
    assert ask(capsys, "list", recorded)["successes"] == 3
    assert "is not one of" in refused(capsys, "label", recorded, "1", "sucess")
    assert "say which label" in refused(capsys, "label", recorded, "1")
    assert "did you mean 'demo-00-00000" in refused(capsys, "show", recorded, "demo-00-0000")
    assert "no episodes in" in refused(capsys, "list", recorded.parent / "nowhere")


def test_a_damaged_file_is_reported_and_repaired(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in recorded.glob("*.mcap"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    ask(capsys, "list", tmp_path)
    victim = tmp_path / "demo-00-000001.mcap"
    victim.write_bytes(victim.read_bytes()[:-2_000])
    assert "1 of 3 episodes are not whole" in refused(capsys, "verify", tmp_path)
    assert ask(capsys, "repair", tmp_path)["mended"] == 1
    ask(capsys, "verify", tmp_path)


def test_the_export_for_lerobot_holds_every_step(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    done = ask(capsys, "export", recorded, "--out", tmp_path / "copy")
    info = json.loads((tmp_path / "copy" / "meta" / "info.json").read_text())
    assert (info["codebase_version"], info["total_frames"], info["total_episodes"]) == ("v3.0", done["frames"], 3)
    rows = parquet.read_table(tmp_path / "copy" / "meta" / "episodes").to_pylist()
    assert [row["dataset_to_index"] - row["dataset_from_index"] for row in rows] == [row["length"] for row in rows]
    first = parquet.read_table(tmp_path / "copy" / info["data_path"].format(chunk_index=0, file_index=0))
    assert set(first.column_names) == {n for n, f in info["features"].items() if f["dtype"] != "video"}
    assert np.allclose(first["timestamp"].to_pylist(), np.arange(rows[0]["length"]) / info["fps"])
    assert "is not empty" in refused(capsys, "export", recorded, "--out", str(tmp_path / "copy"))
    assert "say where to" in refused(capsys, "export", recorded)


def test_the_lerobot_package_loads_the_export(recorded: Path, tmp_path: Path, capsys: Any) -> None:
    lerobot = pytest.importorskip("lerobot.datasets.lerobot_dataset")
    ask(capsys, "export", recorded, "--out", tmp_path / "copy")
    dataset = lerobot.LeRobotDataset("local/copy", root=tmp_path / "copy")
    assert dataset.num_episodes == 3 and dataset[0]["task"]
    assert dataset[0]["action"].numel() == 1 and dataset[0]["observation.state"].shape == (2,)


def test_the_export_for_rerun_is_a_file_an_episode(recorded: Path, tmp_path: Path, capsys: Any) -> None:
    pytest.importorskip("rerun")
    ask(capsys, "export", recorded, "--out", tmp_path / "copy", "--to", "rerun")
    files = sorted((tmp_path / "copy").glob("*.rrd"))
    assert len(files) == 3 and all(file.read_bytes()[:3] == b"RRF" for file in files)
