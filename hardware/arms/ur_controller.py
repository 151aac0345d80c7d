"""The controller of a UR arm: ur_rtde's three connections to it, its program, what it says of itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from hardware.arms.robotiq import Robotiq2F85
from hardware.arms.servoed import WATCHDOG_S, Controller
from hardware.cell import GripperSettings
from hardware.device_settings import ControllerSettings
from hardware.geometry import quat_from_rotvec, rotvec_from_quat, vector6
from hardware.interfaces import ArmState, Pose

RATE_HZ = 500.0
"""Of states and of the program's answers: what an e-Series sends at most."""
_SERVO_STEP_S = 0.002
_START_S = 5.0
_POLL_S = 0.004
_DASHBOARD_MS = 2000
_PLAYING, _RUNNING, _PROTECTIVE_STOP = 2, 7, 3
_SAFETY = {
    _PROTECTIVE_STOP: "protective stop",
    4: "recovery mode",
    5: "safeguard stop",
    6: "emergency stop",
    7: "emergency stop",
    8: "safety violation",
    9: "safety fault",
}


def sdk() -> Any:
    """ur_rtde's classes for dashboard, control and states; ``ConnectionError`` saying how to install them."""
    try:
        import dashboard_client
        import rtde_control
        import rtde_receive
    except ImportError as error:
        raise ConnectionError(f"UR arms need ur_rtde ({error}): pip install 'robot-rl[ur]'") from None
    return dashboard_client.DashboardClient, rtde_control.RTDEControlInterface, rtde_receive.RTDEReceiveInterface


class UrController(Controller):
    """The program has registers with room for one command."""

    def __init__(self, settings: ControllerSettings, tool: Pose, gripper: GripperSettings) -> None:
        """Uploads ur_rtde's program; :meth:`set_up` is to tell it ``tool``, ``T_flange_ee``. Nothing moves."""
        if not settings.address:
            raise ConnectionError("the arm has no address: set controller.address in the cell file (192.168.0.2 ...)")
        self.settings, self._tool, self.time_s = settings, tool, 0.0
        self._dashboard: Any = None
        self._states: Any = None
        self._program: Any = None
        self._hand: Robotiq2F85 | None = None
        try:
            self._connect()
            self._hand = Robotiq2F85(settings.address, gripper)
        except ConnectionError:
            self.close()
            raise
        except (RuntimeError, ValueError) as error:
            self.close()
            raise self._said(error) from None

    def _connect(self) -> None:
        dashboard, control, receive = sdk()
        address = self.settings.address
        self._dashboard = dashboard(address)
        try:
            self._dashboard.connect(_DASHBOARD_MS)
        except RuntimeError as error:  # Its words for a wait in vain are "Operation canceled".
            raise self._said(RuntimeError(f"no dashboard answers ({error}); is it on, and cabled?")) from None
        self._states = receive(address, RATE_HZ)
        if halted := self.halted:
            raise ConnectionError(f"UR at {address}: {halted}; put that right on the pendant")
        if self.playing:
            raise ConnectionError(f"UR at {address} runs a program: stop it on the pendant")
        self._program = control(address, RATE_HZ)

    # -- what it says of itself --------------------------------------------------------------------------------------

    def news(self) -> bool:
        if not self._states.isConnected():
            raise ConnectionError(f"UR at {self.settings.address}: the connection is lost")
        return bool(self._states.getTimestamp() != self.time_s)

    def state(self, now: float) -> ArmState:
        states = self._states
        self.time_s = states.getTimestamp()
        # Asked before the reason for a halt, which may come in between.
        ended = "" if self.playing else "its program has ended: the watchdog, a pose out of reach, or the pendant"
        return ArmState(
            stamp_s=now,
            T_base_ee=pose_of(states.getActualTCPPose()),
            ee_twist=vector6(states.getActualTCPSpeed()),
            joint_positions_rad=tuple(states.getActualQ()),
            joint_velocities_rad_s=tuple(states.getActualQd()),
            wrench=self.settings.unbiased(vector6(states.getActualTCPForce())),
            gripper_width_m=0.0 if self._hand is None else self._hand.width_m,
            stopped=self.halted or ended,
        )

    @property
    def playing(self) -> bool:
        """A program runs on it."""
        return bool(self._states.getRuntimeState() == _PLAYING)

    @property
    def halted(self) -> str:
        """Why it would run no program; empty where it would."""
        mode = self._states.getSafetyMode()
        if mode in _SAFETY:
            return _SAFETY[mode]
        return "" if self._states.getRobotMode() == _RUNNING else "power off or brakes on"

    # -- its program -------------------------------------------------------------------------------------------------

    def servo(self, pose: Pose) -> None:
        """The controller solves the inverse."""
        settings = self.settings
        # It takes a speed and an acceleration, and uses neither.
        self._program.servoL(vector(pose), 0.5, 0.5, _SERVO_STEP_S, settings.servo_lookahead_s, settings.servo_gain)

    def keep_alive(self) -> None:
        """Any message does. This one overwrites a target that was not read yet."""
        self._program.kickWatchdog()

    def grip(self, width_m: float) -> None:
        if self._hand is not None:
            self._hand.go_to(width_m)

    def restart(self) -> None:
        """Unlock a protective stop, and start the program where none runs. Nothing moves."""
        try:
            if self._states.getSafetyMode() == _PROTECTIVE_STOP:
                self._dashboard.closeSafetyPopup()
                self._dashboard.unlockProtectiveStop()
            if not _comes(lambda: not self.halted):
                raise ConnectionError(
                    f"UR at {self.settings.address} is still stopped ({self.halted}): see its pendant"
                )
            if not self.playing:
                # Registers outlive a program: the last target is taken out, lest the new one goes there.
                self._program.kickWatchdog()
                self._program.reuploadScript()
                # On both connections: each has states of its own.
                if not _comes(lambda: self.playing and self._program.isProgramRunning()):
                    raise ConnectionError(f"UR at {self.settings.address}: its program does not start: see its pendant")
                self.set_up()
        except (RuntimeError, ValueError) as error:
            raise self._said(error) from None

    def set_up(self) -> None:
        """Tell a program that has just started what it does not know yet. Its watchdog, the last of it, bites at once:
        from here on something has to be sent."""
        program, settings = self._program, self.settings
        try:
            done = program.setTcp(vector(self._tool))
            if settings.payload_kg > 0.0:
                done = program.setPayload(settings.payload_kg, list(settings.payload_centre_m)) and done
            program.kickWatchdog()
            done = program.setWatchdog(1.0 / WATCHDOG_S) and done
            program.kickWatchdog()
        except (RuntimeError, ValueError) as error:
            raise self._said(error) from None
        if not done:
            raise ConnectionError(f"UR at {settings.address}: its program takes no tool frame, payload or watchdog")

    def close(self) -> None:
        if self._hand is not None:
            self._hand.close()
        if self._program is not None:
            if self._states.isConnected() and self.playing:
                self._program.servoStop()
                self._program.stopScript()
            self._program.disconnect()
        for connection in (self._states, self._dashboard):
            if connection is not None:
                connection.disconnect()
        self._program = self._states = self._dashboard = self._hand = None

    def _said(self, error: Exception) -> ConnectionError:
        words = " ".join(str(error).split()) or type(error).__name__
        return ConnectionError(f"UR at {self.settings.address}: {words}")


def vector(pose: Pose) -> list[float]:
    """A pose as the controller has it: position, then rotation vector."""
    return [*pose.position_m, *rotvec_from_quat(pose.quat_xyzw)]


def pose_of(numbers: list[float]) -> Pose:
    """The pose of a :func:`vector`."""
    x, y, z, a, b, c = numbers
    return Pose((x, y, z), quat_from_rotvec((a, b, c)))


def _comes(condition: Callable[[], bool]) -> bool:
    deadline_s = time.monotonic() + _START_S
    while not condition() and time.monotonic() < deadline_s:
        time.sleep(_POLL_S)
    return condition()
