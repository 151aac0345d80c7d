"""Filing episodes beside the control loop: a thread writes what the loop hands over, so that no disk delays a step."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from robot_rl.episode_writer import EpisodeWriter
from robot_rl.episodes import EpisodeStore
from robot_rl.types import EpisodeHeader, Observation, Step

MAX_WAITING = 512
"""Steps that may wait in memory for a disk that is slow."""


class Recorder:
    """Files one episode after another in ``store``. What is handed over must not change afterwards.

    :meth:`begin`, :meth:`add` and :meth:`finish` return at once. What then goes wrong is raised by the next
    :meth:`check` or :meth:`flush`; until :meth:`abort` nothing more is written.
    """

    def __init__(self, store: EpisodeStore) -> None:
        self._store = store
        self._worker = ThreadPoolExecutor(1, "recorder")
        self._handed = self._written = 0
        self._writer: EpisodeWriter | None = None  # the thread's own
        self._error: Exception | None = None

    def begin(self, header: EpisodeHeader) -> None:
        self._hand(self._begin, header)

    def add(self, step: Step) -> None:
        """The next step of the episode."""
        self._hand(self._add, step)

    def finish(self, final_observation: Observation, final_base_action: np.ndarray | None) -> None:
        """The episode ended, in ``final_observation``: its file is sealed and listed."""
        self._hand(self._finish, final_observation, final_base_action)

    def check(self) -> None:
        """Raises what went wrong since the last :meth:`abort` (OSError for a disk that is full, gone or too slow): the
        next step could not be kept."""
        if self._error is not None:
            raise self._error
        if self._handed - self._written > MAX_WAITING:
            raise OSError(f"the disk under '{self._store.folder}' is too slow: {MAX_WAITING} steps wait for it")

    def flush(self) -> None:
        """Wait until everything is written; raises what :meth:`check` does."""
        self._worker.submit(lambda: None).result()
        self.check()

    def abort(self) -> None:
        """Wait, and leave what is open of an episode as an incomplete one. Raises OSError where it cannot be put in
        order now: that is done when the store is opened again."""
        self._worker.submit(self._abort).result()

    def _hand(self, job: Callable[..., None], *arguments: object) -> None:
        self._handed += 1
        self._worker.submit(self._run, job, *arguments)

    # -- on the thread -----------------------------------------------------------------------------------------------

    def _run(self, job: Callable[..., None], *arguments: object) -> None:
        try:
            if self._error is None:
                job(*arguments)
        except Exception as error:  # it is raised where the loop next looks
            self._error = error
        self._written += 1

    def _begin(self, header: EpisodeHeader) -> None:
        self._writer = self._store.writer(header)

    def _add(self, step: Step) -> None:
        assert self._writer is not None
        self._writer.add(step)

    def _finish(self, observation: Observation, base_action: np.ndarray | None) -> None:
        assert self._writer is not None
        self._writer.close(observation, base_action)
        self._writer = None

    def _abort(self) -> None:
        writer, self._writer, self._error = self._writer, None, None
        if writer is not None:
            writer.abort()
