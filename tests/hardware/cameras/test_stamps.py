"""When a frame was exposed: never later than it came, and dated back when it was held up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.cameras.stamps import ExposureClock

LATENESSES = st.lists(st.floats(0.0, 3.0), min_size=1, max_size=50)


@given(LATENESSES, st.floats(-1e6, 1e6))
def test_a_stamp_is_never_later_than_the_arrival_nor_older_than_its_lateness(latenesses, epoch_s):
    clock = ExposureClock()
    for index, lateness_s in enumerate(latenesses):
        exposed_s = 100.0 + index / 30.0
        stamp_s = clock.stamp_s(exposed_s + epoch_s, exposed_s + lateness_s)
        assert stamp_s <= exposed_s + lateness_s
        assert stamp_s >= exposed_s - 1e-6
        assert stamp_s == pytest.approx(exposed_s + min(latenesses[: index + 1]), abs=1e-6)


def test_a_device_clock_that_jumps_ahead_makes_no_frame_from_the_future():
    clock = ExposureClock()
    clock.stamp_s(10.0, 100.0)
    assert clock.stamp_s(3610.0, 100.03) == 100.03


def test_after_a_restart_the_old_clock_means_nothing():
    clock = ExposureClock()
    clock.stamp_s(10.0, 100.0)
    clock.forget()
    assert clock.stamp_s(0.5, 105.0) == 105.0
