"""The scripted person of the twin at a real cell: sees where the arm is, drives as people do, presses the buttons.

Time here is the controller's own: franky-sim is slower than the clock on the wall where the machine is busy, and an arm
whose seconds are longer than the guard's would be too fast for it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import dist
from pathlib import Path

import numpy as np

from hardware.arms.franka import FrankaArm
from hardware.cell import Cell
from hardware.devices import Devices
from hardware.interfaces import Arm, Gripper, TeleopSample, Vector3, Vector6
from sim.scripted_human import ScriptedHuman
from tests.hardware.arms.rig import SimulatorClock

PLACE_M: Vector3 = (0.46, 0.02, 0.12)
NEAR_M = 0.008
_FAR_M = 0.15
_FULL_M = 0.03
"""From here on the hand deflects fully."""
_SCENE_S, _PRESS_S, _AGAIN_S = 1.0, 0.2, 4.0
"""How long putting the scene back takes, a press lasts, and the person waits before the next."""


class Place:
    """Implements :class:`sim.scripted_human.Guided`: the fingertips are to come to :data:`PLACE_M`."""

    def __init__(self, arm: Arm) -> None:
        self._arm = arm

    @property
    def remaining_m(self) -> float:
        return dist(self._arm.read().T_base_ee.position_m, PLACE_M)

    def guide(self, now: float) -> tuple[Vector6, Gripper]:
        way = np.subtract(PLACE_M, self._arm.read().T_base_ee.position_m) / _FULL_M
        x, y, z = (way / max(1.0, float(np.abs(way).max()))).tolist()
        return (x, y, z, 0.0, 0.0, 0.0), Gripper.HOLD

    def progress(self) -> float:
        return 1.0 - self.remaining_m / _FAR_M

    def in_funnel(self) -> bool:
        return True


class PersonAtTheArm(ScriptedHuman):
    """Presses success at the place, and between episodes once the scene is put back."""

    task: Place
    _resting_s: float | None = None

    def rest(self) -> None:
        super().rest()
        self._resting, self._resting_s = True, None

    def new_episode(self, seed: int) -> None:
        super().new_episode(seed)
        self._resting = False

    def read(self, now: float) -> TeleopSample:
        return replace(super().read(now), success=self._wants_to_begin(now) if self._resting else self._is_there())

    def _wants_to_begin(self, now: float) -> bool:
        self._resting_s = now if self._resting_s is None else self._resting_s
        waited_s = now - self._resting_s - _SCENE_S
        return waited_s >= 0.0 and waited_s % _AGAIN_S < _PRESS_S

    def _is_there(self) -> bool:
        return self.task.remaining_m < NEAR_M


def showing(cell: Cell, folder: Path) -> Devices:
    """The person drives from start to end."""
    return _with_person(cell, folder, "always")


def watching(cell: Cell, folder: Path) -> Devices:
    """The person takes over where nothing moves on."""
    return _with_person(cell, folder, "no_progress")


def judging(cell: Cell, folder: Path) -> Devices:
    """The person keeps the hands off, and says what succeeded."""
    return _with_person(cell, folder, "never")


@dataclass(frozen=True)
class InItsTime(Devices):
    """Time passes as the arm's controller has it, from when it is connected."""

    arm: FrankaArm
    clock: SimulatorClock

    def connect(self) -> None:
        super().connect()
        self.clock.follow(self.arm)


def _with_person(cell: Cell, folder: Path, rule: str) -> Devices:
    clock = SimulatorClock()
    arm = FrankaArm(cell, clock)
    person = PersonAtTheArm.of_level(Place(arm), "expert", rule)
    person.rest()
    return InItsTime(arm, person, {}, clock)
