"""``no_cover`` in the processes of pytest-xdist: pytest-cov 7 traces twice there and pauses the newer tracer alone, so
the older would follow what is not to be counted, which then takes twice as long."""

import sys
from collections.abc import Generator

import pytest


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    if item.get_closest_marker("no_cover") is None:
        return (yield)
    tracer = sys.gettrace()
    sys.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(tracer)
