"""Tables of results: every seed shown, and a benchmark rewrites its own table alone."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from benchmarks import faults, page, presets

PAGE = "top\n<!-- a: begin -->\nold a\n<!-- a: end -->\nmiddle\n<!-- b: begin -->\nold b\n<!-- b: end -->\nbottom\n"


def test_a_table_replaces_what_is_between_its_markers_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "RESULTS.md"
    path.write_text(PAGE)
    page.put("b", "new b", path)
    assert path.read_text() == PAGE.replace("old b", "new b")
    page.put("b", "newer b", path)
    assert path.read_text() == PAGE.replace("old b", "newer b")


@pytest.mark.parametrize("text", ["no markers", PAGE + PAGE, PAGE.replace("<!-- a: end -->", "")])
def test_a_page_without_the_markers_is_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "RESULTS.md"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"RESULTS\.md must hold '<!-- a: begin -->'"):
        page.put("a", "new", path)
    assert path.read_text() == text


@pytest.mark.parametrize("name", ["presets", "gym-hil", "link", "link-faults"])
def test_the_page_has_a_place_for_every_table(name: str, tmp_path: Path) -> None:
    copy = tmp_path / "RESULTS.md"
    copy.write_text(page.PAGE.read_text())
    page.put(name, "here", copy)
    assert "here" in copy.read_text()


def gym_hil_result(seed: int, successes: int, **changes: Any) -> dict[str, Any]:
    tested = {"success": successes / 50, "success_low": successes / 60}
    return {"variant": "random", "seed": seed, "env_steps": 3500, "policy": tested, "base": tested, **changes}


def test_the_gym_hil_table_shows_every_seed_in_order_and_the_median() -> None:
    table = importlib.import_module("benchmarks.gym_hil.__main__").table
    rows = table([gym_hil_result(1, 25), gym_hil_result(0, 50), gym_hil_result(2, 45, base=None)]).splitlines()
    cells = [cell.strip() for cell in rows[2].strip("|").split("|")]
    assert cells[1:5] == ["90%", "100% 50% 90%", "83% 42% 75%", "100% 50%"]
    assert len({row.count("|") for row in rows}) == 1, "every row has the same columns"
    assert "LeRobot" in rows[-1] and "0–30%" in rows[-1]


def test_the_presets_table_shows_every_seed() -> None:
    names = ("success_stochastic", "person_seconds", "base_success", "blind_success")
    common = {"task": "reach", "preset": "bc", "cycle_s": None, "env_steps": 9, **dict.fromkeys(names, 0.5)}
    table = presets.table([common | {"seed": seed, "success": 0.1 * seed} for seed in (2, 0, 1)])
    assert "| 10.0% | 0.0% 10.0% 20.0% |" in table


def test_a_fault_that_costs_more_than_it_may_is_marked() -> None:
    row = {"repeats": 3, "steps": 900, "lost": 3, "duplicated": 0, "median_s": 0.5, "worst_s": 1.0}
    rows = {"kill -9 of the actor": row, "kill -9 of the learner": row, "link cut, 2 s": {"skipped": "no rights"}}
    lines = {line.split("|")[1].strip(): line for line in faults.table(rows).splitlines() if "|" in line}
    assert "kill -9 of the actor" in lines and "kill -9 of the learner **over**" in lines
    assert "no rights" in lines["link cut, 2 s"] and "not run yet" in lines["NaN weights"]
