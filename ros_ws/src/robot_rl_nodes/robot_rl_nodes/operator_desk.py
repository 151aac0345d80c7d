"""The operator's say in episodes: services that start, stop and label them, and the task as they decide it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import Event
from typing import Any

import numpy as np
from std_srvs.srv import SetBool, Trigger

from hardware.interfaces import Pose, ResetPlan, RobotObservation
from robot_rl.stopping import Stopping
from robot_rl.task import Task

_POLL_S = 0.1


class OperatorDesk:
    """Serves ``episode/start``, ``episode/stop`` and ``episode/label`` (true: success) on ``node``."""

    def __init__(self, node: Any, wait_for_start: bool, stopping: Stopping):
        self._wait_for_start, self._stopping = wait_for_start, stopping
        self.started, self.stopped, self.succeeded = Event(), Event(), Event()
        node.create_service(Trigger, "episode/start", self._serve(self.started))
        node.create_service(Trigger, "episode/stop", self._serve(self.stopped))
        node.create_service(SetBool, "episode/label", self._label)

    def over(self, task: Task) -> LabelledTask:
        """``task`` with the operator's word above its own."""
        return LabelledTask(task, self)

    def begin(self) -> None:
        """Before a reset: wait for the start where that is asked for, and forget what was said of the last episode.
        KeyboardInterrupt where the process is to stop meanwhile."""
        while self._wait_for_start and not self.started.wait(_POLL_S):
            if self._stopping.asked:
                raise KeyboardInterrupt
        for said in (self.started, self.stopped, self.succeeded):
            said.clear()

    def _serve(self, said: Event) -> Callable[[Trigger.Request, Trigger.Response], Trigger.Response]:
        def serve(_: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
            said.set()
            response.success = True
            return response

        return serve

    def _label(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        (self.succeeded if request.data else self.stopped).set()
        response.success, response.message = True, "success" if request.data else "failure: the episode ends here"
        return response


class LabelledTask:
    """Implements :class:`robot_rl.task.Task`: ``task``, which also succeeds or ends when the operator says so."""

    def __init__(self, task: Task, desk: OperatorDesk):
        self._task, self._desk, self.spec = task, desk, task.spec

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)  # What only some tasks have: progress, render.

    def reset(self, rng: np.random.Generator, teleport: bool) -> ResetPlan:
        self._desk.begin()
        return self._task.reset(rng, teleport)

    @property
    def setup(self) -> Mapping[str, float | list[float]]:
        return self._task.setup

    @property
    def task_frame(self) -> Pose:
        return self._task.task_frame

    def features(self, observation: RobotObservation) -> np.ndarray:
        return self._task.features(observation)

    def success(self, observation: RobotObservation) -> bool:
        return self._desk.succeeded.is_set() or self._task.success(observation)

    def stopped(self) -> bool:
        """The operator ended the episode."""
        return self._desk.stopped.is_set()

    def snapshot(self) -> np.ndarray | None:
        return self._task.snapshot()
