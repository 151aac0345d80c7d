"""Ctrl-C without loss: asked once, a loop stops where nothing is half done; asked again, it stops at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopping:
    """While entered, the first SIGINT or SIGTERM sets :attr:`asked`; any further one raises KeyboardInterrupt. For the
    main thread."""

    _entered: Stopping | None = None
    """The one that handles signals now."""

    def __init__(self) -> None:
        self.asked = self._waiting = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Stopping:
        self._before = {number: signal.signal(number, self._ask) for number in SIGNALS}
        Stopping._entered = self
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        Stopping._entered = None
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked or self._waiting:
            raise KeyboardInterrupt
        self.asked = True


@contextmanager
def nothing_half_done() -> Iterator[None]:
    """While entered, the first SIGINT or SIGTERM raises KeyboardInterrupt, and one that came before does at once: for a
    wait deep in a loop that has a :class:`Stopping`."""
    stopping = Stopping._entered
    if stopping is None:
        yield
        return
    stopping._waiting = True
    try:
        if stopping.asked:
            raise KeyboardInterrupt
        yield
    finally:
        stopping._waiting = False


@contextmanager
def ended_as_by_ctrl_c() -> Iterator[None]:
    """While entered, SIGTERM, and SIGHUP of a terminal that is closed, raise KeyboardInterrupt: what is open is closed,
    an arm is brought to rest, children are ended. One that is handled or ignored already stays so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    fatal = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) is signal.SIG_DFL]
    for number in fatal:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number in fatal:
            signal.signal(number, signal.SIG_DFL)
