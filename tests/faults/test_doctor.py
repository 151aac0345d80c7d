"""The doctor on the twin: its arm as a process, its watchdog tried in real time."""

from __future__ import annotations

from robot_rl.cli import main
from tests.faults.transcript import shown, without_numbers

TRIES = 10
"""On a machine with no time to spare states come late, or the guard holds before there is anything to see."""


def test_the_twin_is_well_as_the_docs_show_it(tmp_path, capsys):
    expected, missing = without_numbers(shown("fr3.md", "`robot-rl doctor --sim` on two busy")), set()
    assert len(expected) == 3
    for _ in range(TRIES):
        main(["doctor", "--sim", "--folder", str(tmp_path)])
        missing = expected - without_numbers(capsys.readouterr().out)
        if not missing:
            return
    raise AssertionError(missing)
