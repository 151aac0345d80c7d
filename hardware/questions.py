"""Questions to a person, each of which an option may answer beforehand."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import TextIO, TypeVar

T = TypeVar("T")


def say(text: str, end: str = "\n") -> None:
    """To the person: on stderr, since stdout may be somebody's JSON."""
    print(text, end=end, file=sys.stderr, flush=True)


class Questions:
    """Asks on stderr and reads lines: of a terminal or of a pipe."""

    def __init__(self, given: Mapping[str, str], take_proposals: bool, lines: TextIO | None = None) -> None:
        """``given``: answers by option, each for one time of asking. ``take_proposals``: ask nothing that has one.
        ``lines``: where answers come from, stdin by default."""
        self._given = dict(given)
        self._take_proposals = take_proposals
        self._lines = sys.stdin if lines is None else lines

    def answered(self, option: str) -> bool:
        """An answer to it was given beforehand."""
        return option in self._given

    def ask(self, option: str, question: str, parse: Callable[[str], T], proposal: str = "") -> T:
        """What ``parse`` makes of the answer; an empty line takes ``proposal``.

        A ``ValueError`` of ``parse`` has the person asked again; it ends the questions where nobody can be: for an
        option or a proposal taken unasked, and at the end of the lines.
        """
        given = self._given.pop(option, None)
        if given is None and self._take_proposals:
            if not proposal:
                raise ValueError(f"nothing can be proposed for --{option}; give it")
            given = proposal
        if given is not None:
            try:
                return parse(given)
            except ValueError as error:
                raise ValueError(f"--{option} {given!r}: {error}") from None
        while True:
            say(f"{question} [{proposal}]: " if proposal else f"{question}: ", end="")
            line = self._lines.readline()
            if not line or not self._lines.isatty():
                say(line.strip())  # What a terminal shows by itself.
            if not line:
                raise ValueError(f"the answers ended before --{option} had one; give it, or --yes for all proposals")
            try:
                return parse(line.strip() or proposal)
            except ValueError as error:
                say(f"  {error}")

    def finish(self) -> None:
        """Raises ``ValueError`` naming the answers that no question asked for."""
        if self._given:
            unasked = ", ".join(f"--{option}" for option in self._given)
            raise ValueError(f"{unasked}: nothing in this cell asks for it; leave it out")
