"""One robot cell: where it is, what is in it and how it is limited. The only copy of such numbers is its TOML file.

A file of several arms has a table ``[arms.NAME]`` for each; what stands outside these holds for all.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from hardware.arm_model import load_arm_model
from hardware.body import Box, Plane
from hardware.device_settings import CameraSettings, ControllerSettings, TeleopSettings
from hardware.interfaces import Vector3
from hardware.limits import Limits
from hardware.posture import ArmBody
from hardware.reference import rotation_profiles, translation_profiles
from hardware.surroundings import Mount, TaskArea
from hardware.toml_dataclass import ConfigError, from_table, nearest, number, read_toml
from hardware.whole_arm import WholeArm

_CELLS = files("hardware") / "cells"
PER_ARM = frozenset(
    {"arm", "cameras", "controller", "devices", "gripper", "home_joint_positions_rad", "mount", "teleop", "workspace"}
)
"""What may differ from arm to arm of a cell. What stands around them, and the limits, may not."""


class CellError(ConfigError):
    """A cell that does not exist or does not make sense; the message is one line for the person who wrote it."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """Box that the end effector may not leave (S4), in the arm's base frame."""

    min_m: Vector3
    max_m: Vector3

    def __post_init__(self) -> None:
        if any(low >= high for low, high in zip(self.min_m, self.max_m, strict=True)):
            raise ValueError(f"min_m {self.min_m} must lie below max_m {self.max_m} on every axis")

    def excess(self, position_m: Vector3) -> float:
        """How far outside the box a position is on its worst axis, m; negative inside."""
        x, y, z = position_m
        low, high = self.min_m, self.max_m
        return max(low[0] - x, x - high[0], low[1] - y, y - high[1], low[2] - z, z - high[2])

    def clip(self, position_m: Vector3, inset_m: float = 0.0) -> Vector3:
        """The nearest position that is ``inset_m`` inside the box."""
        x, y, z = (
            min(max(p, low + inset_m), high - inset_m)
            for p, low, high in zip(position_m, self.min_m, self.max_m, strict=True)
        )
        return x, y, z


@dataclass(frozen=True, slots=True)
class GripperSettings:
    """A parallel gripper: what OPEN and CLOSE mean in finger distance."""

    open_width_m: float = number(0.08, 0.0, 0.5)
    closed_width_m: float = number(0.0, 0.0, 0.5)

    def __post_init__(self) -> None:
        if self.closed_width_m >= self.open_width_m:
            raise ValueError(f"closed_width_m {self.closed_width_m:g} must be below open_width_m {self.open_width_m:g}")


@dataclass(frozen=True)
class Cell:
    """One robot cell. Scalars carry their unit in the name; frames are the arm's base frame."""

    name: str
    arm: str
    """Arm model, the driver's name in ``hardware/arms``."""
    home_joint_positions_rad: tuple[float, ...]
    workspace: Workspace
    devices: str = "hardware.drivers:devices"
    """Who makes the drivers of arm, cameras and teleop, ``module:function`` (:mod:`hardware.devices`); by default those
    that ``arm``, ``cameras`` and ``teleop`` name. A twin has its own."""
    controller: ControllerSettings = field(default_factory=ControllerSettings)
    guard_hz: float = number(100.0, 100.0, 1000.0)
    """Rate of the guard's tick; 100 Hz is the slowest the limits hold at."""
    scripted_operator: bool = False
    """True in a twin: a reset clears HOLD and FAULT by itself. On an arm only a person clears them."""
    gripper: GripperSettings = GripperSettings()
    teleop: TeleopSettings = field(default_factory=TeleopSettings)
    cameras: Mapping[str, CameraSettings] = field(default_factory=dict)
    mount: Mount = field(default_factory=Mount)
    """Where the arm stands in the cell; planes, fixtures and zones are in the cell's frame."""
    planes: Mapping[str, Plane] = field(default_factory=dict)
    """What fills half of space: the table."""
    fixtures: Mapping[str, Box] = field(default_factory=dict)
    """What stands in the cell whatever the task."""
    tasks: Mapping[str, TaskArea] = field(default_factory=dict)
    """What a task adds, by the task's name."""
    handover_zone: Box | None = None
    """Two arms: while both end effectors are inside, the hands may meet (S30)."""
    other_arms: tuple[str, ...] = ()
    """Two arms: names of the others, as :func:`load_cells` finds them in the file. Without their guards beside its own
    none engages (S30)."""
    limits: Mapping[str, Limits] = field(default_factory=dict)
    """Named profiles; ``collaborative``, the default, always exists."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "limits", {"collaborative": Limits(), **self.limits})
        for name, limits in self.limits.items():
            try:
                translation_profiles(limits, self.guard_period_s), rotation_profiles(limits, self.guard_period_s)
            except ValueError as error:
                raise ValueError(f"limits.{name}: {error}") from None

    @property
    def guard_period_s(self) -> float:
        return 1.0 / self.guard_hz

    def profile(self, name: str) -> Limits:
        """The limits called ``name``; raises :class:`CellError` naming the nearest profile."""
        try:
            return self.limits[name]
        except KeyError:
            raise CellError(
                f"cell {self.name!r} has no limits profile {name!r}; {nearest(name, self.limits)}"
            ) from None

    def whole_arm(self, limits_profile: str, task: str = "") -> WholeArm:
        """The arm among what stands around it in ``task``; raises :class:`CellError` for an arm without a model."""
        try:
            model = load_arm_model(self.arm)
        except ConfigError as error:
            raise CellError(f"cell {self.name!r}: {error}") from None
        if len(self.home_joint_positions_rad) not in (0, len(model.joints)):
            raise CellError(
                f"cell {self.name!r}: home_joint_positions_rad has {len(self.home_joint_positions_rad)} entries; "
                f"{self.arm} has {len(model.joints)} joints"
            )
        limits, area = self.profile(limits_profile), self.tasks.get(task, TaskArea())
        body = ArmBody(model, self.mount.pose, area.held, limits)
        return WholeArm(body, {**self.planes, **self.fixtures}, area, self.handover_zone, limits)


def cell_names() -> list[str]:
    """Names of the cells that come with the package."""
    return sorted(entry.name.removesuffix(".toml") for entry in _CELLS.iterdir() if entry.name.endswith(".toml"))


def cell_file(name_or_path: str | Path) -> Path:
    """The file of a cell by packaged name or path; raises :class:`CellError` for what is neither."""
    text = str(name_or_path)
    if text in cell_names():
        return Path(str(_CELLS / f"{text}.toml"))
    if text.endswith(".toml"):
        return Path(text)
    raise CellError(
        f"no cell {text!r}: give the path of a .toml file, or a cell of the package; {nearest(text, cell_names())}"
    )


def load_cell(name_or_path: str | Path, text: str | None = None) -> Cell:
    """Read a cell of one arm by packaged name (``twin``) or by the path of a TOML file; with ``text``, as it was when
    it had that.

    Raises :class:`CellError`, in one line naming the file, for a missing file, bad TOML, an unknown key (with the
    nearest valid one), a value of the wrong type or out of its range, or a file of several arms.
    """
    cells = load_cells(name_or_path, text)
    if len(cells) > 1:
        raise CellError(
            f"cell {str(name_or_path)!r} has the arms {', '.join(cells)}; one arm of several is never driven without "
            "the others' guards beside its own (S30): use load_cells and hardware.neighbours.join"
        )
    return next(iter(cells.values()))


def load_cells(name_or_path: str | Path, text: str | None = None) -> dict[str, Cell]:
    """The cell as each of its arms has it, by the arm's name; an only arm is called "".

    ``text``, and what is raised, as of :func:`load_cell`.
    """
    source = cell_file(name_or_path)
    try:
        shared = read_toml(source, text)
        if "arms" not in shared:
            return {"": from_table(Cell, shared, source.name)}
        return _cells_of_arms(shared, source.name)
    except ConfigError as error:
        raise CellError(str(error)) from None


def _cells_of_arms(shared: dict[str, Any], where: str) -> dict[str, Cell]:
    arms = shared.pop("arms")
    if not isinstance(arms, Mapping) or len(arms) < 2 or not all(isinstance(own, Mapping) for own in arms.values()):
        raise CellError(f"{where}: arms is {arms!r}; it must hold a table for each of two arms or more")
    cells: dict[str, Cell] = {}
    for name, own in arms.items():
        if not name.isidentifier():
            raise CellError(f"{where}: arms.{name}: a name is made of letters, digits and underscores")
        for key in own:
            if key in shared:
                raise CellError(f"{where}: arms.{name}: {key!r} stands outside the arms too; one of them must go")
            if key not in PER_ARM:
                raise CellError(f"{where}: arms.{name}: {key!r} is not an arm's own; {nearest(key, PER_ARM)}")
        cell = from_table(Cell, {**shared, **own}, f"{where}: arms.{name}")
        twin = next((other for other in cells if cells[other].mount == cell.mount), None)
        if twin is not None:
            raise CellError(f"{where}: arms {twin} and {name} stand in the same place; give each its mount")
        others = tuple(other for other in arms if other != name)
        cells[name] = dataclasses.replace(cell, name=f"{cell.name}.{name}", other_arms=others)
    return cells
