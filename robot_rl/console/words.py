"""Snapshots in words and small charts: pure functions, for the page's panels."""

from __future__ import annotations

from html import escape
from itertools import takewhile

import numpy as np

from hardware.interfaces import Gripper, GuardMode, Source
from robot_rl.console.snapshot import HELPED, SUCCESS, Snapshot
from robot_rl.console.timing import Timing
from robot_rl.metrics import wilson_interval

WINDOW = 20
"""Finished episodes over which success is taken."""
STALLED_S = 3.0
"""Without progress for so long, the person is advised to take over."""
AXES = ("x", "y", "z", "rx", "ry", "rz", "grip")
DRIVERS = {
    Source.POLICY: ("policy drives", "#2563b8"),
    Source.HUMAN: ("you drive", "#d9722b"),
    Source.HOLD: ("guard holds", "#b43c3c"),
}
_ROW = "display:flex;justify-content:space-between;gap:1em"


def status(snapshot: Snapshot) -> str:
    """Who drives, what the guard says, how the run goes: HTML."""
    who, colour = DRIVERS.get(snapshot.source, DRIVERS[Source.POLICY])
    if snapshot.mode in (GuardMode.DISARMED, GuardMode.ARMED):
        who, colour = "nobody drives", "#6b7280"
    badge = f"<b id='driver' style='background:{colour};color:#fff;padding:.15em .6em;border-radius:1em'>{who}</b>"
    guard = snapshot.mode.name + (f": {snapshot.reason}" if snapshot.reason else "")
    rows = [("guard", guard), ("last refusal", _refusal(snapshot)), *_meters(snapshot)]
    advice = snapshot.trouble or hint(snapshot)
    lines = "".join(f"<div style='{_ROW}'><span>{n}</span><b>{escape(v)}</b></div>" for n, v in rows if v)
    note = f"<div style='color:#d9722b;margin-top:.4em'>{escape(advice)}</div>" if advice else ""
    return (
        f"<div id='status' {_for_script(snapshot)} style='padding:.3em .8em;font-size:.85em'>"
        f"{badge}<div>{lines}</div>{note}</div>"
    )


def _for_script(snapshot: Snapshot) -> str:
    """What page.js makes sounds of."""
    newest = int(snapshot.outcomes[-1]) if len(snapshot.outcomes) else 0
    data = {
        "driver": snapshot.source.name.lower(),
        "mode": snapshot.mode.name.lower(),
        "episode": snapshot.episode,
        "finished": len(snapshot.outcomes),
        "outcome": "success" if newest & SUCCESS else "failure",
    }
    return " ".join(f"data-{name}='{value}'" for name, value in data.items())


def hint(snapshot: Snapshot) -> str:
    """When to take over; empty when not now."""
    if snapshot.stalled_s is None:
        return ""
    if snapshot.source is Source.HUMAN:
        return "hand back once the policy can finish (B)" if snapshot.stalled_s == 0.0 else ""
    if snapshot.mode is GuardMode.RUNNING and snapshot.stalled_s >= STALLED_S:
        return f"no progress for {snapshot.stalled_s:.0f} s: take over (T, or any jog key)"
    return ""


def streak(outcomes: np.ndarray) -> int:
    """Successes with nobody's help in a row, up to the newest episode."""
    return sum(1 for _ in takewhile(lambda outcome: outcome == SUCCESS, reversed(outcomes.tolist())))


def success_curve(outcomes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of the last :data:`WINDOW` episodes at each episode: the share that succeeded with nobody's help, and its 95 %
    interval. Episode numbers, share, low, high; each float64 (episodes,)."""
    alone = (outcomes == SUCCESS).tolist()
    rows = []
    for end in range(1, len(alone) + 1):
        window = alone[max(0, end - WINDOW) : end]
        rows.append((end, sum(window) / len(window), *wilson_interval(sum(window), len(window))))
    number, share, low, high = np.array(rows, float).reshape(-1, 4).T
    return number, share, low, high


def action_bars(snapshot: Snapshot) -> str:
    """Proposed (thin) against executed (thick) action, an axis a line: SVG."""
    height = 16 * max(len(snapshot.proposed_action), 1)
    parts = [f"<svg id='actions' viewBox='0 0 260 {height}' width='100%' font-size='10' fill='currentColor'>"]
    for index, (proposed, done) in enumerate(zip(snapshot.proposed_action, snapshot.executed_action, strict=True)):
        y = 16 * index
        parts.append(f"<text x='6' y='{y + 11}'>{AXES[index]}</text>")
        parts.append(_bar(done, y + 3, 6, "#2563b8") + _bar(proposed, y + 11, 2, "#d9722b"))
    parts.append(f"<line x1='150' x2='150' y1='0' y2='{height}' stroke='#9ca3af'/></svg>")
    legend = "<span style='color:#d9722b'>proposed</span> · <span style='color:#2563b8'>executed</span>"
    return f"<div style='padding:.3em .8em;font-size:.85em'>{legend}{''.join(parts)}</div>"


def _bar(value: float, y: float, thickness: float, colour: str) -> str:
    # Written so that a NaN draws nothing.
    length = 100.0 * min(abs(value), 1.0) if abs(value) <= np.inf else 0.0
    left = 150.0 if value >= 0.0 else 150.0 - length
    return f"<rect x='{left:.1f}' y='{y}' width='{length:.1f}' height='{thickness}' fill='{colour}'/>"


def _refusal(snapshot: Snapshot) -> str:
    if snapshot.refusal is None:
        return ""
    limit, amount, ago_s = snapshot.refusal
    return f"{limit} by {amount:.3g}, {ago_s:.1f} s ago"


def _quickness(timing: Timing | None) -> list[tuple[str, str]]:
    """The worst of the last second."""
    if timing is None:
        return []
    command, observation, inference = (1000.0 * seconds for seconds in timing[:3])
    return [
        ("command, observation at most", f"{command:.0f}, {observation:.0f} ms old"),
        ("inference", f"{inference:.1f} ms"),
        ("control rate", f"{timing.control_hz:.1f} of {timing.wanted_hz:g} Hz"),
        ("late ticks", f"{timing.late_ticks} of {timing.ticks}"),
    ]


def _meters(snapshot: Snapshot) -> list[tuple[str, str]]:
    row, outcomes = snapshot.training, snapshot.outcomes
    share = snapshot.human_steps / max(snapshot.step, 1)
    helped = int(np.count_nonzero(outcomes[-WINDOW:] & HELPED))
    gripper = {Gripper.OPEN: ", gripper open", Gripper.CLOSE: ", gripper closed"}.get(snapshot.gripper, "")
    rows = [
        ("episode", f"{snapshot.episode}, step {snapshot.step}{gripper}"),
        ("you drove", f"{share:.0%} of this episode"),
        ("helped in", f"{helped} of the last {len(outcomes[-WINDOW:])} episodes"),
        ("unaided in a row", str(streak(outcomes))),
        ("pace", f"{snapshot.pace:.2f} × real time"),
        *_quickness(snapshot.timing),
    ]
    for name, label, form in (
        ("env_steps", "steps learned from", "{:,.0f}"),
        ("updates", "updates", "{:,.0f}"),
        ("utd", "updates a step", "{:.1f}"),
        ("q", "mean Q", "{:.3f}"),
        ("buffer", "buffer fill", "{:.0%}"),
    ):
        if name in row:
            rows.append((label, form.format(row[name])))
    return rows
