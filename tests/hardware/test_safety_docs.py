"""docs/safety.md lists every limit, its id, unit, default, sentence and source, and no other."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from hardware.checks import CHECKS
from hardware.limits import numbers

PAGE = (Path(__file__).parents[2] / "docs" / "safety.md").read_text(encoding="utf-8")


def row(field: dataclasses.Field) -> str:
    about = field.metadata
    cells = (f"`{field.name}`", about["id"], about["unit"], f"{field.default:g}", about["sentence"], about["source"])
    return f"| {' | '.join(cells)} |"


def test_every_limit_stands_in_the_docs_as_in_the_code_and_no_other():
    documented = [line for line in PAGE.splitlines() if line.startswith("| `") and line.count(" | ") == 5]
    assert documented == [row(field) for field in numbers()]


def test_every_limit_says_what_it_is():
    for field in numbers():
        assert field.metadata["sentence"].endswith("."), field.name
        assert field.metadata["source"], field.name


def test_every_id_in_use_is_explained():
    used = {field.metadata["id"] for field in numbers()} | {check.limit for check in CHECKS}
    explained = PAGE.split("## How each is enforced")[1].split("## Not yet")[0]
    assert {id for id in used if f"**{id}," not in explained and f"; {id}," not in explained} == set()
