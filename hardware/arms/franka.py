"""Franka Research 3 and Panda, by franky: the 1 kHz loop that libfranka needs is in its C++, outside Python's reach.

* **Tracking.** Cartesian impedance about the guard's reference, its twist fed forward. It starts with the first
  reference and ends a second after the last (a guard that is disarmed sends none).
* **Watchdog (S3).** A dead or stopped process: the controller misses its 1 kHz packets and brakes within 20 ms
  (``communication_constraints_violation``). References that stop while the process lives: a thread of this driver
  makes the arm hold where it is. An interpreter that is stuck altogether: the spring's target stands still, and the arm
  comes to rest beside it, by damping times velocity over stiffness at most (12 mm at 0.25 m/s, 2000 N/m).
* **Frames.** Base as on the vendor's drawing. The end effector is put between the fingertips, as the arm's model says.
* **Recovery (S12).** Only :meth:`FrankaArm.recover` clears a reflex; only the operator calls it.
"""

from __future__ import annotations

from contextlib import suppress
from threading import Event, Lock, Thread
from typing import Any

import numpy as np

from hardware.arm_model import load_arm_model
from hardware.arms.franka_hand import FrankaHand
from hardware.cell import Cell
from hardware.geometry import matrix_from_pose, pose_inverse, pose_multiply, quat_normalize, vector6
from hardware.interfaces import ArmReference, ArmState, Clock, Pose
from hardware.timekeeping import keeping_scheduling

WATCHDOG_S = 0.1
HOLD_S = 0.06
"""The driver's own thread holds at this age of a reference, to stand by ``WATCHDOG_S``; the guard starts anew by it."""
_RELEASE_S, _POLL_S, _FIRST_STATE_S, _RECOVERY_S = 1.0, 0.002, 2.0, 2.0
_LINK_S = 1.0
"""A state that has not changed for this long is a lost link."""
_NEEDS_KERNEL = "Start a PREEMPT_RT kernel; only a simulator does without (controller.realtime = false)"
_FLANGE = Pose((0.0, 0.0, 0.107), (0.0, 0.0, 0.0, 1.0))
"""From the last joint's link to the flange."""


def sdk() -> Any:
    """franky; ``ConnectionError`` saying how to install it."""
    try:
        import franky
    except ImportError as error:
        raise ConnectionError(f"Franka arms need franky ({error}): pip install 'robot-rl[franka]'") from None
    return franky


class FrankaArm:
    """Implements :class:`hardware.interfaces.Arm`."""

    watchdog_s = WATCHDOG_S

    def __init__(self, cell: Cell, clock: Clock) -> None:
        self.cell, self.clock, self.settings = cell, clock, cell.controller
        self.controller_s = 0.0
        """The controller's own clock, s since it started."""
        self._tip = pose_multiply(pose_inverse(_FLANGE), load_arm_model(cell.arm).tip)
        self._robot: Any = None
        self._hand: FrankaHand | None = None
        self._motion: Any = None
        self._state: ArmState | None = None
        self._reference: ArmReference | None = None
        self._commanded_s, self._held = -np.inf, False
        self._lost, self._stopped = "", ""
        self._lock, self._stop = Lock(), Event()
        self._thread: Thread | None = None

    def connect(self) -> None:
        """Connect to ``controller.address`` and set frames, load and reflexes; the arm does not move.
        ``ConnectionError`` where it does not answer, FCI is off, or another program controls it."""
        franky = sdk()
        if not self.settings.address:
            raise ConnectionError("the arm has no address: set controller.address in the cell file (172.16.0.2 ...)")
        realtime = franky.RealtimeConfig.Enforce if self.settings.realtime else franky.RealtimeConfig.Ignore
        try:
            with keeping_scheduling():
                self._robot = franky.Robot(self.settings.address, realtime_config=realtime)
                self._set_up()
                self._hand = FrankaHand(franky.Gripper(self.settings.address), self.cell.gripper)
        except franky.RealtimeException as error:
            raise ConnectionError(f"Franka at {self.settings.address}: {_line(error)} {_NEEDS_KERNEL}") from None
        except (*_network(franky), franky.CommandException) as error:
            raise ConnectionError(f"Franka at {self.settings.address}: {_line(error)}") from None
        self._lost = self._stopped = ""
        self._stop.clear()
        self._thread = Thread(target=self._run, name="Franka", daemon=True)
        self._thread.start()
        deadline_s = self.clock.now() + _FIRST_STATE_S
        while self._state is None and not self._lost and self.clock.now() < deadline_s:
            self._stop.wait(_POLL_S)
        self.read()

    def read(self) -> ArmState:
        if self._lost or self._state is None:
            raise ConnectionError(f"Franka at {self.settings.address}: {self._lost or 'it has sent no state'}")
        return self._state

    def command(self, reference: ArmReference) -> None:
        """Taken at once; the loop in C++ tracks it from its next millisecond on."""
        if self._lost:
            raise ConnectionError(f"Franka at {self.settings.address}: {self._lost}")
        with self._lock:
            self._reference, self._commanded_s, self._held = reference, self.clock.now(), False
            if self._motion is not None:
                self._motion.set_reference(_goal(reference))
        if self._hand is not None:
            self._hand.go_to(reference.gripper_width_m)

    def recover(self) -> None:
        """Clear a reflex, or connect anew where the link was lost. The arm stays where it is until it is commanded."""
        if self._lost:
            self.close()
            self.connect()
            return
        with self._lock:
            self._motion, self._reference, self._commanded_s = None, None, -np.inf
        franky = sdk()
        try:
            self._robot.recover_from_errors()
            deadline_s = self.clock.now() + _RECOVERY_S
            while (halted := _halted(self._robot.state)) and self.clock.now() < deadline_s:
                self._stop.wait(_POLL_S)
        except (*_network(franky), franky.CommandException) as error:
            raise ConnectionError(f"Franka at {self.settings.address}: {_line(error)}") from None
        if halted:
            raise ConnectionError(f"Franka at {self.settings.address} is still stopped ({halted}); look at Franka Desk")
        self._stopped = ""

    def close(self) -> None:
        """Bring the arm to rest and let go of it."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(2.0)
            self._thread = None
        if self._hand is not None:
            self._hand.close()
            self._hand = None
        if self._robot is not None and not self._lost:
            with suppress(*_network(sdk())):  # The link may be lost and nobody know it yet.
                self._end_tracking()
        self._robot = self._motion = self._state = None

    # -- the driver's thread -----------------------------------------------------------------------------------------

    def _run(self) -> None:
        franky = sdk()
        changed_s = self.clock.now()
        while not self._stop.wait(_POLL_S):
            now = self.clock.now()
            try:
                state = self._robot.state
                self._keep_tracking(now, state)
            except (franky.Exception, RuntimeError) as error:  # Whatever it was: without this thread nothing is read.
                self._lost = _line(error)
                return
            if state.time.to_sec() != self.controller_s:
                self.controller_s, changed_s = state.time.to_sec(), now
                self._state = self._measured(state, now)
            elif now - changed_s > _LINK_S:
                self._lost = f"no new state for {_LINK_S:g} s"
                return

    def _keep_tracking(self, now: float, state: Any) -> None:
        with self._lock:
            age_s = now - self._commanded_s
            if self._motion is not None and not self._robot.is_in_control:
                self._motion = None
                self._stopped = self._stopped or self._why_ended()
            if self._motion is None:
                if age_s < HOLD_S and self._reference is not None and not self._stopped and not _halted(state):
                    self._start_tracking(self._reference)
            elif age_s > _RELEASE_S:
                self._end_tracking()
            elif age_s > HOLD_S and not self._held:
                self._held = True
                self._motion.set_reference(sdk().CartesianReference(state.O_T_EE))

    def _start_tracking(self, reference: ArmReference) -> None:
        franky, settings = sdk(), self.settings
        self._motion = franky.CartesianImpedanceTrackingMotion(
            settings.translational_stiffness_n_m, settings.rotational_stiffness_nm_rad
        )
        self._motion.set_reference(_goal(reference))
        self._robot.move(self._motion, asynchronous=True)

    def _end_tracking(self) -> None:
        if self._motion is not None:
            self._motion = None
            self._robot.move(sdk().TorqueStopMotion(), asynchronous=True)

    def _why_ended(self) -> str:
        """What ended a motion that should have gone on; empty where nothing is wrong."""
        franky = sdk()
        try:
            self._robot.poll_motion()
        except (franky.ControlException, franky.CommandException) as error:
            return _line(error)
        return ""

    # -- the controller ----------------------------------------------------------------------------------------------

    def _set_up(self) -> None:
        robot, settings = self._robot, self.settings
        robot.set_collision_behavior(settings.reflex_torque_nm, settings.reflex_force_n)
        if settings.payload_kg > 0.0:
            # A point mass: the inertia of what fits into a hand matters little at these speeds.
            robot.set_load(settings.payload_kg, list(settings.payload_centre_m), [0.0] * 9)
        nominal = _pose(robot.state.F_T_NE)
        robot.set_ee(matrix_from_pose(pose_multiply(pose_inverse(nominal), self._tip)).flatten(order="F").tolist())

    def _measured(self, state: Any, now: float) -> ArmState:
        velocities = state.dq
        twist = np.asarray(self._robot.model.zero_jacobian(sdk().Frame.EndEffector, state)) @ velocities
        return ArmState(
            stamp_s=now,
            T_base_ee=_pose(state.O_T_EE),
            ee_twist=vector6(twist),
            joint_positions_rad=tuple(state.q.tolist()),
            joint_velocities_rad_s=tuple(velocities.tolist()),
            wrench=self.settings.unbiased(vector6(-state.O_F_ext_hat_K)),  # libfranka's is the arm's on the world.
            gripper_width_m=0.0 if self._hand is None else self._hand.width_m,
            stopped=self._stopped or _halted(state),
        )


def _network(franky: Any) -> tuple[type[Exception], ...]:
    # What is wrong beneath libfranka comes through as a plain RuntimeError.
    return franky.NetworkException, franky.ProtocolException, franky.IncompatibleVersionException, RuntimeError


def _halted(state: Any) -> str:
    """Why the controller will not move, if it will not."""
    mode, errors = state.robot_mode.name, str(state.current_errors).strip("[]").replace('"', "")
    halted = {"Reflex": "reflex", "UserStopped": "the user stop is pressed", "AutomaticErrorRecovery": "recovering"}
    return f"{halted[mode]}: {errors}" if mode in halted and errors else halted.get(mode, "")


def _goal(reference: ArmReference) -> Any:
    franky, (position_m, quat_xyzw) = sdk(), reference.T_base_ee
    twist = franky.Twist(np.array(reference.twist[:3]), np.array(reference.twist[3:]))
    return franky.CartesianReference(franky.Affine(np.array(position_m), np.array(quat_xyzw)), twist)


def _pose(affine: Any) -> Pose:
    (x, y, z), (qx, qy, qz, qw) = affine.translation.tolist(), affine.quaternion.tolist()
    return Pose((x, y, z), quat_normalize((qx, qy, qz, qw)))


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
