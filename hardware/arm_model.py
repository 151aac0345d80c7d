"""What an arm is made of: joints and capsules, read from ``hardware/arm_models/NAME.toml``, the only copy."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from importlib.resources import files
from math import cos, sin
from pathlib import Path

from hardware.interfaces import Pose, Vector3
from hardware.kinematics import Chain, Joint
from hardware.toml_dataclass import ConfigError, from_table, nearest, read_toml

_MODELS = files("hardware") / "arm_models"


@dataclass(frozen=True, slots=True)
class LinkCapsule:
    """A capsule of the arm, in the frame of the link that carries it (m)."""

    part: str
    """What it is called in refusals and in ``meetings``."""
    frame: int
    """0 is the base, i the link behind joint i, ``len(joints) + 1`` the end effector."""
    start_m: Vector3
    end_m: Vector3
    radius_m: float = dataclasses.field(metadata={"minimum": 0.0, "exclusive": True})
    tip: bool = False
    """Fingers: they may touch things inside the task's work zone."""


@dataclass(frozen=True)
class ArmModel:
    """Kinematics and shape of one model of arm, its gripper and what is mounted on it included."""

    name: str
    joints: tuple[Joint, ...]
    tip_position_m: Vector3
    """The end effector in the frame of the last joint's link, and its turn about that frame's z."""
    tip_yaw_rad: float
    capsules: tuple[LinkCapsule, ...]
    meetings: tuple[tuple[str, ...], ...]
    """Pairs of parts that could collide with each other within the joints' ranges."""

    def __post_init__(self) -> None:
        parts = {capsule.part for capsule in self.capsules}
        for capsule in self.capsules:
            if not 0 <= capsule.frame <= len(self.joints) + 1:
                raise ValueError(f"capsule {capsule.part!r} has frame {capsule.frame}; at most {len(self.joints) + 1}")
        for pair in self.meetings:
            if len(pair) != 2 or not parts.issuperset(pair):
                raise ValueError(f"meetings holds {list(pair)}; it needs two of: {', '.join(sorted(parts))}")

    @property
    def ee_frame(self) -> int:
        """Index of the end effector's frame."""
        return len(self.joints) + 1

    @property
    def tip(self) -> Pose:
        """``T_last_ee``: the end effector in the frame of the last joint's link."""
        half = 0.5 * self.tip_yaw_rad
        return Pose(self.tip_position_m, (0.0, 0.0, sin(half), cos(half)))

    def chain(self, mount: Pose) -> Chain:
        """The arm's kinematics, standing at ``mount``."""
        return Chain(self.joints, self.tip, mount)


def model_names() -> list[str]:
    """Arms whose model comes with the package."""
    return sorted(entry.name.removesuffix(".toml") for entry in _MODELS.iterdir() if entry.name.endswith(".toml"))


def load_arm_model(name: str) -> ArmModel:
    """The model called ``name``; raises :class:`ConfigError` naming the nearest, or what its file has wrong."""
    if name not in model_names():
        raise ConfigError(f"no model of an arm {name!r} in hardware/arm_models; {nearest(name, model_names())}")
    path = Path(str(_MODELS / f"{name}.toml"))
    return from_table(ArmModel, read_toml(path), path.name)
