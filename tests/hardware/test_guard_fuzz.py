"""A short run of `make fuzz`, and proof that it would notice: each planted fault is found."""

from __future__ import annotations

from dataclasses import replace

import pytest

import hardware.guard_watch
import hardware.mux
from benchmarks.fuzz import Fuzzer, LeakError, table
from hardware.limits import Limits

pytestmark = [
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),  # of NumPy's scalars among the nonsense
    pytest.mark.no_cover,  # a branch that only nonsense reaches has no test
]
INPUTS = 30_000


@pytest.mark.parametrize("seed", [11, 12])
def test_nothing_leaks(seed):
    tally = Fuzzer(seed).run(INPUTS)
    assert tally.driven_ticks > 0.3 * tally.ticks
    assert tally.stops > 10
    print(f"\n{table(tally, 0.0)}")


def find_leak() -> str:
    with pytest.raises(LeakError) as found:
        for seed in range(5):
            Fuzzer(seed).run(INPUTS)
    return str(found.value)


def test_it_notices_a_lost_check_of_numbers(monkeypatch):
    monkeypatch.setattr(hardware.guard_watch, "is_sound", lambda command, limits: True)
    assert "raised" in find_leak()


def test_it_notices_commands_of_another_session(monkeypatch):
    newest = hardware.mux.newest
    monkeypatch.setattr(
        hardware.guard_watch,
        "newest",
        lambda state, commands, now: newest(state, [replace(c, session=state.session) for c in commands], now),
    )
    assert "no sound, new command" in find_leak()


@pytest.mark.parametrize(
    ("limit", "says"),
    [("max_speed_m_s", "speed"), ("max_stop_jerk_m_s3", "jerk"), ("max_stop_acceleration_m_s2", "acceleration")],
)
def test_it_notices_a_looser_limit(monkeypatch, limit, says):
    fuzzer = Fuzzer(0)
    fuzzer.judge.limits = replace(Limits(), **{limit: 0.7 * getattr(Limits(), limit)})
    with pytest.raises(LeakError, match=says):
        fuzzer.run(INPUTS)


def test_it_notices_a_target_outside_the_box(monkeypatch):
    fuzzer = Fuzzer(0)
    low, high = fuzzer.judge.box.min_m, fuzzer.judge.box.max_m
    fuzzer.judge.box = replace(fuzzer.judge.box, min_m=(low[0], low[1] + 0.01, low[2]), max_m=high)
    with pytest.raises(LeakError, match="outside the box"):
        fuzzer.run(10 * INPUTS)
