"""What the guard tells other nodes: every tick, its status, and the standard topics that people's tools show."""

from __future__ import annotations

from collections import deque
from threading import Event, Lock, Thread
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseStamped, WrenchStamped
from rosgraph_msgs.msg import Clock as ClockMessage
from sensor_msgs.msg import JointState

from hardware.guard_inputs import GuardInputs
from hardware.guard_process import GuardProcess
from hardware.guard_state import GuardState
from hardware.interfaces import ExecutedCommand, GuardMode
from robot_rl_nodes import topics
from robot_rl_nodes.conversions import Tick, to_tick, to_time
from robot_rl_nodes.diagnostics import Health, status_message
from robot_rl_nodes.frames import transforms
from robot_rl_nodes.ros import qos
from robot_rl_nodes.standard_messages import ee_transform, to_joint_state, to_pose, to_wrench

_QUEUED = 100
_LEVELS = {GuardMode.HOLD: DiagnosticStatus.WARN, GuardMode.FAULT: DiagnosticStatus.ERROR}


class GuardVoice:
    """Publishes from a thread of its own: the tick only lays down what there is to say."""

    def __init__(self, node: Any, process: GuardProcess, publish_clock: bool):
        self._process, self._clock = process, process.clock
        self._ticks: deque[Tick] = deque(maxlen=_QUEUED)
        self._ready, self._stop, self._status_lock = Event(), Event(), Lock()
        self._reset: tuple[int, str] = (-1, "")
        self._said: tuple[GuardMode, str] | None = None
        self._health = Health(node, process.clock)
        self._open_publishers(node, publish_clock)
        black_box = process.robot.guard.recorder

        def record(inputs: GuardInputs, state: GuardState, executed: ExecutedCommand) -> None:
            if black_box is not None:
                black_box(inputs, state, executed)
            self._ticks.append(Tick(inputs.arm, executed, state.mux.session))
            self._ready.set()

        self._thread = Thread(target=self._publish, name="guard voice", daemon=True)
        self._thread.start()
        process.robot.guard.recorder = record

    def reset_outcome(self, request: int, error: str) -> None:
        """Reset ``request`` ended; ``error`` says why it failed, empty if it did not."""
        self._reset = (request, error)
        self.tell_status()

    def tell_status(self) -> None:
        """Say now how the guard is."""
        with self._status_lock:
            status, (request, error) = self._process.status(), self._reset
            values = {"mode": status.mode, "reason": status.reason, "session": status.session}
            values |= {"missed_ticks": status.missed_ticks, "reset": request, "reset_error": error}
            level = _LEVELS.get(status.guard_mode, DiagnosticStatus.OK)
            message = status_message(self._clock.now(), "guard", f"{status.mode}: {status.reason}", values, level)
            self._status.publish(message)

    def close(self) -> None:
        """Say what is left, and fall silent."""
        self._stop.set()
        self._ready.set()
        self._thread.join(2.0)

    def _open_publishers(self, node: Any, publish_clock: bool) -> None:
        def publisher(kind: Any, topic: topics.Topic) -> Any:
            return node.create_publisher(kind, topic.name, qos(topic))

        self._tick, self._status = publisher(JointState, topics.TICK), publisher(DiagnosticArray, topics.STATUS)
        self._joints, self._pose = publisher(JointState, topics.JOINT_STATES), publisher(PoseStamped, topics.EE_POSE)
        self._wrench, self._target = publisher(WrenchStamped, topics.WRENCH), publisher(PoseStamped, topics.TARGET)
        self._time = publisher(ClockMessage, topics.CLOCK) if publish_clock else None
        self._transform = transforms(node, topics.TF)  # Without them the pose is on ee_pose all the same.

    def _publish(self) -> None:
        every = round(1.0 / (self._process.times.period_s * topics.JOINT_STATES.hz))
        count, tick = 0, None
        while not self._stop.is_set():
            self._ready.wait()
            self._ready.clear()
            while self._ticks:
                tick = self._ticks.popleft()
                self._tick.publish(to_tick(tick))
                count += 1
                if count % every == 0:
                    self._show(tick)
            if tick is None:
                continue
            executed = tick.executed
            if self._said != (executed.mode, executed.reason):
                self._said = (executed.mode, executed.reason)
                self.tell_status()
            self._health.report(
                f"{executed.mode.name}: {executed.reason}", level=_LEVELS.get(executed.mode, DiagnosticStatus.OK)
            )

    def _show(self, tick: Tick) -> None:
        arm, executed = tick.arm, tick.executed
        self._joints.publish(to_joint_state(arm))
        self._pose.publish(to_pose(arm.stamp_s, arm.T_base_ee))
        self._wrench.publish(to_wrench(arm))
        self._target.publish(to_pose(executed.stamp_s, executed.target))
        self._transform(ee_transform(arm))
        if self._time is not None:
            self._time.publish(ClockMessage(clock=to_time(executed.stamp_s)))
        self._health.count()
