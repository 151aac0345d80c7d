"""A robot whose drivers and guard are other nodes: what ``LocalRobot`` is in one process, over topics.

A tick's message holds all that the guard measured and executed, so nothing has to be put together but ticks and frames:
frames that are together within the limits (:class:`hardware.camera_watch.CameraWatch`), and no older than they allow.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from threading import Condition
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger

from hardware.camera_watch import CameraWatch
from hardware.cell import Cell
from hardware.clock import RealClock
from hardware.guard import EngageError
from hardware.interfaces import (
    ArmCommand,
    Clock,
    GuardMode,
    ResetError,
    ResetPlan,
    RobotObservation,
)
from hardware.step_log import StepLog
from robot_rl_nodes import topics
from robot_rl_nodes.conversions import Proposal, Tick, from_tick, to_plan, to_proposal
from robot_rl_nodes.ros import Spinning, qos, start
from robot_rl_nodes.topic_devices import TopicCamera

DISCOVERY_S = 15.0
MAX_TICK_AGE_S = 0.5
"""An older newest tick means that there is no guard."""
_ANSWER_S = 5.0


class RosRobot:
    """Implements :class:`hardware.interfaces.Robot` over the topics of ``arm_node`` and of the camera nodes."""

    def __init__(
        self,
        cell: Cell,
        cameras: Sequence[str] = (),
        limits_profile: str = "collaborative",
        patience_s: float = 0.0,
        name: str = "robot",
    ):
        """``cameras``: those that become observations. ``patience_s``: how long :meth:`reset` waits for an operator to
        clear a stop, or for what does not stream. Raises ``ConnectionError`` naming what is not there."""
        import rclpy

        start()
        self._clock = RealClock()
        self.clock: Clock = self._clock
        self.teleop: Any = None
        """Told when episodes begin, where a scripted person is to know (``rest``, ``new_episode``)."""
        self._patience_s, self._actor = patience_s, int.from_bytes(os.urandom(6), "little")
        self._condition = Condition()
        self._log: StepLog | None = None
        self._tick: Tick | None = None
        self._since_s, self._sequence, self._request = self.clock.now(), 0, 0
        self._skew_s: float | None = None
        self._status: dict[str, str] = {}
        node = rclpy.create_node(name)
        self._cameras = {camera: TopicCamera(node, camera, self.clock, lambda: None) for camera in cameras}
        max_skew_s = cell.profile(limits_profile).max_skew_s
        self._watch = CameraWatch(self._cameras, cell.cameras, max_skew_s, self.clock.now())
        node.create_subscription(JointState, topics.TICK.name, self._take_tick, qos(topics.TICK))
        node.create_subscription(DiagnosticArray, topics.STATUS.name, self._take_status, qos(topics.STATUS))
        self._commands = node.create_publisher(JointState, topics.COMMAND.name, qos(topics.COMMAND))
        self._plans = node.create_publisher(JointState, topics.RESET_PLAN.name, qos(topics.RESET_PLAN))
        self._services = {do: node.create_client(Trigger, f"guard/{do}") for do in topics.GUARD_SERVICES}
        self._spinning = Spinning(node)
        try:
            self._await_everybody()
        except ConnectionError:
            self.close()
            raise

    def reset(self, plan: ResetPlan) -> RobotObservation:
        """As :meth:`hardware.interfaces.Robot.reset`. The arm node moves the arm; this waits for it."""
        deadline_s = self.clock.now() + self._patience_s
        while True:
            try:
                self._reset(plan)
                return self.observe()
            except (ResetError, TimeoutError) as error:
                if self.clock.now() >= deadline_s:
                    raise ResetError(str(error)) from None
                self.node.get_logger().warning(f"{error}; trying again")
                self.clock.sleep_until(self.clock.now() + 1.0)

    def command(self, command: ArmCommand) -> None:
        """Post a target; the robot numbers it itself."""
        self._sequence += 1
        with self._condition:
            tick, log = self._newest()
            self._since_s = self.clock.now()
            log.clear()
        command = ArmCommand(command.T_base_ee, command.gripper, self._sequence, tick.session)
        proposal = Proposal(command, self._actor, self._skew_s)
        self._skew_s = None
        self._commands.publish(to_proposal(self._since_s, proposal))

    def observe(self) -> RobotObservation:
        """State, frames and what was executed since the last command. Raises ``ConnectionError`` where no guard ticks
        any more, and as :meth:`CameraWatch.take_or_last`."""
        with self._condition:
            if not self._condition.wait_for(self._ticks_come, MAX_TICK_AGE_S):
                raise ConnectionError(f"no tick of the guard for more than {MAX_TICK_AGE_S:g} s; is arm_node running?")
        frames = self._watch.take_or_last(self.clock, lambda: self.tick.executed.mode >= GuardMode.HOLD)
        self._skew_s = self._watch.reported_skew_s() if self._cameras else None
        with self._condition:
            tick, log = self._newest()
            executed, changes = log.summary()
        return RobotObservation(self.clock.now(), tick.arm, frames, executed, changes)

    def end_episode(self) -> None:
        """No more commands until the next reset: their absence is no fault (S2)."""
        self.ask("end_episode")

    @property
    def node(self) -> Any:
        """The node behind it, served by a thread of its own."""
        return self._spinning.node

    def images_seen(self) -> dict[str, tuple[int, int]]:
        """How many frames have come of each camera, and the newest one's own number."""
        return {name: camera.count() for name, camera in self._cameras.items()}

    @property
    def status(self) -> Mapping[str, str]:
        """What the guard last said of itself: mode, reason, session, ..."""
        return self._status

    @property
    def tick(self) -> Tick:
        """The newest. Raises ``ConnectionError`` before the first."""
        return self._newest()[0]

    def ask(self, do: str) -> str:
        """One of the guard's services; what it says. Raises :class:`hardware.guard.EngageError` with its refusal,
        ``ConnectionError`` where nobody answers."""
        future = self._services[do].call_async(Trigger.Request())
        answered = Condition()

        def wake(_: Any) -> None:
            with answered:
                answered.notify_all()

        future.add_done_callback(wake)
        with answered:
            if not answered.wait_for(future.done, _ANSWER_S):
                raise ConnectionError(f"guard/{do} does not answer; is arm_node running?")
        answer = future.result()
        if not answer.success:
            raise EngageError(f"the guard refuses to {do}: {answer.message}")
        return str(answer.message)

    def close(self) -> None:
        """Leave the graph. The guard misses the commands and holds, unless the episode was ended."""
        self._spinning.close()
        self._clock.close()

    # -- what arrives ----------------------------------------------------------------------------------------------

    def _take_tick(self, message: JointState) -> None:
        tick = from_tick(message)
        with self._condition:
            self._tick = tick
            if self._log is None:
                self._log = StepLog(tick.executed)
            elif tick.executed.stamp_s > self._since_s:
                self._log.add(tick.executed)
            else:  # Of before the last command.
                self._log.newest = tick.executed
            self._condition.notify_all()

    def _take_status(self, message: DiagnosticArray) -> None:
        with self._condition:
            self._status = {pair.key: pair.value for pair in message.status[0].values}
            self._condition.notify_all()

    def _ticks_come(self) -> bool:
        """After a pause of this process (a debugger, SIGSTOP) what came meanwhile is taken in first."""
        return self.clock.now() - self._newest()[0].executed.stamp_s <= MAX_TICK_AGE_S

    def _newest(self) -> tuple[Tick, StepLog]:
        if self._tick is None or self._log is None:
            raise ConnectionError("no tick of a guard has come; is arm_node running?")
        return self._tick, self._log

    def _await_everybody(self) -> None:
        with self._condition:
            ticks = self._condition.wait_for(lambda: self._tick is not None and bool(self._status), DISCOVERY_S)
        if not ticks:
            raise ConnectionError(f"no guard ticks on {topics.TICK.name!r}; start arm_node, or `robot-rl up twin`")
        for client in self._services.values():
            if not client.wait_for_service(DISCOVERY_S):
                raise ConnectionError(f"{client.srv_name!r} is not served; start arm_node anew")
        for camera in self._cameras.values():
            if not camera.wait(DISCOVERY_S):
                raise ConnectionError(f"camera {camera.name!r} sends no frames; start its camera_node")

    def _reset(self, plan: ResetPlan) -> None:
        """One try."""
        if plan.teleport is not None:
            self.ask("reset")
            with self._condition:  # A disarmed tick: no reference is on its way that would pull the arm back.
                self._condition.wait_for(lambda: self._newest()[0].executed.mode is GuardMode.DISARMED, _ANSWER_S)
            plan.teleport()
        self._request += 1
        name = self._actor % 1_000_000 * 1000 + self._request % 1000  # Whose, and which.
        self._plans.publish(to_plan(self.clock.now(), plan, name))
        limit_s = plan.timeout_s + 2.0 * _ANSWER_S
        with self._condition:
            if not self._condition.wait_for(lambda: self._status.get("reset") == str(name), limit_s):
                raise ResetError(f"the arm node said nothing of the reset for {limit_s:g} s; is it running?")
            error = self._status["reset_error"]
            if error:
                raise ResetError(error)
            done_s = self.clock.now()
            self._condition.wait_for(lambda: self._newest()[0].executed.stamp_s > done_s, _ANSWER_S)
            tick, log = self._newest()
            self._since_s = tick.executed.stamp_s  # What the reset changed is no change of the first step.
            log.clear()
