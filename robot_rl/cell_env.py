"""The environment of a real cell: what ``--cell FILE --task FILE`` make, drivers and guard in this process. Over the
cell's nodes :mod:`robot_rl_nodes.envs` makes the same.

Nothing here knows when a task is done: the person at the teleop device says so by its success and failure buttons, or a
success classifier does. Each episode begins when that person, having put the scene back, presses success; that press
also clears a stop of the guard (S11, S24), so nothing moves before it.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from hardware.cell import Cell, load_cell
from hardware.device_settings import TeleopSettings
from hardware.devices import devices_of, runtime_folder
from hardware.guard_here import guarding_here
from hardware.guard_process import BLACK_BOX, LOCK, locked
from hardware.interfaces import GuardMode, NoTeleop, ResetError, Robot, Source, TeleopDevice
from hardware.local_robot import LocalRobot
from hardware.timekeeping import TickTimes
from robot_rl.cell_live import CellLive
from robot_rl.cell_person import CellPerson
from robot_rl.cell_task import CellTask, Start, TaskFile, load_task
from robot_rl.command import say
from robot_rl.console.broadcast import SOCKET, Broadcast
from robot_rl.env import EnvOptions, RobotEnv

gymnasium.register("RealCell-v0", entry_point="robot_rl.cell_env:make", disable_env_checker=True)


class CellEnv(RobotEnv):
    """A reset that does not arrive is the person's to look at, and ends nothing. Gives the cell back when closed.

    With a guard in this process, ``times`` are its ticks', told at the end, and ``page`` is told what happens.
    ``inference_s`` is all that passed between the newest observation and the action.
    """

    def __init__(
        self,
        held: ExitStack,
        robot: Robot,
        task: CellTask,
        options: EnvOptions,
        render_mode: str | None = None,
        page: Broadcast | None = None,
        times: TickTimes | None = None,
    ) -> None:
        super().__init__(robot, task, options, render_mode)
        self._held, self._times = held, times
        self.running, self.actions, self.inference_s = False, 0, 0.0
        self._helped, self._seen_s = False, 0.0
        self.live = None if page is None else CellLive(self, self, page)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """As :meth:`RobotEnv.reset`, tried again at each press until the arm is at its start."""
        self.running = False
        while True:
            try:
                began = super().reset(seed=seed, options=options)
            except ResetError as refused:
                say(f"not at the start: {refused}")
                continue
            self.running, self._helped, self._seen_s = True, False, self.now()
            return began

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        self.actions, self.inference_s = self.actions + 1, self.now() - self._seen_s
        result = super().step(action)
        _, _, terminated, truncated, info = result
        self._helped, self._seen_s = self._helped or info["source"] == Source.HUMAN, self.now()
        if terminated or truncated:
            self.running = False
            if self.live is not None:
                self.live.finished(info["success"], self._helped)
        return result

    def close(self) -> None:
        self._held.close()
        times = self._times
        if times is not None and times.count and hasattr(self, "seen"):  # Made only to look at, it has nothing to tell.
            worst_ms = times.percentiles()["late_max_ms"]
            say(f"guard: {times.count} ticks, {times.missed} missed, the latest {worst_ms:.1f} ms late")
            times.count = 0


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
        page = Broadcast(place / SOCKET)
        held.callback(page.close)
        person, spec = CellPerson(devices.teleop, devices.clock, page), file.spec
        guarded = guarding_here(
            *(devices.arm, devices.cameras, person, settings, devices.clock),
            limits_profile=spec.limits_profile,
            teleop_speed=spec.teleop_speed,
            black_box=place / BLACK_BOX,
            control_hz=spec.control_hz,
            task=spec.name,
        )
        robot, times = held.enter_context(guarded)
        person.permit, person.hold = partial(_clear_stop, robot), robot.hold
        chosen = EnvOptions(
            cameras=tuple(cameras), image_size=image_size, teleport=False, max_steps=max_steps, **options
        )
        real = CellTask(file, lambda: robot.arm_state.T_base_ee)
        return CellEnv(held.pop_all(), robot, real, chosen, render_mode, page, times)


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
