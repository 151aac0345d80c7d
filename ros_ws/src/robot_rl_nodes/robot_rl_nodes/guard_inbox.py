"""What other nodes ask of the guard: commands, reset plans, and the operator's services."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any

from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger

from hardware.guard_inputs import LinkHealth
from hardware.guard_process import GuardProcess
from hardware.interfaces import Clock, GuardMode, ResetError, ResetPlan
from robot_rl_nodes import topics
from robot_rl_nodes.conversions import from_plan, from_proposal
from robot_rl_nodes.ros import qos

if TYPE_CHECKING:
    from robot_rl_nodes.guard_voice import GuardVoice

_LOG = logging.getLogger(__name__)
_NOT_ENGAGED = "the guard is DISARMED, and an actor does not engage it (S11, S24): the operator calls guard/engage"
_STARTING = "the guard is starting or ending; ask again in a second"


class GuardInbox:
    """Listens from the start; hands on once there is a guard (:meth:`open`). Runs on the executor's thread."""

    def __init__(self, node: Any, clock: Clock):
        self._clock = clock
        self._process: GuardProcess | None = None
        self._voice: GuardVoice | None = None
        self._lock = Lock()
        self._link = LinkHealth()
        self._resetting: Thread | None = None
        node.create_subscription(JointState, topics.COMMAND.name, self._command, qos(topics.COMMAND))
        node.create_subscription(JointState, topics.RESET_PLAN.name, self._plan, qos(topics.RESET_PLAN))
        for name in topics.GUARD_SERVICES:
            node.create_service(Trigger, f"guard/{name}", self._service(name))

    def open(self, process: GuardProcess, voice: GuardVoice) -> None:
        """``process`` guards from here on."""
        process.robot.link_health = self._take_link
        self._voice, self._process = voice, process

    def shut(self) -> None:
        """Nothing is asked of the guard any more. A reset under way is not waited for: the guard's end is its end."""
        self._process = None

    def corrupt(self) -> None:
        """A message could not be read (S21)."""
        with self._lock:
            self._link = self._link._replace(corrupt_packets=self._link.corrupt_packets + 1)

    def _take_link(self) -> LinkHealth:
        """What is known since the tick before."""
        with self._lock:
            link, self._link = self._link, self._link._replace(corrupt_packets=0, skew_s=None)
        return link

    def _command(self, message: JointState) -> None:
        process = self._process
        try:
            command, actor, skew_s = from_proposal(message)
        except ValueError:
            self.corrupt()
            return
        if process is None:
            return
        with self._lock:
            self._link = self._link._replace(actor=actor, skew_s=skew_s)
        process.robot.guard.submit(command, self._clock.now())

    def _plan(self, message: JointState) -> None:
        """A reset takes seconds, and somebody may want to hold meanwhile: it has a thread of its own."""
        try:
            plan, request = from_plan(message)
        except ValueError:
            self.corrupt()
            return
        process, voice = self._process, self._voice
        if process is None or voice is None:
            return
        if self._resetting is not None and self._resetting.is_alive():
            voice.reset_outcome(request, "another reset is under way; wait for it, or hold")
            return
        self._resetting = Thread(target=self._reset, args=(process, voice, plan, request), name="reset", daemon=True)
        self._resetting.start()

    def _reset(self, process: GuardProcess, voice: GuardVoice, plan: ResetPlan, request: int) -> None:
        error, robot = "", process.robot
        try:
            if robot.guard.mode is GuardMode.DISARMED and not robot.cell.scripted_operator:
                raise ResetError(_NOT_ENGAGED)
            robot.reset(plan)
        except (ResetError, TimeoutError, ConnectionError) as refused:
            error = str(refused)
            _LOG.warning("%s", error)
        except RuntimeError as died:  # What killed a tick; the loop reports it too.
            error = str(died)
        voice.reset_outcome(request, error)

    def _service(self, name: str) -> Callable[[Trigger.Request, Trigger.Response], Trigger.Response]:
        def serve(_: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
            process = self._process
            if process is None:
                response.message = _STARTING
                return response
            if name == "end_episode":
                process.robot.end_episode()
                response.success, response.message = True, f"session {process.robot.guard.session}"
                return response
            status = process.do(name)
            response.success, response.message = not status.error, status.error or f"{status.mode}: {status.reason}"
            if self._voice is not None:
                self._voice.tell_status()
            return response

        return serve
