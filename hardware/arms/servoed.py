"""An arm whose controller is told positions, one at a time, and may have to be kept alive: what UR and SO-101 share.

The newest reference is sent once by a thread of the driver, as far ahead along its twist as the servo lags behind,
which feeds the twist forward. References that stop: at ``HOLD_S`` the same thread makes the arm stop where it then is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from threading import Event, Lock, Thread

import numpy as np

from hardware.cell import Cell
from hardware.geometry import pose_add
from hardware.interfaces import ArmReference, ArmState, Clock, Pose, Vector6

WATCHDOG_S = 0.1
HOLD_S = 0.06
"""As in :mod:`hardware.arms.franka`: at this age of a reference the driver's own thread stops the arm."""
KEEP_ALIVE_S = 0.01
"""Of the controller's time: without a target to send, it is told that the driver lives this often."""
_POLL_S = 0.002
_LINK_S = 1.0
"""A state that has not changed for this long is a lost link."""


class Controller(ABC):
    """What such a driver speaks to, connected when made. Only one thread at a time calls what changes it, though
    another may read. All raise ``ConnectionError`` in one line."""

    time_s: float
    """Its own clock, of the newest state."""

    @abstractmethod
    def set_up(self) -> None:
        """Last words before it is driven. From then on it has to be kept alive."""

    @abstractmethod
    def news(self) -> bool:
        """It has sent a new state."""

    @abstractmethod
    def state(self, now: float) -> ArmState:
        """The newest, ``stopped`` where it will not be driven."""

    @abstractmethod
    def servo(self, pose: Pose) -> None:
        """Draw the end effector to ``pose`` from now on."""

    @abstractmethod
    def keep_alive(self) -> None:
        """Keep its watchdog quiet, where it has one."""

    @abstractmethod
    def grip(self, width_m: float) -> None:
        """Fingers to ``width_m``; from any thread, at once."""

    @abstractmethod
    def restart(self) -> None:
        """Undo a stop, as far as the operator's word does. Nothing moves."""

    @abstractmethod
    def close(self) -> None:
        """Bring the arm to rest and hang up."""


class ServoedArm(ABC):
    """Implements :class:`hardware.interfaces.Arm` over a :class:`Controller`."""

    watchdog_s = WATCHDOG_S
    name = "arm"

    def __init__(self, cell: Cell, clock: Clock) -> None:
        self.cell, self.clock = cell, clock
        self._controller: Controller | None = None
        self._state: ArmState | None = None
        self._reference: ArmReference | None = None
        """Not sent yet."""
        self._commanded_s, self._sent_s, self._held = -np.inf, -np.inf, True
        self._lost, self._ended = "", ""
        self._commanding = Lock()
        """Held by whoever speaks to the controller."""
        self._epoch = 0
        """Counts the operator's words: what was heard before one says nothing about what came after."""
        self._fresh, self._stop = Event(), Event()
        self._thread: Thread | None = None

    @abstractmethod
    def _open(self) -> Controller:
        """Its controller, connected; the arm does not move. ``ConnectionError`` for whatever is missing."""

    @property
    def controller_s(self) -> float:
        """The controller's own clock, s."""
        return 0.0 if self._controller is None else self._controller.time_s

    def connect(self) -> None:
        """As :meth:`_open` says."""
        self._controller = controller = self._open()
        self._lost = self._ended = ""
        self._reference, self._held = None, True
        self._stop.clear()
        try:
            with self._commanding:
                self._thread = Thread(target=self._run, args=(controller,), name=self.name, daemon=True)
                self._thread.start()
                controller.set_up()
                self._epoch += 1
            controller.news()
            self._state = self._measured(controller, self._epoch)
        except ConnectionError:
            self.close()
            raise

    def read(self) -> ArmState:
        state = self._state
        if state is not None and not self._lost and self.clock.now() - state.stamp_s > _LINK_S:
            self._lost = self._named(f"no new state for {_LINK_S:g} s")
        if state is None or self._lost:
            raise ConnectionError(self._lost or self._named("it has sent no state"))
        return state

    def command(self, reference: ArmReference) -> None:
        """Taken at once; the driver's thread sends it."""
        if self._lost or self._controller is None:
            raise ConnectionError(self._lost or self._named("not connected"))
        self._reference, self._commanded_s = reference, self.clock.now()
        self._fresh.set()
        self._controller.grip(reference.gripper_width_m)

    def recover(self) -> None:
        """Undo a stop of the controller's own, or connect anew where the link was lost. The arm stays where it is until
        it is commanded."""
        if self._lost or self._controller is None:
            self.close()
            self.connect()
            return
        with self._commanding:
            self._reference, self._held = None, True
            self._controller.restart()
            self._ended = ""
            self._epoch += 1

    def close(self) -> None:
        """Bring the arm to rest and let go of it."""
        self._stop.set()
        stuck = False
        if self._thread is not None:
            self._thread.join(2.0)
            stuck, self._thread = self._thread.is_alive(), None
        if self._controller is not None and not stuck:  # An SDK may not be closed under a thread that waits in it.
            self._controller.close()
        self._controller = self._state = None

    # -- the driver's thread -----------------------------------------------------------------------------------------

    def _run(self, controller: Controller) -> None:
        while not self._stop.is_set():
            self._fresh.wait(_POLL_S)
            self._fresh.clear()
            epoch = self._epoch
            try:
                if controller.news():
                    self._state = self._measured(controller, epoch)
                if self._commanding.acquire(blocking=False):
                    try:
                        self._send(controller, self.clock.now())
                    finally:
                        self._commanding.release()
            except ConnectionError as error:
                self._lost = str(error)
                return

    def _send(self, controller: Controller, now: float) -> None:
        """One message at most: a second could overwrite the first before it is read."""
        state, reference, ahead_s = self._state, self._reference, self.cell.controller.servo_lookahead_s
        if state is None or state.stopped:
            self._reference, self._held = None, True
        elif reference is not None:
            self._reference, self._held, self._sent_s = None, False, controller.time_s
            controller.servo(_ahead(reference.T_base_ee, reference.twist, ahead_s))
        elif now - self._commanded_s > HOLD_S and not self._held:
            self._held, self._sent_s = True, controller.time_s
            # Half the way that it would roll out by itself: a soft stop that does not turn back.
            controller.servo(_ahead(state.T_base_ee, state.ee_twist, 0.5 * ahead_s))
        elif controller.time_s - self._sent_s > KEEP_ALIVE_S:
            self._sent_s = controller.time_s
            controller.keep_alive()

    def _measured(self, controller: Controller, epoch: int) -> ArmState:
        """What starts again without the operator's word stays stopped here."""
        state = controller.state(self.clock.now())
        if epoch == self._epoch and not self._commanding.locked():
            self._ended = state.stopped or self._ended
        return replace(state, stopped=state.stopped or self._ended)

    def _named(self, what: str) -> str:
        return f"{self.name} at {self.cell.controller.address}: {what}"


def _ahead(pose: Pose, twist: Vector6, ahead_s: float) -> Pose:
    """Where ``twist`` leads from ``pose`` in ``ahead_s``."""
    a, b, c, d, e, f = (ahead_s * v for v in twist)
    return pose_add(pose, (a, b, c, d, e, f))
