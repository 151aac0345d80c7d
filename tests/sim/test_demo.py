"""The demo end to end, in small: every product is there, an interruption is survived, the test is the declared one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hardware.interfaces import Source
from robot_rl import cli
from robot_rl.evaluate import EvaluationProcesses
from sim.demo_video import BADGES, caption

SUMMARY = (
    "task", "preset", "seed", "env_steps", "robot_minutes", "wall_s", "updates", "demos", "base_success", "success",
    "success_low", "cycle_s", "interventions_first_20", "interventions_last_20", "person_seconds",
)  # fmt: skip
SMALL = (
    "--task", "reach", "--demos", "2", "--env-steps", "60", "--warmup-steps", "30", "--critic-only-updates", "4",
    "--cloning.steps", "50", "--learner.width", "16", "--learner.batch-size", "16", "--workers", "1", "--json",
)  # fmt: skip


def demo(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = cli.main(["demo", *SMALL, *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo") / "run"
    with pytest.MonkeyPatch.context() as patch:  # Beside other tests, processes that let everyone go first never end.
        patch.setattr("os.setpriority", lambda *_: None)
        assert cli.main(["demo", *SMALL, "--test-episodes", "2", "--no-video", "--out", str(out)]) == 0
    return out


def test_every_product_is_there(finished: Path) -> None:
    summary: dict[str, Any] = json.loads((finished / "summary.json").read_text())
    assert set(SUMMARY) <= set(summary)
    assert (summary["task"], summary["demos"], summary["env_steps"]) == ("reach", 2, 60)
    assert set(summary["evaluations"]) == {"policy", "policy_stochastic", "base", "blind"}
    assert all(e["episodes"] == 2 for e in summary["evaluations"].values())
    assert summary["person_seconds"] >= summary["person_seconds_demos"] > 0
    assert "reach" in (finished / "report.html").read_text()


def test_a_finished_demo_only_reports_again(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (finished / "policy" / "policy.safetensors").read_bytes()
    code, out, err = demo(capsys, "--test-episodes", 2, "--no-video", "--out", finished)
    assert code == 0 and "training:" not in err
    assert json.loads(out)["success"] == json.loads((finished / "summary.json").read_text())["success"]
    assert (finished / "policy" / "policy.safetensors").read_bytes() == before


def test_another_test_than_the_declared_one_is_refused(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = demo(capsys, "--test-episodes", 3, "--no-video", "--out", finished)
    assert code == 2 and "declared another final test" in err and err.count("\n") == 2


def test_an_interrupted_demo_leaves_no_test_running(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[EvaluationProcesses] = []

    class Noted(EvaluationProcesses):
        def __init__(self, *args: Any, **kwargs: Any):
            super().__init__(*args, **kwargs)
            begun.append(self)

    def interrupted(*_: object, **__: object) -> None:
        assert [process.exitcode for test in begun for process in test.processes] == [None, None]
        raise KeyboardInterrupt

    monkeypatch.setattr("sim.demo.EvaluationProcesses", Noted)
    monkeypatch.setattr("sim.demo.train", interrupted)
    code, _, _ = demo(capsys, "--test-episodes", 200, "--no-video", "--out", tmp_path / "run")
    assert code == 130 and len(begun) == 2
    assert all(process.exitcode is not None for test in begun for process in test.processes)


def test_without_a_renderer_the_demo_says_what_to_install(
    finished: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from sim.world import RendererUnavailable, World

    def no_renderer(*_: object) -> np.ndarray:
        raise RendererUnavailable("no off-screen OpenGL here: install it with `apt install libegl1`")

    monkeypatch.setattr(World, "render", no_renderer)
    code, _, err = demo(capsys, "--test-episodes", 2, "--out", finished)
    assert code == 0 and "no video: no off-screen OpenGL here: install it with `apt install libegl1`" in err
    assert not (finished / "demo.mp4").exists() and (finished / "report.html").exists()


@pytest.mark.parametrize("source", list(Source))
def test_captions_leave_the_picture_and_differ_by_who_drives(source: Source) -> None:
    picture = np.full((360, 480, 3), 90, np.uint8)
    drawn = caption(picture, "trained policy", source, True)
    assert drawn.shape == picture.shape and drawn.dtype == np.uint8
    assert (drawn[:300] == picture[:300]).all() and (drawn[330:] != picture[330:]).any()
    red, green, blue = BADGES[source][1]
    assert (abs(drawn.astype(int) - (red, green, blue)).max(-1) < 8).any(), "the badge has its colour"
