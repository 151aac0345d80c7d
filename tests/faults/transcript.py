"""What the docs show of a command, against what it says."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def shown(page: str, after: str) -> str:
    """The rest of the block of code of docs/``page`` in which, or before which, ``after`` stands."""
    rest = (ROOT / "docs" / page).read_text(encoding="utf-8").split(after, 1)[1].split("\n", 1)[1].lstrip("\n")
    return rest.removeprefix("```\n").split("```", 1)[0]


def without_numbers(text: str) -> set[str]:
    """Its lines, each number in them the same."""
    return {re.sub(r"[-+]?\d+(\.\d+)?", "#", line).strip() for line in text.splitlines()}
