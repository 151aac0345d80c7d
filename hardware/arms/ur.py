"""Universal Robots e-Series, by ur_rtde: a program on the controller servoes at 500 Hz to what this driver sends.

* **Tracking.** ``servoL``: the controller solves the inverse with its calibrated kinematics. A joint lags by the
  servo's lookahead time, so the target is sent that far ahead along the reference's twist: the twist is fed forward.
* **Stiff.** The arm is controlled in position. The guard's lead does not bound the force as a spring's does: S8 stops
  at the measured force, and the controller's safety limits (force, power, speed) have to be set on the pendant.
* **Watchdog (S3).** A dead or stuck process, a pulled cable: the controller's RTDE watchdog (10 Hz) ends the program,
  which brakes. References that stop while the process lives: a thread of this driver makes the arm stop where it is.
* **Frames.** Base as the controller's ``base``. The tool centre point is put where the model has the end effector.
* **Recovery (S12).** Only :meth:`UrArm.recover` unlocks a protective stop or starts the program anew, and it moves
  nothing. An emergency stop is undone by hand, on the pendant.
"""

from __future__ import annotations

from threading import Event, Lock, Thread

import numpy as np

from hardware.arm_model import load_arm_model
from hardware.arms.robotiq import Robotiq2F85
from hardware.arms.ur_controller import WATCHDOG_S, UrController, pose_of
from hardware.cell import Cell
from hardware.geometry import pose_add
from hardware.interfaces import ArmReference, ArmState, Clock, Pose, Vector6

HOLD_S = 0.06
"""As in :mod:`hardware.arms.franka`: at this age of a reference the driver's own thread stops the arm."""
_POLL_S = 0.002
_KICK_S = 0.01
"""Of the controller's time: without anything to send, its watchdog is kept quiet this often."""
_LINK_S = 1.0
"""A state that has not changed for this long is a lost link."""


class UrArm:
    """Implements :class:`hardware.interfaces.Arm`."""

    watchdog_s = WATCHDOG_S

    def __init__(self, cell: Cell, clock: Clock) -> None:
        self.cell, self.clock, self.settings = cell, clock, cell.controller
        self.controller_s = 0.0
        """The controller's own clock, s since it started."""
        self._controller: UrController | None = None
        self._hand: Robotiq2F85 | None = None
        self._state: ArmState | None = None
        self._reference: ArmReference | None = None
        """Not sent yet."""
        self._commanded_s, self._sent_s, self._held = -np.inf, -np.inf, True
        self._lost, self._ended = "", ""
        self._commanding = Lock()
        """Held by whoever speaks to the program."""
        self._fresh, self._stop = Event(), Event()
        self._thread: Thread | None = None

    def connect(self) -> None:
        """Connect to ``controller.address``, upload ur_rtde's program, set the tool's frame; the arm does not move.
        ``ConnectionError`` where it does not answer, is not in remote control, is stopped, or runs another program."""
        self._controller = controller = UrController(self.settings, load_arm_model(self.cell.arm).tip)
        self._lost = self._ended = ""
        self._reference, self._held = None, True
        self._stop.clear()
        try:
            self._hand = Robotiq2F85(self.settings.address, self.cell.gripper)
            with self._commanding:
                self._thread = Thread(target=self._run, args=(controller,), name="UR", daemon=True)
                self._thread.start()
                controller.set_up()
            self._state = self._measured(controller)
        except ConnectionError:
            self.close()
            raise

    def read(self) -> ArmState:
        state = self._state
        if state is not None and not self._lost and self.clock.now() - state.stamp_s > _LINK_S:
            self._lost = f"no new state for {_LINK_S:g} s"
        if state is None or self._lost:
            raise ConnectionError(f"UR at {self.settings.address}: {self._lost or 'it has sent no state'}")
        return state

    def command(self, reference: ArmReference) -> None:
        """Taken at once; the driver's thread sends it."""
        if self._lost:
            raise ConnectionError(f"UR at {self.settings.address}: {self._lost}")
        self._reference, self._commanded_s = reference, self.clock.now()
        self._fresh.set()
        if self._hand is not None:
            self._hand.go_to(reference.gripper_width_m)

    def recover(self) -> None:
        """Unlock a protective stop and start the program anew, or connect anew where the link was lost. The arm stays
        where it is until it is commanded."""
        if self._lost or self._controller is None:
            self.close()
            self.connect()
            return
        with self._commanding:
            self._reference, self._held = None, True
            self._controller.restart()
            self._ended = ""

    def close(self) -> None:
        """Bring the arm to rest and let go of it."""
        self._stop.set()
        stuck = False
        if self._thread is not None:
            self._thread.join(2.0)
            stuck, self._thread = self._thread.is_alive(), None
        if self._hand is not None:
            self._hand.close()
        if self._controller is not None and not stuck:  # ur_rtde may not be closed under a thread that waits in it.
            self._controller.close()
        self._hand = self._controller = self._state = None

    # -- the driver's thread -----------------------------------------------------------------------------------------

    def _run(self, controller: UrController) -> None:
        while not self._stop.is_set():
            self._fresh.wait(_POLL_S)
            self._fresh.clear()
            if not controller.connected:
                self._lost = "the connection is lost"
                return
            if controller.states.getTimestamp() != self.controller_s:
                self._state = self._measured(controller)
            if self._commanding.acquire(blocking=False):
                try:
                    self._send(controller, self.clock.now())
                finally:
                    self._commanding.release()

    def _send(self, controller: UrController, now: float) -> None:
        """One message at most: a kick right after a target would overwrite it."""
        state, reference = self._state, self._reference
        if state is None or state.stopped:
            self._reference, self._held = None, True
        elif reference is not None:
            self._reference, self._held, self._sent_s = None, False, self.controller_s
            controller.servo(_ahead(reference.T_base_ee, reference.twist, self.settings.servo_lookahead_s))
        elif now - self._commanded_s > HOLD_S and not self._held:
            self._held, self._sent_s = True, self.controller_s
            # Half the way that it would roll out by itself: a soft stop that does not turn back.
            controller.servo(_ahead(state.T_base_ee, state.ee_twist, 0.5 * self.settings.servo_lookahead_s))
        elif self.controller_s - self._sent_s > _KICK_S:
            self._sent_s = self.controller_s
            controller.kick()

    def _measured(self, controller: UrController) -> ArmState:
        states = controller.states
        self.controller_s = states.getTimestamp()
        if not controller.playing and not self._commanding.locked():
            # Asked before the reason for a halt, which may come in between. What starts again without the operator's
            # word, as ur_rtde's program may after a lost link, is not commanded.
            self._ended = "its program has ended: the watchdog, a pose out of reach, or somebody at the pendant"
        return ArmState(
            stamp_s=self.clock.now(),
            T_base_ee=pose_of(states.getActualTCPPose()),
            ee_twist=_six(states.getActualTCPSpeed()),
            joint_positions_rad=tuple(states.getActualQ()),
            joint_velocities_rad_s=tuple(states.getActualQd()),
            wrench=self.settings.unbiased(_six(states.getActualTCPForce())),
            gripper_width_m=0.0 if self._hand is None else self._hand.width_m,
            stopped=controller.halted or self._ended,
        )


def _ahead(pose: Pose, twist: Vector6, ahead_s: float) -> Pose:
    """Where ``twist`` leads from ``pose`` in ``ahead_s``."""
    a, b, c, d, e, f = (ahead_s * v for v in twist)
    return pose_add(pose, (a, b, c, d, e, f))


def _six(numbers: list[float]) -> Vector6:
    a, b, c, d, e, f = numbers
    return a, b, c, d, e, f
