"""The arm while its cell is set up: moved by hand, with the teleop device, or by words typed; always by the guard."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from math import radians
from statistics import fmean, pstdev

from hardware.body import Capsule
from hardware.cell import Cell, Workspace
from hardware.clock import RealClock
from hardware.device_settings import AXES
from hardware.devices import Devices
from hardware.geometry import pose_add, pose_multiply
from hardware.guard_here import guarding_here
from hardware.interfaces import (
    Gripper,
    GuardMode,
    NoTeleop,
    Pose,
    ResetError,
    ResetPlan,
    TeleopDevice,
    Vector3,
    Vector6,
)
from hardware.local_robot import LocalRobot
from hardware.questions import say
from hardware.toml_dataclass import nearest

WORDS = (*AXES, "open", "close", "drive", "free", "clear")
HELP = (
    "Move the arm by hand, or type: `x 50` (y, z; mm along the base's axes), `yaw 10` (roll, pitch; degrees), `open`, "
    "`close`, `drive` (the teleop device moves it), `free` (the arm is let go of), `clear` (after a stop)."
)
FARTHEST_MM, FARTHEST_DEG = 200.0, 45.0
_TELEOP_SPEED = (0.04, 0.3)
EVERYWHERE = Workspace((-1.5,) * 3, (1.5,) * 3)
"""The guard's box while the true one is not known yet; table and arm itself stay guarded by shape."""
_MEASURE_S, _SAMPLES = 1.0, 50


class ArmInHand:
    """A robot's arm, obeying words."""

    def __init__(self, robot: LocalRobot) -> None:
        self.robot = robot

    @property
    def position_m(self) -> Vector3:
        """Of the end effector, base frame."""
        return self.robot.arm.read().T_base_ee.position_m

    @property
    def joint_positions_rad(self) -> tuple[float, ...]:
        return self.robot.arm.read().joint_positions_rad

    def obey(self, words: str) -> None:
        """Do what ``words`` say (:data:`HELP`). Raises ``ValueError`` for what is none of them and for what the guard
        refuses."""
        word, _, amount = words.partition(" ")
        if word not in WORDS:
            raise ValueError(f"no word {word!r}; {nearest(word, WORDS)}")
        if word == "drive" and isinstance(self.robot.teleop, NoTeleop):
            raise ValueError("there is no teleop device to drive with; move it by hand or by words")
        here = self.robot.arm.read().T_base_ee
        if word in AXES:
            self.go_to(pose_add(here, _jog(word, amount)))
        elif word in ("open", "close"):
            self.go_to(here, Gripper.OPEN if word == "open" else Gripper.CLOSE)
        elif word == "drive":
            self.go_to(here)
        elif word == "free":
            self.robot.guard.disarm()
        else:
            self.robot.guard.reset()
        at = ", ".join(f"{value:.3f}" for value in self.position_m)
        mode = self.robot.guard.mode  # On a busy machine the guard may stop even an arm at rest (S25).
        stopped = f" ({self.robot.guard.reason}; `clear`, then on)" if mode >= GuardMode.HOLD else ""
        say(f"  {mode.name}{stopped}, end effector at {at} m")

    def wrench_at_rest(self) -> tuple[Vector6, float]:
        """Mean of what the arm feels in a second, and the greatest deviation of a force in it, N."""
        clock, felt = self.robot.clock, []
        for _ in range(_SAMPLES):
            clock.sleep_until(clock.now() + _MEASURE_S / _SAMPLES)
            felt.append(self.robot.arm.read().wrench)
        columns = list(zip(*felt, strict=True))
        a, b, c, d, e, f = (fmean(column) for column in columns)
        return (a, b, c, d, e, f), max(pstdev(column) for column in columns[:3])

    def go_to(self, goal: Pose, gripper: Gripper = Gripper.HOLD) -> None:
        """Move there, as slowly as a reset does, and stay engaged. Raises ``ValueError`` for what the guard refuses."""
        try:
            self.robot.reset(ResetPlan(goal, gripper))
        except ResetError as refused:
            how = "; `clear`, then on" if self.robot.guard.mode >= GuardMode.HOLD else ""
            raise ValueError(f"{refused}{how}") from None


def _jog(axis: str, amount: str) -> Vector6:
    """What ``axis`` and ``amount`` (mm, degrees) move the hand by."""
    try:
        value = float(amount)
    except ValueError:
        raise ValueError(f"{axis} {amount!r}: how far, in mm (turns in degrees)? As `{axis} 20`") from None
    turning = AXES.index(axis) >= 3
    farthest, unit = (FARTHEST_DEG, "degrees") if turning else (FARTHEST_MM, "mm")
    if not abs(value) <= farthest:  # Written so that a NaN is refused.
        raise ValueError(f"{axis} {amount}: at most {farthest:g} {unit} at a time")
    x, y, z, roll, pitch, yaw = (float(name == axis) * (radians(value) if turning else 0.001 * value) for name in AXES)
    return x, y, z, roll, pitch, yaw


@contextmanager
def arm_in_hand(cell: Cell, devices: Devices) -> Iterator[ArmInHand]:
    """The arm of ``cell``, not engaged yet. Raises ``ConnectionError`` where it is not there; a teleop device that is
    not is done without, and so is a keyboard: its strokes are words here."""
    teleop: TeleopDevice = NoTeleop() if cell.teleop.device in ("keyboard", "evdev") else devices.teleop
    try:
        teleop.connect()
    except ConnectionError as error:
        say(f"  without the teleop device: {error}")
        teleop = NoTeleop()
    try:
        devices.arm.connect()
    except ConnectionError:
        teleop.close()
        raise
    how = {"teleop_speed": _TELEOP_SPEED, "control_hz": None}
    with guarding_here(devices.arm, {}, teleop, replace(cell, cameras={}), RealClock(), **how) as (robot, _):
        _require_free(cell, robot.arm.read().T_base_ee)
        yield ArmInHand(robot)


def _require_free(cell: Cell, T_base_ee: Pose) -> None:
    """Raises ``ValueError`` where a plane is said to lie over the hand: the guard would refuse every way out, and not
    say why."""
    at = pose_multiply(cell.mount.pose, T_base_ee).position_m
    for name, plane in cell.planes.items():
        behind_m = -plane.distance(Capsule(at, at, 0.0))
        if behind_m > 0.0:
            raise ValueError(
                f"the fingertips are {behind_m:.2f} m behind the plane {name!r}: correct its offset_m (a table's: the "
                "height of its top over the arm's base)"
            )
