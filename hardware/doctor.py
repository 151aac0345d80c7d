"""``robot-rl doctor``: what a cell needs, looked at one by one, each with the line that puts it right."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum

Check = Callable[[], Iterable["Finding"]]


class Level(IntEnum):
    """How a check came out; the worst of all is the doctor's word."""

    PASS = 0
    WARN = 1
    FAIL = 2


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    level: Level
    what: str
    found: str
    fix: str = ""
    """What to do; empty where nothing is wrong."""

    def row(self) -> dict[str, str]:
        fix = f"→ {self.fix}" if self.fix else ""
        return {"level": f"{self.level.name:<4}", "what": f"{self.what:<14}", "found": self.found, "fix": fix}


def passed(what: str, found: str) -> Finding:
    return Finding(Level.PASS, what, found)


def warned(what: str, found: str, fix: str) -> Finding:
    return Finding(Level.WARN, what, found, fix)


def failed(what: str, found: str, fix: str) -> Finding:
    return Finding(Level.FAIL, what, found, fix)


def examine(checks: Iterable[tuple[str, Check]]) -> Iterator[Finding]:
    """The findings of each check, by name. One that breaks off is a failure, and the others still run."""
    for what, check in checks:
        try:
            yield from check()
        except (OSError, ValueError, RuntimeError) as error:
            yield failed(what, " ".join(str(error).split()) or type(error).__name__, "see the message")
