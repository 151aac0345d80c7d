"""A robot whose drivers live in this process: arm, cameras, teleop and guard behind ``reset / command / observe``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import count
from math import hypot
from pathlib import Path
from threading import Lock

from hardware.black_box import BlackBox
from hardware.cell import Cell
from hardware.geometry import pose_distance
from hardware.guard import EngageError, Guard
from hardware.interfaces import (
    Arm,
    ArmCommand,
    ArmReference,
    ArmState,
    Camera,
    Clock,
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

_STILL_M_S, _STILL_RAD_S = 0.005, 0.05  # what an arm at rest may still measure
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
    ) -> None:
        """``teleop_speed``: the person's target at full deflection, per axis: ``max_step_m * control_hz`` and
        ``max_step_rad * control_hz`` of the task. ``black_box``: folder for the last seconds before each stop. Drivers
        come connected; :meth:`close` closes them."""
        self.arm, self.cameras, self.teleop, self.cell, self.clock = arm, cameras, teleop, cell, clock
        self.guard = Guard(cell, limits_profile, teleop_speed)
        self.black_box = None
        if black_box is not None:
            labels = {"cell": cell.name, "limits_profile": limits_profile}
            self.guard.recorder = self.black_box = BlackBox(black_box, self.guard.settings, labels)
        self._sequence = 0
        self._lock = Lock()
        self._arm_state = arm.read()
        self._log = StepLog(self.guard.tick(clock.now(), self._arm_state, TeleopSample(clock.now())))
        clock.every(cell.guard_period_s, self._tick)

    @property
    def arm_state(self) -> ArmState:
        """What the last tick measured."""
        return self._arm_state

    def reset(self, plan: ResetPlan) -> RobotObservation:
        """Bring the arm to ``plan.start`` and engage. Raises :class:`ResetError` if it does not arrive, or if the guard
        stands in HOLD or FAULT and the cell leaves it to a person to clear that."""
        try:
            self._clear_stop()
            if plan.teleport is not None:
                self._teleport(plan.teleport, plan)
            else:
                self._move(plan)
        except EngageError as error:
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
        """State, frames and what was executed since the last command. Raises ``TimeoutError`` naming a stale camera."""
        with self._lock:
            executed, changes = self._log.summary()
        settings = self.cell.cameras
        frames = {
            name: camera.read_latest(settings[name].max_age_s if name in settings else 0.2)
            for name, camera in self.cameras.items()
        }
        state = self.arm.read()
        return RobotObservation(self.clock.now(), state, frames, executed, changes)

    def engage_at(self, reference: ArmReference) -> None:
        """Engage anew with the reference at rest at ``reference``, gripper as it is: what drives the arm from here on
        depends on nothing before. So an episode can be replayed from its start."""
        self.guard.reset()
        width = reference.gripper_width_m
        state = replace(self.arm.read(), T_base_ee=reference.T_base_ee, gripper_width_m=width)
        self._engage(Gripper.HOLD, state)

    def hold(self, reason: str = "the operator asked for it") -> None:
        """A controlled stop."""
        self.guard.hold(reason)

    def resume(self) -> None:
        """The operator clears HOLD; raises :class:`hardware.guard.EngageError` while it brakes."""
        self.guard.resume(self.arm.read(), self.clock.now())

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
        executed = self.guard.tick(now, self._arm_state, self.teleop.read(now))
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

    def _teleport(self, teleport: Callable[[], None], plan: ResetPlan) -> None:
        self.guard.reset()
        teleport()
        self._arm_state = self.arm.read()
        self._engage(plan.gripper, self._arm_state)
        if not _arrived(self._arm_state, plan.start, plan):
            raise _not_arrived(self._arm_state, plan.start, plan, "after teleporting")

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
                command = ArmCommand(goal, plan.gripper, next(sequences), session)
                self.guard.submit(command, self.clock.now())
            self.clock.sleep_until(self.clock.now() + _POLL_S)
            if self.guard.mode >= GuardMode.HOLD:
                raise ResetError(f"the guard went to {self.guard.mode.name} during the reset: {self.guard.reason}")
            gripped = plan.gripper in (Gripper.HOLD, self.guard.state.gripper.command)
            state = self._arm_state
            if gripped and self.guard.at_rest and _still(state) and _arrived(state, goal, plan):
                return
            if self.clock.now() >= deadline_s:
                raise _not_arrived(self._arm_state, goal, plan, f"after {plan.timeout_s:g} s")


def _still(state: ArmState) -> bool:
    return hypot(*state.ee_twist[:3]) < _STILL_M_S and hypot(*state.ee_twist[3:]) < _STILL_RAD_S


def _arrived(state: ArmState, goal: Pose, plan: ResetPlan) -> bool:
    metres, radians = pose_distance(state.T_base_ee, goal)
    return metres <= plan.position_tolerance_m and radians <= plan.rotation_tolerance_rad


def _not_arrived(state: ArmState, goal: Pose, plan: ResetPlan, when: str) -> ResetError:
    metres, radians = pose_distance(state.T_base_ee, goal)
    return ResetError(
        f"reset did not arrive: {1000 * metres:.1f} mm and {radians:.3f} rad from the goal {when}, "
        f"{1000 * plan.position_tolerance_m:.1f} mm and {plan.rotation_tolerance_rad:.3f} rad are allowed; "
        "clear the way or move the start"
    )
