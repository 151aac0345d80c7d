"""What is uncertain about the twin, and can be fitted to recorded episodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from math import isfinite

from hardware.toml_dataclass import nearest
from sim.world import World

BOUNDS = {
    "stiffness": (0.2, 3.0),
    "joint_friction_nm": (0.0, 5.0),
    "contact_friction": (0.2, 4.0),
    "delay_s": (0.0, 0.1),
}
"""Between which each parameter makes sense."""


@dataclass(frozen=True)
class TwinParameters:
    """The defaults are the twin as it comes."""

    stiffness: float = 1.0
    """Of the impedance, translational and rotational, as a multiple of the model's; its damping ratio stays."""
    joint_friction_nm: float = 0.0
    """Coulomb friction of each joint."""
    contact_friction: float = 1.0
    """Sliding friction of all that touches, as a multiple of the model's."""
    delay_s: float = 0.0
    """By how much the arm is behind its references, beyond what the model has."""

    @staticmethod
    def of(values: Mapping[str, float] | None) -> TwinParameters:
        """Raises ``ValueError`` for an unknown name or a value out of bounds."""
        for name, value in (values or {}).items():
            if name not in BOUNDS:
                raise ValueError(f"the twin has no parameter '{name}'; {nearest(name, BOUNDS)}")
            low, high = BOUNDS[name]
            if not isinstance(value, int | float) or not isfinite(value) or not low <= value <= high:
                raise ValueError(f"the twin's {name} is {value!r}; allowed are {low:g} to {high:g}")
        return TwinParameters(**(values or {}))

    def apply(self, world: World) -> None:
        """Write them into the model, before drivers look at it; the delay is the arm's driver's."""
        model = world.model
        if self == TwinParameters():
            return
        first = model.actuator("impedance_x").id
        gains, biases = model.actuator_gainprm[first : first + 6], model.actuator_biasprm[first : first + 6]
        gains[:, 0] *= self.stiffness
        biases[:, 1] *= self.stiffness
        biases[:, 2] *= self.stiffness**0.5
        joint = int(model.joint("joint1").dofadr[0])
        model.dof_frictionloss[joint : joint + 7] = self.joint_friction_nm
        model.geom_friction[:, 0] *= self.contact_friction
        world.refresh()

    def changes(self) -> dict[str, float]:
        """Those that are not the twin's own."""
        own = asdict(TwinParameters())
        return {field.name: value for field in fields(self) if (value := getattr(self, field.name)) != own[field.name]}
