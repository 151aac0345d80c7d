"""The environment of a real cell: what ``--cell FILE --task FILE`` make, drivers and guard in this process. Over the
cell's nodes :mod:`robot_rl_nodes.envs` makes the same.

Nothing here knows when a task is done: the person at the teleop device says so by its success and failure buttons, or a
success classifier does. Each episode begins when that person, having put the scene back, presses success; that press
also clears a stop of the guard (S11, S24), so nothing moves before it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from hardware.cell import Cell, load_cell
from hardware.device_settings import TeleopSettings
from hardware.devices import devices_of, runtime_folder
from hardware.guard import EngageError
from hardware.guard_process import LOCK, locked
from hardware.interfaces import Clock, GuardMode, NoTeleop, ResetError, TeleopDevice
from hardware.local_robot import LocalRobot
from hardware.teleop.labels import WithLabels
from robot_rl.cell_task import CellTask, Start, TaskFile, load_task
from robot_rl.command import say
from robot_rl.env import EnvOptions, RobotEnv
from robot_rl.stopping import Stopping

_POLL_S = 0.05

gymnasium.register("RealCell-v0", entry_point="robot_rl.cell_env:make", disable_env_checker=True)


class CellPerson(WithLabels):
    """The person at the teleop device, who is the cell's operator too."""

    stopping: Stopping | None = None
    """Of a program that ends where nothing is half done: here."""
    permit: Callable[[], None]
    """What their leave comes to: clears whatever stopped the arm, or raises :class:`hardware.guard.EngageError`."""

    def __init__(self, device: TeleopDevice, clock: Clock) -> None:
        super().__init__(device)
        self._clock = clock

    def rest(self) -> None:
        """Wait until the next episode may begin; a stop of the guard is cleared then. KeyboardInterrupt where the
        program is to end meanwhile."""
        say("put the scene back; success begins the next episode: THE ARM MOVES (Ctrl-C ends here)")
        while True:
            self.forget()
            while self.verdict() != "success":
                if self.stopping is not None and self.stopping.asked:
                    raise KeyboardInterrupt
                self._clock.sleep_until(self._clock.now() + _POLL_S)
            try:
                self.permit()
                return
            except EngageError as refused:
                say(f"not yet: {refused}; then press again")

    def new_episode(self, seed: int) -> None:
        self.forget()
        say("the episode runs; success or failure ends it")


class CellEnv(RobotEnv):
    """A reset that does not arrive is the person's to look at, and ends nothing. Gives the cell back when closed."""

    def __init__(self, held: ExitStack, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._held = held

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """As :meth:`RobotEnv.reset`, tried again at each press until the arm is at its start."""
        while True:
            try:
                return super().reset(seed=seed, options=options)
            except ResetError as refused:
                say(f"not at the start: {refused}")

    def close(self) -> None:
        self._held.close()


def make(
    *,
    cell: str,
    task: str,
    cameras: tuple[str, ...] = (),
    image_size: int = 128,
    max_steps: int | None = None,
    folder: str = "",
    render_mode: str | None = None,
    **options: Any,
) -> RobotEnv:
    """The task of the file ``task`` in the cell of the file ``cell``. ``folder`` has the guard's lock and black box.

    Raises ``ValueError`` for files that make no sense, ``ConnectionError`` naming a device that is not there, and
    :class:`hardware.guard_process.GuardRunningError` where another process guards the arm.
    """
    settings, file = load_cell(cell), load_task(task)
    place = Path(folder) if folder else runtime_folder(settings.name)
    place.mkdir(parents=True, exist_ok=True)
    devices = devices_of(settings, place)
    require(settings, file, devices.teleop, cameras, image_size)
    with ExitStack() as held:
        held.enter_context(locked(place / LOCK))
        devices.connect()
        person, spec = CellPerson(devices.teleop, devices.clock), file.spec
        given = (spec.limits_profile, spec.teleop_speed, place / "black_box", spec.control_hz, spec.name)
        robot = LocalRobot(devices.arm, devices.cameras, person, settings, devices.clock, *given)
        person.permit = partial(_clear_stop, robot)
        held.callback(robot.close)
        held.callback(getattr(devices.clock, "close", lambda: None))  # No tick reads an arm that is closed.
        chosen = EnvOptions(
            cameras=tuple(cameras), image_size=image_size, teleport=False, max_steps=max_steps, **options
        )
        real = CellTask(file, lambda: robot.arm_state.T_base_ee)
        return CellEnv(held.pop_all(), robot, real, chosen, render_mode)


def _clear_stop(robot: LocalRobot) -> None:
    if robot.guard.mode is GuardMode.HOLD:
        robot.resume()
    elif robot.guard.mode is GuardMode.FAULT:
        if robot.arm_state.stopped:
            robot.recover()
        robot.guard.reset()


def require(
    settings: Cell, file: TaskFile, teleop: TeleopDevice, cameras: tuple[str, ...] = (), image_size: int = 128
) -> None:
    """Raise ``ValueError``, one line, where the task cannot be done in this cell by a person at ``teleop``."""
    settings.profile(file.limits_profile)
    _require_sizes(settings, cameras, image_size)
    _require_start(settings, file.start)
    _require_button(settings.teleop)
    if isinstance(teleop, NoTeleop):
        raise ValueError(f"cell {settings.name!r} has no teleop device: nobody could begin an episode or stop the arm")


def _require_start(settings: Cell, start: Start) -> None:
    for side in (-1.0, 1.0):
        x, y, z = (at + side * reach for at, reach in zip(start.position_m, start.range_m, strict=True))
        outside_m = settings.workspace.excess((x, y, z))
        if outside_m > 0.0:
            raise ValueError(
                f"start.position_m with range_m leaves the workspace of cell {settings.name!r} by "
                f"{1e3 * outside_m:.0f} mm: move it, or make range_m smaller"
            )


def _require_button(teleop: TeleopSettings) -> None:
    """Of the devices whose buttons the cell file names."""
    named = {"spacemouse": teleop.buttons, "gamepad": teleop.buttons, "evdev": tuple(teleop.keys.values())}
    does = named.get(teleop.device, ())
    if does and "success" not in (*does, *teleop.pedal_keys.values()):
        raise ValueError(
            f"nothing at the {teleop.device} says success, so no episode could begin: name it in the cell file, as "
            'buttons = ["success", "failure"], or at a pedal'
        )


def _require_sizes(settings: Cell, cameras: tuple[str, ...], image_size: int) -> None:
    for name in cameras:
        if name not in settings.cameras:
            raise ValueError(f"cell {settings.name!r} has no camera '{name}'; there are {', '.join(settings.cameras)}")
        size = settings.cameras[name].width_px, settings.cameras[name].height_px
        if size != (image_size, image_size):
            raise ValueError(
                f"camera '{name}' of cell {settings.name!r} delivers {size[0]} x {size[1]} px, --image-size is "
                f"{image_size}: make width_px and height_px of the cell file the same"
            )
