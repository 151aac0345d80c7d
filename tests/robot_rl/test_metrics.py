"""Metrics: intervals against published values, rows that survive kills and resumes, progress in words."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.metrics import MetricsLog, TrainingProgress, read_metrics, series, wilson_interval
from tests.hardware.test_full_disk import no_file_beyond


@pytest.mark.parametrize(
    ("successes", "episodes", "low", "high"),
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (190, 200, 0.9104, 0.9726), (81, 263, 0.2553, 0.3662), (0, 0, 0, 1)],
)
def test_wilson_interval_equals_published_values(successes: int, episodes: int, low: float, high: float) -> None:
    assert wilson_interval(successes, episodes) == pytest.approx((low, high), abs=1e-4)


@given(st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_interval_contains_the_rate_and_mirrors(counts: tuple[int, int]) -> None:
    successes, episodes = counts
    low, high = wilson_interval(successes, episodes)
    assert 0.0 <= low <= successes / episodes + 1e-12 and successes / episodes - 1e-12 <= high <= 1.0
    mirrored = wilson_interval(episodes - successes, episodes)
    assert (1 - mirrored[1], 1 - mirrored[0]) == pytest.approx((low, high), abs=1e-12)


def test_wilson_interval_refuses_impossible_counts() -> None:
    with pytest.raises(ValueError, match="11 successes of 10"):
        wilson_interval(11, 10)


def test_rows_come_back_and_events_are_written(tmp_path: Path) -> None:
    with MetricsLog(tmp_path) as log:
        log.log(10, {"success": 0.5, "loss": float("nan")})
        log.log(20, {"success": 1.0})
    assert read_metrics(tmp_path) == [{"env_steps": 10, "success": 0.5}, {"env_steps": 20, "success": 1.0}]
    assert json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[0])["loss"] is None
    assert series(read_metrics(tmp_path), "success") == [(10, 0.5), (20, 1.0)]
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(e.step, e.value) for e in events.Scalars("success")] == [(10, 0.5), (20, 1.0)]


def test_a_kill_at_any_byte_costs_at_most_the_last_row(tmp_path: Path) -> None:
    with MetricsLog(tmp_path) as log:
        log.log(1, {"success": 0.25})
        log.log(2, {"success": 0.75})
    whole = (tmp_path / "metrics.jsonl").read_bytes()
    first = whole.index(b"\n") + 1
    for kept in range(first, len(whole)):
        (tmp_path / "metrics.jsonl").write_bytes(whole[:kept])
        assert [row["env_steps"] for row in read_metrics(tmp_path)] == [1]
    MetricsLog(tmp_path).close()
    assert (tmp_path / "metrics.jsonl").read_bytes() == whole[:first]


def test_a_resumed_run_overrules_the_rows_it_repeats(tmp_path: Path) -> None:
    for steps in ((10, 20, 30), (15, 25)):
        with MetricsLog(tmp_path) as log:
            for step in steps:
                log.log(step, {"success": len(steps)})
    assert [(r["env_steps"], r["success"]) for r in read_metrics(tmp_path)] == [(10, 3), (15, 2), (25, 2)]


def test_a_damaged_row_is_named_by_its_line(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"env_steps": 1}\n{broken\n{"env_steps": 2}\n')
    with pytest.raises(ValueError, match="line 2"):
        read_metrics(tmp_path)


def test_progress_says_success_interventions_speed_and_time_left() -> None:
    out = io.StringIO()
    with TrainingProgress(1000, stream=out) as progress:
        row = {"success": 0.5, "intervention_rate": 0.25, "autonomous_episodes": 2.0}
        progress({"env_steps": 100, "updates": 0, "wall_s": 10.0, **row})
        text = progress.describe({"env_steps": 200, "updates": 400, "wall_s": 20.0, "in_a_row": 3.0, **row})
    assert text == "200/1,000 steps · success 50% · 3 in a row · intervention 25% · 40 updates/s · ETA 1:20"
    assert out.getvalue() == "training: 100/1,000 steps · success 50% · intervention 25%\n"


def test_progress_claims_no_success_without_autonomous_episodes() -> None:
    progress = TrainingProgress(10, stream=io.StringIO())
    row = {"env_steps": 1, "success": 0.0, "intervention_rate": 1.0, "autonomous_episodes": 0.0}
    assert "success –" in progress.describe(row)


def test_a_run_that_goes_on_from_a_checkpoint_logs_no_step_twice(tmp_path: Path) -> None:
    for rewound in (0, 20):
        with MetricsLog(tmp_path) as log:
            log.rewind(rewound, 100)
            for step in (10, 20, 30):
                if step > rewound:
                    log.log(step, {"loss": float(step + rewound)})
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [(row["env_steps"], row["loss"]) for row in rows] == [(10, 10.0), (20, 20.0), (30, 50.0)]


def test_a_run_that_goes_on_logs_no_episode_twice_that_ended_after_the_checkpoints_last_step(tmp_path: Path) -> None:
    with MetricsLog(tmp_path) as log:
        for episodes in (1.0, 2.0):  # the second one's end came after the checkpoint of its last step
            log.log(10, {"episodes": episodes})
        log.rewind(10, 1)
        log.log(10, {"episodes": 2.0})
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row["episodes"] for row in rows] == [1.0, 2.0]
    assert [row["episodes"] for row in read_metrics(tmp_path)] == [2.0]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_full_disk_delays_rows_and_ends_nothing(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path)
    log.log(1, {"success": 0.5})
    with no_file_beyond(50):
        for step in range(2, 30):
            log.log(step, {"success": 0.5})
    log.log(30, {"success": 0.5})
    log.close()
    assert [row["env_steps"] for row in read_metrics(tmp_path)] == list(range(1, 31))
