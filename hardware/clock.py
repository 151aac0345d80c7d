"""Real time: the machine's monotonic clock, and threads with absolute deadlines."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event, Thread


class RealClock:
    """Implements :class:`hardware.interfaces.Clock`. Wall time never enters."""

    def __init__(self) -> None:
        self._stop = Event()
        self._threads: list[Thread] = []
        self._error: BaseException | None = None
        self.observer: Callable[[float, float, float], None] | None = None
        """Told of each call of the first that was registered, the guard's tick: when it was due, began and ended."""

    def now(self) -> float:
        return time.monotonic()

    def sleep_until(self, deadline_s: float) -> None:
        """Raises ``RuntimeError`` from what a periodic call raised: a dead guard must not go unnoticed."""
        remaining = deadline_s - time.monotonic()
        if remaining > 0.0:
            time.sleep(remaining)
        if self._error is not None:
            raise RuntimeError(f"a periodic call died: {self._error}") from self._error

    def every(self, period_s: float, call: Callable[[float], None], phase_s: float = 0.0) -> None:
        """Deadlines missed by more than a period are skipped, not made up for in a burst."""
        name = getattr(call, "__qualname__", "periodic call")
        first = not self._threads
        thread = Thread(target=self._run, args=(period_s, call, phase_s, first), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def delay_s(self, kind: str) -> float:
        return 0.0

    def close(self) -> None:
        """End the threads; returns when they have ended."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, period_s: float, call: Callable[[float], None], phase_s: float, observed: bool) -> None:
        count = (self.now() - phase_s) // period_s + 1
        while not self._stop.wait(max(0.0, count * period_s + phase_s - self.now())):
            begun_s = self.now()
            try:
                call(begun_s)
            except BaseException as error:  # Whatever it was, sleep_until reports it; the arm's watchdog stops the arm.
                self._error = error
                return
            if observed and self.observer is not None:
                self.observer(count * period_s + phase_s, begun_s, self.now())
            count = max(count + 1, (self.now() - phase_s) // period_s)
