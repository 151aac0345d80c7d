"""``report.html``: one self-contained page on a run, from its ``summary.json`` and ``metrics.jsonl``."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from robot_rl.charts import Line, interval_bar, line_chart, split_bar
from robot_rl.failures import Failure, picture_of
from robot_rl.metrics import METRICS_FILE, read_metrics, series
from robot_rl.run_folder import DECLARED

FAILURES = Path("evaluations", "policy_failures")
"""Where in a run's folder the last pictures of the final test's failures are."""
NO_PICTURES = "No pictures: there was no off-screen renderer (`make setup` says more), and the policy has no camera."
VIDEO_LIMIT_BYTES = 6_000_000
"""A larger video is linked, not embedded."""

ROWS = {
    "policy": "trained policy, deterministic",
    "policy_stochastic": "trained policy, stochastic",
    "base": "behaviour-cloned base",
    "blind": "blind script",
}
"""Evaluations a summary may hold, and what they are called."""


def report_of(folder: Path, about: Mapping[str, Any], figures: Mapping[str, Any]) -> Path:
    """``report.html`` of what was done in ``folder``, and the ``summary.json`` that it is made of. What an earlier
    command left there stays, unless ``figures`` (JSON-able) has it anew; so does what it is ``about``."""
    path = folder / "summary.json"
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**about, **before, **figures}, indent=1), encoding="utf-8")
    return write_report(folder)


def write_report(folder: Path) -> Path:
    """Write ``report.html`` into a run's folder and return its path.

    Raises FileNotFoundError without a ``summary.json``; metrics, video and stills are shown where they exist.
    """
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    rows = read_metrics(folder) if (folder / METRICS_FILE).exists() else []
    sections = [
        _cards(summary),
        _evaluations(summary, (folder / DECLARED).exists()),
        _failures(folder, summary),
        _curves(rows, summary),
        _time(rows, summary),
        _pictures(folder),
        _configuration(folder, summary),
    ]
    title = f"{str(summary['task']).replace('_', ' ')} · {summary['preset']}"
    lead = f"seed {summary['seed']}"
    if "env_steps" in summary:
        demos = f" · {summary['demos']} demonstrations" if summary["demos"] else ""
        lead += f"{demos} · {summary['env_steps']:,} environment steps"
    path = folder / "report.html"
    path.write_text(html_page(title, lead, sections), encoding="utf-8")
    return path


def html_page(title: str, lead: str, sections: Sequence[str]) -> str:
    """A self-contained page; ``sections`` are HTML."""
    style = files("robot_rl").joinpath("report.css").read_text(encoding="utf-8")
    return (
        "<!doctype html><html lang='en'><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{escape(title)}</title><style>{style}</style><main><h1>{escape(title)}</h1>"
        f"<p class='lead'>{escape(lead)}</p>{''.join(sections)}</main></html>\n"
    )


def _cards(summary: Mapping[str, Any]) -> str:
    first, last = summary.get("interventions_first_20"), summary.get("interventions_last_20")
    cards = []
    if test := _test(summary):
        sure = f"success in the final test; 95 % sure of {test['success_low']:.1%}"
        cards += [(f"{test['success']:.1%}", sure, "main"), (_seconds(test["cycle_s"]), "median time of a success", "")]
    elif summary.get("episodes"):
        cards.append(
            (f"{summary['recent_success']:.0%}", "success unaided in the last 20 episodes of training", "main")
        )
    if "robot_minutes" in summary:
        cards.append((f"{summary['robot_minutes']:.0f} min", "robot time, resets included", ""))
    for name, text in (("wall_s", "wall time"), ("person_seconds", "a person at the controls")):
        if name in summary:
            cards.append((_seconds(summary[name]), text, ""))
    if first is not None and last is not None:
        cards.append((f"{first:.2f} → {last:.2f}", "takeovers an episode, first and last 20", ""))
    text = "".join(f"<div class='card {kind}'><b>{escape(v)}</b><span>{escape(t)}</span></div>" for v, t, kind in cards)
    return f"<div class='cards'>{text}</div>"


def _test(summary: Mapping[str, Any]) -> Mapping[str, Any]:
    """The final test of the trained policy; empty where there was none."""
    found = summary.get("evaluations", {})
    test: Mapping[str, Any] = found.get("policy") or found.get("policy_stochastic", {})
    return test


def _evaluations(summary: Mapping[str, Any], declared: bool) -> str:
    found = summary.get("evaluations", {})
    rows = [_evaluation(ROWS[name], found[name], name == "policy") for name in ROWS if name in found]
    if not rows:
        return ""
    head = "<tr><th>who</th><th></th><th>success</th><th>95 % interval</th><th>episodes</th><th>median time</th></tr>"
    rules = "The person locked out; timeouts count as failures"
    note = f"<p class='lead'>{rules}{'; seeds and episodes declared before training' if declared else ''}.</p>"
    return f"<h2>Final test</h2>{note}<div class='scroll'><table>{head}{''.join(rows)}</table></div>"


def _evaluation(label: str, row: Mapping[str, Any], main: bool) -> str:
    bar = interval_bar(row["success"], row["success_low"], row["success_high"])
    cells = [
        escape(label),
        bar,
        f"{row['success']:.1%}",
        f"{row['success_low']:.1%} – {row['success_high']:.1%}",
        f"{row['successes']}/{row['episodes']}",
        _seconds(row.get("cycle_s")),
    ]
    return f"<tr{' class=main' if main else ''}>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _failures(folder: Path, summary: Mapping[str, Any]) -> str:
    test = _test(summary)
    found = [Failure(**row) for row in test.get("failures", [])]
    if not found:
        return ""
    count = test["episodes"] - test["successes"]
    ways = ", ".join(f"{number} × {escape(ending)}" for ending, number in test["endings"].items())
    first = f"; below the first {len(found)}, as they were left" if count > len(found) else ", as they were left"
    pictures = {failure: picture_of(folder / FAILURES, failure.episode) for failure in found}
    note = "" if any(path.exists() for path in pictures.values()) else f"<p class='lead'>{NO_PICTURES}</p>"
    shown = "".join(_failure(failure, path) for failure, path in pictures.items())
    head = f"<h2>Failures of the final test</h2><p class='lead'>{ways}{first}.</p>"
    return f"{head}{note}<div class='failures'>{shown}</div>"


def _failure(failure: Failure, picture: Path) -> str:
    image = ""
    if picture.exists():
        image = f"<img alt='episode {failure.episode} at its end' src='{_data_url(picture, 'image/jpeg')}'>"
    words = f"seed {failure.seed} · {failure.steps} steps"
    if failure.progress is not None and failure.best_progress is not None:
        best, end = max(failure.best_progress, 0.0), max(failure.progress, 0.0)
        words += f" · {best:.0%} of the way at best, {end:.0%} at the end"
    text = f"<b>Episode {failure.episode}: {escape(failure.ending)}</b><span>{words}</span>"
    return f"<figure class='failure'>{image}<figcaption>{text}</figcaption></figure>"


def _curves(rows: Sequence[Mapping[str, float]], summary: Mapping[str, Any]) -> str:
    if not rows:
        return ""
    base = summary.get("base_success")
    label, steps = "last 20 episodes", "environment steps"
    charts = [
        line_chart(
            "Success without the person while training",
            [Line(label, series(rows, "success"))],
            steps,
            True,
            base,
        ),
        line_chart("Steps driven by the person", [Line(label, series(rows, "intervention_rate"))], steps, True),
        line_chart("Length of an episode, steps", [Line(label, series(rows, "episode_steps"))], steps),
    ]
    for name, title in (("critic_loss", "Critic loss"), ("q", "Mean Q"), ("temperature", "Temperature")):
        if points := series(rows, name):
            charts.append(line_chart(title, [Line(name, points)], steps))
    note = "<p class='lead'>The dashed line is the behaviour-cloned base.</p>" if base is not None else ""
    return f"<h2>Training</h2>{note}<div class='charts'>{''.join(charts)}</div>"


def _time(rows: Sequence[Mapping[str, float]], summary: Mapping[str, Any]) -> str:
    figures = []
    if robot := summary.get("training_robot_s"):
        figures.append(split_bar("The robot's time in training", robot))
    last = rows[-1] if rows else {}
    if "actor_wait_s" in last:
        waits = {"environment": last["learner_wait_s"], "updates": last["actor_wait_s"]}
        figures.append(split_bar("Wall time since updates began: who waited for whom", waits))
    return f"<h2>Where the time went</h2><div class='charts'>{''.join(figures)}</div>" if figures else ""


def _pictures(folder: Path) -> str:
    stills = sorted((folder / "stills").glob("*.png")) if (folder / "stills").exists() else []
    video, parts = folder / "demo.mp4", []
    if video.exists():
        small = video.stat().st_size <= VIDEO_LIMIT_BYTES
        source = _data_url(video, "video/mp4") if small else video.name
        parts.append(f"<video controls muted preload='metadata' src='{source}'></video>")
    if stills:
        images = "".join(f"<img alt='{escape(s.stem, quote=True)}' src='{_data_url(s, 'image/png')}'>" for s in stills)
        parts.append(f"<div class='stills'>{images}</div>")
    if not parts:
        none = "<h2>Pictures</h2><p class='lead'>None: no off-screen renderer here (`make setup` says more).</p>"
        return none if (folder / DECLARED).exists() else ""  # Only the demo makes any.
    return f"<h2>Trained policy at work</h2>{''.join(parts)}"


def _configuration(folder: Path, summary: Mapping[str, Any]) -> str:
    config = (folder / "config.json").read_text(encoding="utf-8") if (folder / "config.json").exists() else ""
    parts = {"summary.json": json.dumps(summary, indent=1, ensure_ascii=False), "config.json": config}
    return "".join(
        f"<details><summary>{name}</summary><pre>{escape(text)}</pre></details>" for name, text in parts.items() if text
    )


def _data_url(path: Path, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _seconds(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.1f} s" if value < 100 else f"{int(value) // 60}:{int(value) % 60:02d} min"
