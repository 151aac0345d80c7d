"""What ``make mutation`` says: the score, and the survivors with the reasons why no test notices them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hardware.toml_dataclass import read_toml

EXPLANATIONS = Path(__file__).with_name("mutation.toml")
SURVIVED = "survived"


class Explanations:
    """Why no test can notice a survivor: ``module: change`` = reason; ``*`` is any module."""

    def __init__(self, path: Path = EXPLANATIONS):
        self._reasons = read_toml(path)

    def of(self, row: Mapping[str, Any]) -> str:
        """Nothing where nobody has looked at it."""
        found = (self._reasons.get(f"{module}: {row['change']}", "") for module in (row["module"], "*"))
        return str(next(filter(None, found), ""))


def score_table(results: Sequence[Mapping[str, Any]]) -> str:
    """Mutants, survivors and the share noticed, of all and of those that matter, a module a row, in Markdown."""
    reasons = Explanations()
    lines = ["| module | mutants | survived | of them without effect | noticed | of those with effect |"]
    lines.append("|---|---|---|---|---|---|")
    by_module: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in results:
        by_module[row["module"]].append(row)
    for module, rows in [*sorted(by_module.items()), ("**all**", list(results))]:
        survivors = [row for row in rows if row["outcome"] == SURVIVED]
        vain, killed = sum(bool(reasons.of(row)) for row in survivors), len(rows) - len(survivors)
        shares = (f"{100 * killed / max(count, 1):.1f} %" for count in (len(rows), len(rows) - vain))
        lines.append(f"| {module} | {len(rows)} | {len(survivors)} | {vain} | {' | '.join(shares)} |")
    return "\n".join(lines)


def survivors_page(results: Sequence[Mapping[str, Any]]) -> str:
    """The list of survivors with their explanations, in Markdown."""
    reasons = Explanations()
    lines = ["# Mutants of the guard's core that its tests let live", "", "`make mutation` writes this page.", ""]
    lines += ["| module | line | change | why |", "|---|---|---|---|"]
    for row in sorted(results, key=lambda row: (row["module"], row["index"])):
        if row["outcome"] == SURVIVED:
            why = reasons.of(row) or "not looked at yet"
            change = row["change"].replace("|", "\\|")
            lines.append(f"| {row['module']} | {row['line']} | `{change}` | {why} |")
    return "\n".join(lines) + "\n"
