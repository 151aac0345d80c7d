"""A black box as one self-contained HTML page: the words of the report over charts drawn as SVG."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape

import numpy as np

from hardware.black_box_report import BlackBoxRecord, headline, limits_touched, timeline
from hardware.interfaces import GuardMode, Source

WIDTH, HEIGHT, LEFT, BOTTOM = 860, 150, 60, 22
_COLOURS = ("#2f6fb2", "#c2502e", "#3f8f4f", "#8a5ca8")
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 900px; margin: 2em auto; padding: 0 1em; color: #222 }
table { border-collapse: collapse } td, th { text-align: left; padding: .15em 1em .15em 0; vertical-align: top }
td:first-child { font-variant-numeric: tabular-nums; white-space: nowrap } svg { display: block; margin: .2em 0 1em }
text { font: 11px system-ui, sans-serif; fill: #555 } h2 { font-size: 1em; margin: 1.2em 0 .2em }
.human { fill: #f2d9a2 } .held { fill: #f0c4c0 } .policy { fill: #eef3f8 }
"""


def page(record: BlackBoxRecord) -> str:
    """The whole page."""
    position, reference = 1000 * record.position_m, 1000 * record.reference_m
    speed = {"measured": 1000 * record.speed_m_s, "reference": 1000 * _reference_speed(record)}
    lead = {"lead": 1000 * record.lead_m}
    force = {"force": np.linalg.norm(record.force_n, axis=1)}
    charts = [
        _chart(record, "Speed, mm/s", speed, 1000 * record.limit("max_speed_m_s")),
        _chart(record, "Lead of the reference over the arm, mm", lead, 1000 * record.limit("max_lead_m")),
        _chart(record, "Force on the tool, N", force, record.header["limits"].get("max_force_n")),
    ]
    for axis, name in enumerate("xyz"):
        values = {"measured": position[:, axis], "reference": reference[:, axis]}
        charts.append(_chart(record, f"{name}, mm", values))
    header = record.header
    facts = (
        f"cell {header.get('cell', '?')}, limits {header.get('limits_profile', '?')}, {1 / header['period_s']:.0f} Hz"
    )
    story = [(f"{event.at_s:+.2f} s", event.what) for event in timeline(record)]
    touched = [tuple(str(cell) for cell in row.values()) for row in limits_touched(record)]
    return (
        f'<!doctype html><meta charset="utf-8"><title>{escape(record.path.name)}</title><style>{_STYLE}</style>'
        f"<h1>{escape(record.path.stem)}</h1><p>{escape(headline(record))}.</p><p>{escape(facts)}. "
        "Times count from the stop. Background: blue the policy, yellow the person, red held.</p>"
        f"{_table(('when', 'what'), story)}<h2>Limits that refused something</h2>"
        f"{_table(('limit', 'ticks', 'worst excess', 'whose'), touched) if touched else '<p>None.</p>'}"
        + "".join(charts)
    )


def _reference_speed(record: BlackBoxRecord) -> np.ndarray:
    return np.linalg.norm(np.array([e.reference.twist[:3] for e in record.executed]), axis=1)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _chart(record: BlackBoxRecord, title: str, series: Mapping[str, np.ndarray], limit: float | None = None) -> str:
    """One SVG: each of ``series`` over time, a dashed line at ``limit``, who drove in the background."""
    time_s = record.time_s
    everything = np.concatenate([*series.values(), np.zeros(0) if limit is None else np.array([limit])])
    finite = everything[np.isfinite(everything)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    pad = 0.05 * (high - low) or 1.0
    low, high = low - pad, high + pad
    first, span = float(time_s[0]), float(time_s[-1] - time_s[0]) or 1.0

    def x(at_s: float) -> float:
        return LEFT + (WIDTH - LEFT) * (at_s - first) / span

    def y(value: float) -> float:
        return (HEIGHT - BOTTOM) * (high - value) / (high - low)

    parts = [_background(record, x)]
    for value in (low + pad, high - pad):
        parts.append(f'<text x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.4g}</text>')
    for second in range(int(np.ceil(first)), int(time_s[-1]) + 1):
        parts.append(f'<text x="{x(second):.1f}" y="{HEIGHT - 6}" text-anchor="middle">{second} s</text>')
    parts.append(f'<line x1="{x(0):.1f}" x2="{x(0):.1f}" y1="0" y2="{HEIGHT - BOTTOM}" stroke="#a33"/>')
    if limit is not None:
        at = f'y1="{y(limit):.1f}" y2="{y(limit):.1f}"'
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH}" {at} stroke="#a33" stroke-dasharray="4 3"/>')
    for (name, values), colour in zip(series.items(), _COLOURS, strict=False):
        pairs = zip(time_s.tolist(), values.tolist(), strict=True)
        points = " ".join(f"{x(t):.1f},{y(v):.1f}" for t, v in pairs if np.isfinite(v))
        label = f"<title>{escape(name)}</title>"
        parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.4" points="{points}">{label}</polyline>')
    legend = ", ".join(
        f'<span style="color:{colour}">{escape(name)}</span>' for name, colour in zip(series, _COLOURS, strict=False)
    )
    dashed = "; dashed: the limit" if limit is not None else ""
    return f'<h2>{escape(title)}: {legend}{dashed}</h2><svg viewBox="0 0 {WIDTH} {HEIGHT}">{"".join(parts)}</svg>'


def _background(record: BlackBoxRecord, x: Callable[[float], float]) -> str:
    """A band for each stretch of one driver."""
    kinds = ["held" if e.mode >= GuardMode.HOLD else _driver(e.source) for e in record.executed]
    bands, begin = [], 0
    for i in range(1, len(kinds) + 1):
        if i == len(kinds) or kinds[i] != kinds[begin]:
            left, right = x(float(record.time_s[begin])), x(float(record.time_s[min(i, len(kinds) - 1)]))
            size = f'width="{right - left:.1f}" height="{HEIGHT - BOTTOM}"'
            bands.append(f'<rect class="{kinds[begin]}" x="{left:.1f}" y="0" {size}/>')
            begin = i
    return "".join(bands)


def _driver(source: Source) -> str:
    return "human" if source is Source.HUMAN else "policy"
