"""Tables of ``RESULTS.md``: each between markers of its own, so that a benchmark rewrites only what it measured."""

from __future__ import annotations

from pathlib import Path

PAGE = Path(__file__).resolve().parent / "RESULTS.md"


def put(name: str, body: str, page: Path = PAGE) -> None:
    """Replace what stands between the markers ``name``; ValueError if the page lacks them."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    text = page.read_text(encoding="utf-8")
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"{page.name} must hold '{begin}' and '{end}' once each")
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    page.write_text(f"{before}{begin}\n{body}\n{end}{after}", encoding="utf-8")
