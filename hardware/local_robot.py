"""A robot whose drivers live in this process: arm, cameras, teleop and guard behind ``reset / command / observe``."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from threading import Lock

from hardware.arrival import has_arrived, is_still, not_arrived
from hardware.black_box import BlackBox
from hardware.camera_watch import CameraWatch
from hardware.cell import Cell
from hardware.guard import EngageError, Guard
from hardware.guard_inputs import DiskHealth, LinkHealth
from hardware.interfaces import (
    ZERO6,
    Arm,
    ArmCommand,
    ArmReference,
    ArmState,
    Camera,
    Clock,
    ExecutedCommand,
    Gripper,
    GuardMode,
    Pose,
    ResetError,
    ResetPlan,
    RobotObservation,
    TeleopDevice,
    TeleopSample,
)
from hardware.step_log import StepLog

_LOG = logging.getLogger(__name__)
_STREAM_TIMEOUT_S = 5.0  # how long a reset waits until the guard may engage
_POLL_S = 0.05  # how often a reset looks whether it has arrived
_REPEAT_POLLS = 4  # and repeats its command, should S7 have brought the target back


class LocalRobot:
    """Implements :class:`hardware.interfaces.Robot`. ``teleop`` may be replaced at any time."""

    def __init__(
        self,
        arm: Arm,
        cameras: Mapping[str, Camera],
        teleop: TeleopDevice,
        cell: Cell,
        clock: Clock,
        limits_profile: str = "collaborative",
        teleop_speed: tuple[float, float] = (0.08, 0.6),
        black_box: Path | None = None,
        control_hz: float | None = 10.0,
        task: str = "",
    ) -> None:
        """``teleop_speed``: the person's target at full deflection, per axis: ``max_step_m * control_hz`` and
        ``max_step_rad * control_hz`` of the task. ``black_box``: folder for the last seconds before each stop.
        ``control_hz``: rate at which :meth:`command` will be called in an episode (S2). ``task``: its name in
        the cell (S32). Drivers come connected; :meth:`close` closes them."""
        self.arm, self.cameras, self.teleop, self.cell, self.clock = arm, cameras, teleop, cell, clock
        self.guard = Guard(cell, limits_profile, teleop_speed, control_hz, task)
        self.link_health: Callable[[], LinkHealth] = LinkHealth
        """Asked every tick what is known of whoever proposes commands; its ``skew_s`` is filled in here."""
        self.disk_health: Callable[[], DiskHealth | None] = lambda: None
        """Asked every tick how the recorder's disk is; None: nothing is recorded."""
        limits = self.guard.settings.limits
        if limits.reason:
            _LOG.warning("limits profile %r: %s", limits_profile, limits.reason)
        self._watch = CameraWatch(cameras, cell.cameras, limits.max_skew_s, clock.now())
        self.black_box = None
        if black_box is not None:
            labels = {"cell": cell.name, "limits_profile": limits_profile}
            self.guard.recorder = self.black_box = BlackBox(black_box, self.guard.settings, labels)
        self._sequence = 0
        self._lock = Lock()
        self._arm_state = arm.read()
        self._sample = TeleopSample(clock.now())
        self._log = StepLog(self.guard.tick(clock.now(), self._arm_state, self._sample))
        clock.every(cell.guard_period_s, self._tick)

    @property
    def arm_state(self) -> ArmState:
        """What the last tick measured."""
        return self._arm_state

    @property
    def executed(self) -> ExecutedCommand:
        """What the last tick accepted."""
        return self._log.newest

    def reset(self, plan: ResetPlan) -> RobotObservation:
        """Bring the arm to ``plan.start`` and engage. Raises :class:`ResetError` if it is lost or does not arrive, or
        if the guard stands in HOLD or FAULT and the cell leaves it to a person to clear that."""
        try:
            self._clear_stop()
            self._await_engageable()
            if plan.teleport is not None:
                self._teleport(plan.teleport, plan)
            else:
                self._move(plan)
        except (EngageError, ConnectionError) as error:
            raise ResetError(f"reset refused: {error}") from None
        self.guard.begin_session(resetting=False)
        with self._lock:
            self._log.clear()
        return self.observe()

    def command(self, command: ArmCommand) -> None:
        """Post a target; the robot numbers it itself."""
        self._sequence += 1
        arrival_s = self.clock.now() + self.clock.delay_s("command")
        with self._lock:
            self._log.clear()
        self.guard.submit(replace(command, sequence=self._sequence, session=self.guard.session), arrival_s)

    def observe(self) -> RobotObservation:
        """State, frames and what was executed since the last command. Raises as :meth:`CameraWatch.take_or_last`."""
        frames = self._watch.take_or_last(self.clock, lambda: self.guard.mode >= GuardMode.HOLD)
        with self._lock:
            executed, changes = self._log.summary()
        state = self._arm_state
        with suppress(ConnectionError):  # The guard's tick faults for an arm that is lost.
            state = self.arm.read()
        return RobotObservation(self.clock.now(), state, frames, executed, changes)

    def end_episode(self) -> None:
        """No more commands until the next reset: their absence is no fault (S2)."""
        self.guard.begin_session(resetting=False)

    def engage_at(self, reference: ArmReference) -> None:
        """Engage anew with the reference at rest at ``reference``, gripper as it is: what drives the arm from here on
        depends on nothing before. So an episode can be replayed from its start."""
        self.guard.reset()
        state = replace(self.arm.read(), T_base_ee=reference.T_base_ee, gripper_width_m=reference.gripper_width_m)
        self._engage(Gripper.HOLD, state)

    def hold(self, reason: str = "the operator asked for it") -> None:
        """A controlled stop."""
        self.guard.hold(reason)

    def resume(self) -> None:
        """The operator clears HOLD; raises :class:`hardware.guard.EngageError` while it brakes."""
        self.guard.resume(self.arm.read(), self.clock.now())

    def recover(self) -> None:
        """The operator has the arm clear an error of its own controller; the guard is disarmed then. Raises
        :class:`hardware.guard.EngageError` where that is not granted (S12)."""
        self.guard.recover(self.clock.now())
        self.arm.recover()

    def close(self) -> None:
        """Disarm, close the drivers, and put on disk what the black box holds."""
        self.guard.reset()
        if self.black_box is not None:
            self.black_box.close()
        self.arm.close()
        self.teleop.close()
        for camera in self.cameras.values():
            camera.close()

    # -- the guard's tick --------------------------------------------------------------------------------------------

    def _tick(self, now: float) -> None:
        try:
            self._arm_state = self.arm.read()
        except ConnectionError as error:
            self.guard.hold(f"arm lost: {error}", GuardMode.FAULT)
        try:
            self._sample = self.teleop.read(now)
        except ConnectionError:  # Its heartbeat stands still, and the guard holds (S13).
            self._sample = replace(self._sample, twist=ZERO6)
        state, link, skew_s = self._arm_state, self.link_health(), self._watch.reported_skew_s()
        link = link if skew_s is None else link._replace(skew_s=skew_s)
        cameras = self._watch.look(state.T_base_ee.position_m)
        executed = self.guard.tick(now, state, self._sample, cameras, link, self.disk_health())
        if executed.mode is not GuardMode.DISARMED:
            try:
                self.arm.command(executed.reference)
            except ConnectionError as error:
                self.guard.hold(f"arm lost: {error}", GuardMode.FAULT)
        with self._lock:
            self._log.add(executed)

    # -- resets ------------------------------------------------------------------------------------------------------

    def _clear_stop(self) -> None:
        guard = self.guard
        if guard.mode < GuardMode.HOLD:
            return
        if not self.cell.scripted_operator:
            how = "resume()" if guard.mode is GuardMode.HOLD else "guard.reset()"
            raise ResetError(f"the guard is in {guard.mode.name} ({guard.reason}); the operator must clear it: {how}")
        deadline = self.clock.now() + 1.0
        while not guard.at_rest and self.clock.now() < deadline:
            self.clock.sleep_until(self.clock.now() + _POLL_S)
        guard.reset()

    def _await_engageable(self) -> None:
        """S10, S11: until all has streamed, and the last cause to stop lies back, long enough; engaging says if not."""
        guard, limits, clock = self.guard, self.guard.settings.limits, self.clock
        deadline = clock.now() + _STREAM_TIMEOUT_S
        while guard.mode is GuardMode.DISARMED and clock.now() < deadline:
            if guard.streaming_s >= limits.stream_before_arm_s and clock.now() >= guard.may_restart_s:
                return
            clock.sleep_until(clock.now() + _POLL_S)

    def _teleport(self, teleport: Callable[[], None], plan: ResetPlan) -> None:
        self.guard.reset()
        teleport()
        self._watch.restart(self.clock.now())
        self._arm_state = self.arm.read()
        self._engage(plan.gripper, self._arm_state)
        if not has_arrived(self._arm_state, plan.start, plan):
            raise not_arrived(self._arm_state, plan.start, plan, "after teleporting")

    def _engage(self, gripper: Gripper, state: ArmState) -> None:
        executed = self.guard.engage(state, self.clock.now(), gripper)
        self.arm.command(executed.reference)
        with self._lock:
            self._log.add(executed)

    def _move(self, plan: ResetPlan) -> None:
        if self.guard.mode is GuardMode.DISARMED:
            self._engage(Gripper.HOLD, self.arm.read())
        session = self.guard.begin_session(resetting=True)
        deadline_s, sequences = self.clock.now() + plan.timeout_s, count(1)
        try:
            for pose in (*plan.waypoints, plan.start):
                self._go_to(pose, plan, deadline_s, session, sequences)
        finally:
            self.guard.begin_session(resetting=False)
        self.engage_at(self._log.newest.reference)

    def _go_to(self, goal: Pose, plan: ResetPlan, deadline_s: float, session: int, sequences: Iterator[int]) -> None:
        for polls in count():
            if polls % _REPEAT_POLLS == 0:
                self.guard.submit(ArmCommand(goal, plan.gripper, next(sequences), session), self.clock.now())
            self.clock.sleep_until(self.clock.now() + _POLL_S)
            if self.guard.mode >= GuardMode.HOLD:
                raise ResetError(f"the guard went to {self.guard.mode.name} during the reset: {self.guard.reason}")
            obeyed = plan.gripper in (Gripper.HOLD, self.guard.state.gripper.command)
            if obeyed and self.guard.at_rest and is_still(self._arm_state) and has_arrived(self._arm_state, goal, plan):
                return
            if self.clock.now() >= deadline_s:
                raise not_arrived(self._arm_state, goal, plan, f"after {plan.timeout_s:g} s")
