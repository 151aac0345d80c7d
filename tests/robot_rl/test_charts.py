"""Charts: round ticks that span the data, and drawings that stay inside their frame."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.charts import HEIGHT, WIDTH, Line, interval_bar, line_chart, ticks

VALUES = st.floats(-1e6, 1e6, allow_nan=False).map(lambda v: round(v, 4))


@given(VALUES, VALUES)
def test_ticks_span_the_data_in_few_equal_steps(a: float, b: float) -> None:
    low, high = min(a, b), max(a, b)
    marks = ticks(low, high)
    slack = 1e-6 * max(abs(low), abs(high), 1.0)
    assert marks[0] <= low + slack and marks[-1] >= high - slack
    assert 2 <= len(marks) <= 8


@given(st.lists(st.tuples(st.floats(0, 1e5), VALUES), min_size=1, max_size=30))
def test_every_point_is_drawn_inside_the_frame(points: list[tuple[float, float]]) -> None:
    svg = line_chart("loss", [Line("loss", sorted(points))], "steps")
    drawn = re.search(r"<path class='c0' d='M([^']*)'", svg)
    assert drawn is not None
    for pair in drawn.group(1).split("L"):
        x, y = map(float, pair.split())
        assert 0 <= x <= WIDTH and 0 <= y <= HEIGHT


def test_titles_are_escaped_and_empty_charts_say_so() -> None:
    assert "no data" in line_chart("a < b", [Line("x", [])], "steps")
    assert "a &lt; b" in line_chart("a < b", [Line("x", [(0, 1)])], "steps")


@pytest.mark.parametrize(("rate", "x"), [(0.0, "1.0"), (1.0, "159.0")])
def test_interval_bar_ends_where_rates_end(rate: float, x: str) -> None:
    assert f"cx='{x}'" in interval_bar(rate, rate, rate)
