"""Charts as inline SVG: no drawing library, no script, crisp at any size, coloured by the page's style sheet."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 520, 230
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 12, 34
Point = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """One curve: ``points`` (x, y) in order of x."""

    label: str
    points: Sequence[Point]


def line_chart(
    title: str, lines: Sequence[Line], x_label: str, percent: bool = False, level: float | None = None
) -> str:
    """A ``<figure>`` of up to four curves; ``percent`` fixes the y axis to 0-100 %, ``level`` draws a dashed line.

    Curves without points are left out; without any the figure says so.
    """
    drawn = [line for line in lines if line.points]
    if not drawn:
        return f"<figure><figcaption>{escape(title)}</figcaption><p class='none'>no data</p></figure>"
    xs = [x for line in drawn for x, _ in line.points]
    ys = [y for line in drawn for _, y in line.points]
    x_ticks = ticks(0.0, max(xs))
    y_ticks = [0.0, 0.25, 0.5, 0.75, 1.0] if percent else ticks(min(0.0, *ys), max(ys))
    frame = _Frame((x_ticks[0], max(xs[-1], *xs)), (y_ticks[0], y_ticks[-1]))
    parts = [_grid(frame, x_ticks, y_ticks, percent), *(_curve(frame, line, i) for i, line in enumerate(drawn))]
    if level is not None:
        y = frame.y(level)
        parts.append(f"<line class='level' x1='{LEFT}' x2='{WIDTH - RIGHT}' y1='{y:.1f}' y2='{y:.1f}'/>")
    axis = f"<text class='axis' x='{WIDTH - RIGHT}' y='{HEIGHT - 4}' text-anchor='end'>{escape(x_label)}</text>"
    legend = "".join(f"<span class='key c{i}'>{escape(line.label)}</span>" for i, line in enumerate(drawn))
    keys = f"<div class='legend'>{legend}</div>" if len(drawn) > 1 else ""
    svg = f"<svg viewBox='0 0 {WIDTH} {HEIGHT}' role='img' aria-label='{escape(title, quote=True)}'>"
    return f"<figure><figcaption>{escape(title)}</figcaption>{keys}{svg}{''.join(parts)}{axis}</svg></figure>"


def interval_bar(rate: float, low: float, high: float) -> str:
    """A success rate on a 0-100 % track with its interval as a whisker."""
    at, left, right = (1.0 + 158.0 * v for v in (rate, low, high))
    return (
        "<svg class='interval' viewBox='0 0 160 14' aria-hidden='true'><rect class='track' x='1' y='5.5' width='158' "
        f"height='3' rx='1.5'/><rect class='whisker' x='{left:.1f}' y='5.5' width='{max(right - left, 1.0):.1f}' "
        f"height='3' rx='1.5'/><circle cx='{at:.1f}' cy='7' r='4'/></svg>"
    )


def split_bar(title: str, parts: Mapping[str, float]) -> str:
    """A ``<figure>`` of how seconds are shared out; up to five parts, those of none left out."""
    total = sum(parts.values())
    shown = [(i, name, value) for i, (name, value) in enumerate(parts.items()) if value > 0.0]
    bars = "".join(f"<div class='c{i}' style='flex:{value / total:.4f}'></div>" for i, _, value in shown)
    keys = "".join(
        f"<span class='key c{i}'>{escape(name)} {value:,.0f} s, {value / total:.0%}</span>" for i, name, value in shown
    )
    caption = f"<figcaption>{escape(title)}</figcaption>"
    return f"<figure>{caption}<div class='split'>{bars}</div><div class='legend'>{keys}</div></figure>"


TINY = 1e-300
"""A narrower range has no round values of its own."""


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About ``count`` round values from at most ``low`` to at least ``high``."""
    span = high - low if high - low > TINY else max(abs(high), 1.0)
    rough = span / count
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * m for m in (1, 2, 2.5, 5, 10) if unit * m >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil((low + span) / step - 1e-9)
    return [i * step for i in range(first, last + 1)]


@dataclass(frozen=True)
class _Frame:
    x_range: Point
    y_range: Point

    def x(self, value: float) -> float:
        low, high = self.x_range
        return LEFT + (value - low) / (high - low or 1.0) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        low, high = self.y_range
        return HEIGHT - BOTTOM - (value - low) / (high - low or 1.0) * (HEIGHT - TOP - BOTTOM)


def _grid(frame: _Frame, x_ticks: Sequence[float], y_ticks: Sequence[float], percent: bool) -> str:
    parts = []
    for value in y_ticks:
        y = frame.y(value)
        text = f"{value:.0%}" if percent else _number(value)
        parts.append(f"<line class='grid' x1='{LEFT}' x2='{WIDTH - RIGHT}' y1='{y:.1f}' y2='{y:.1f}'/>")
        parts.append(f"<text class='axis' x='{LEFT - 6}' y='{y + 3.5:.1f}' text-anchor='end'>{text}</text>")
    for value in x_ticks:
        if value <= frame.x_range[1]:
            x = frame.x(value)
            parts.append(
                f"<text class='axis' x='{x:.1f}' y='{HEIGHT - 19}' text-anchor='middle'>{_number(value)}</text>"
            )
    return "".join(parts)


def _curve(frame: _Frame, line: Line, index: int) -> str:
    path = "M" + "L".join(f"{frame.x(x):.1f} {frame.y(y):.1f}" for x, y in line.points)
    last_x, last_y = line.points[-1]
    title = f"<title>{escape(line.label)}: {_number(last_y)} at {_number(last_x)}</title>"
    end = f"<circle class='c{index}' cx='{frame.x(last_x):.1f}' cy='{frame.y(last_y):.1f}' r='3.2'>{title}</circle>"
    return f"<path class='c{index}' d='{path}'/>{end}"


def _number(value: float) -> str:
    if value and (abs(value) < 0.001 or abs(value) >= 1e6):
        return f"{value:.1e}".replace("e-0", "e-").replace("e+0", "e")
    return f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"
