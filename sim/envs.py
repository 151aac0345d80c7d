"""The twin put together: world, drivers, guard, person and environment. What ``gymnasium.make("sim:...")`` calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hardware.cell import Cell, load_cell
from hardware.interfaces import NoTeleop, TeleopDevice
from hardware.local_robot import LocalRobot
from hardware.toml_dataclass import nearest
from robot_rl.env import EnvOptions, RobotEnv
from sim.drivers import SimArm, SimCamera, SimClock
from sim.parameters import TwinParameters
from sim.takeover import ValueDrop
from sim.tasks import make_task
from sim.tasks.base import TwinTask

if TYPE_CHECKING:
    from sim.reference_value import ReferenceValue

VALUE = "value:"


def make(
    task: str,
    *,
    person: str | None = None,
    takeover: Any = "watchful",
    person_seed: int = 0,
    cameras: tuple[str, ...] = (),
    image_size: int = 128,
    reset: Literal["teleport", "scripted"] = "teleport",
    command_delay_s: float = 0.02,
    camera_delay_s: float = 0.03,
    jitter_s: float = 0.0,
    max_steps: int | None = None,
    cell: str = "twin",
    meshes: str | None = None,
    twin: Mapping[str, float] | None = None,
    render_mode: str | None = None,
    **options: Any,
) -> RobotEnv:
    """A task of the twin as an environment.

    ``person`` (``expert``, ``intermediate``, ``novice``, or a person's ``.toml`` file) sits at the teleop device and
    takes over by the rule ``takeover``, a name, ``value:RUN`` (the critic of that run sees its value fall) or a rule;
    ``person_seed`` makes them an individual. ``cameras`` names views of the scene that become observations. ``reset``
    places the arm or moves it through the guard. The delays, and up to ``jitter_s`` more each time, are the clock's.
    ``twin`` has what :class:`sim.parameters.TwinParameters` has: fitted, or to see what a policy bears. ``meshes``
    names a robot of ``mujoco-menagerie`` to draw the arm as. ``options`` go to :class:`robot_rl.env.EnvOptions`. Raises
    ``ValueError`` for an unknown name.
    """
    known = {field.name for field in fields(EnvOptions)}
    for name in options.keys() - known:
        raise ValueError(f"the twin has no option '{name}'; {nearest(name, known | set(make.__kwdefaults__ or ()))}")
    scene, parameters = make_task(task, meshes=meshes), TwinParameters.of(twin)
    parameters.apply(scene.world)
    clock = SimClock(scene.world, command_delay_s, camera_delay_s, jitter_s, np.random.default_rng(0))
    parameters.disturb(clock)
    reference = _reference(takeover)
    rule = takeover if reference is None else ValueDrop(reference)
    device = NoTeleop() if person is None else _person(scene, person, rule, person_seed)
    robot = guarded(scene, clock, device, load_cell(cell), cameras, image_size, parameters.delay_s)
    env_options = EnvOptions(
        cameras=tuple(cameras), image_size=image_size, teleport=reset == "teleport", max_steps=max_steps, **options
    )
    env = RobotEnv(robot, scene, env_options, render_mode)
    if reference is not None:
        reference.watch(env)
    return env


def guarded(
    task: TwinTask,
    clock: SimClock,
    device: TeleopDevice,
    cell: Cell,
    cameras: tuple[str, ...] = (),
    image_size: int = 128,
    delay_s: float = 0.0,
) -> LocalRobot:
    """The drivers of one world behind the guard; the arm is ``delay_s`` more behind its references."""
    spec, world = task.spec, task.world
    arm = SimArm(world, reference_period_s=cell.guard_period_s, delay_s=delay_s)
    views = {name: SimCamera(world, name, image_size, clock) for name in cameras}
    arm.connect()
    for view in views.values():
        view.connect()
    given = (spec.limits_profile, spec.teleop_speed)
    return LocalRobot(arm, views, device, cell, clock, *given, control_hz=spec.control_hz, task=spec.name)


def _reference(takeover: Any) -> ReferenceValue | None:
    """The critic that ``takeover`` names, if it names one."""
    if not isinstance(takeover, str) or not takeover.startswith(VALUE):
        return None
    from sim.reference_value import ReferenceValue

    return ReferenceValue(takeover.removeprefix(VALUE))


def _person(task: TwinTask, level: str, takeover: Any, seed: int) -> TeleopDevice:
    from sim.scripted_human import ScriptedHuman

    return ScriptedHuman.of_level(task, level, takeover, seed)
