"""What is uncertain about the twin: some of it can be fitted to recorded episodes, some only tried out on a policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from math import cos, isfinite, sin

import mujoco

from hardware.toml_dataclass import nearest
from sim.drivers import SimClock
from sim.world import World

BOUNDS = {
    "stiffness": (0.2, 3.0),
    "joint_friction_nm": (0.0, 5.0),
    "contact_friction": (0.2, 4.0),
    "delay_s": (0.0, 0.1),
    "clearance_m": (-0.0004, 0.002),
    "light": (0.0, 2.0),
    "camera_shift_m": (-0.1, 0.1),
    "push_n": (0.0, 50.0),
}
"""Between which each parameter makes sense."""
FITTED = ("stiffness", "joint_friction_nm", "contact_friction", "delay_s")
"""Those that an episode's motion tells."""
INSERTED = ("peg", "plug_neck", "plug_ridge", "plug_key")
"""Geoms that go into a hole."""
PUSH_EVERY_S, PUSH_S, PUSH_TURN_RAD = 2.0, 0.2, 2.4


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
    clearance_m: float = 0.0
    """By how much more play the held part has in its hole on each side; it is made so much thinner."""
    light: float = 1.0
    """Of lamp and headlight, as a multiple of the model's."""
    camera_shift_m: float = 0.0
    """Every camera is this far beside its place: the wrist's across the hand, the others along the base's y."""
    push_n: float = 0.0
    """Somebody pushes the hand sideways with this force, for 0.2 s every 2 s, each time from elsewhere."""

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
        """Write them into the model, before drivers look at it; the delay is the arm's driver's. Raises ``ValueError``
        for a clearance where nothing is inserted."""
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
        self._thin(model)
        for lamp in (model.light_diffuse, model.vis.headlight.ambient, model.vis.headlight.diffuse):
            lamp *= self.light
        model.cam_pos[:, 1] += self.camera_shift_m
        world.refresh()

    def _thin(self, model: mujoco.MjModel) -> None:
        if self.clearance_m == 0.0:
            return
        names = {model.geom(i).name.rpartition("/")[2]: i for i in range(model.ngeom)}
        inserted = [names[name] for name in INSERTED if name in names]
        if not inserted:
            raise ValueError(f"the twin's clearance_m is {self.clearance_m:g}, and nothing is inserted in this task")
        model.geom_size[inserted, :2] -= self.clearance_m
        model.geom_rbound[inserted] += max(0.0, -2.0 * self.clearance_m)  # What is thicker is looked for further out.

    def disturb(self, clock: SimClock) -> None:
        """Have the pushes come as ``clock`` goes."""
        if self.push_n == 0.0:
            return
        force = clock.world.data.body("hand").xfrc_applied

        def push(now: float) -> None:
            angle = PUSH_TURN_RAD * round(now / PUSH_EVERY_S)
            force[:2] = self.push_n * cos(angle), self.push_n * sin(angle)

        def let_go(now: float) -> None:
            force[:2] = 0.0

        clock.every(PUSH_EVERY_S, push)
        clock.every(PUSH_EVERY_S, let_go, PUSH_S)

    def changes(self) -> dict[str, float]:
        """Those that are not the twin's own."""
        own = asdict(TwinParameters())
        return {field.name: value for field in fields(self) if (value := getattr(self, field.name)) != own[field.name]}
