"""Ways to be over a limit that a watchdog watches: what the guard sees then. Limits are read from :class:`Limits`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import sqrt
from typing import Any

from hardware.camera_health import CameraHealth
from hardware.cell import Workspace
from hardware.checks import CHECKS, Check
from hardware.fakes import POINTING_DOWN, shifted
from hardware.guard_inputs import DiskHealth, GuardInputs
from hardware.limits import Limits

LIMITS = Limits()
BOX = Workspace((-1.0, -1.0, -1.0), (1.0, 1.0, 1.0))
AXES = [(1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, 1.0), (0.6, 0.0, -0.8), (1 / sqrt(3.0),) * 3]


@dataclass(frozen=True)
class Case:
    """One way to be over a limit."""

    name: str
    says: str
    """The beginning of what the check says."""
    see: Callable[[GuardInputs, float, float], GuardInputs]
    """(inputs, now, value) -> the inputs in which that is what is limited."""
    limit: float = 0.0
    """0 where there is only yes (1) and no (-1)."""
    drivers: tuple[str, ...] = ("nobody", "policy", "person")
    exact: bool = True
    """The limit itself can be hit, to the last bit."""

    @property
    def check(self) -> Check:
        (check,) = (check for check in CHECKS if check.says.startswith(self.says))
        return check

    @property
    def persist_s(self) -> float:
        return self.check.persist_s(LIMITS) if self.check.persist_s else 0.0

    def over(self, share: float) -> float:
        """The value that is over the limit by a share of it."""
        return self.limit * (1.0 + share) if self.limit else share


def arm(name: str, value: Callable[[float, float], Any]) -> Callable[[GuardInputs, float, float], GuardInputs]:
    """The arm reports ``value(now, value)``."""
    return lambda inputs, now, x: inputs._replace(arm=replace(inputs.arm, **{name: value(now, x)}))


def person(name: str, value: Callable[[float, float], Any]) -> Callable[[GuardInputs, float, float], GuardInputs]:
    return lambda inputs, now, x: inputs._replace(teleop=replace(inputs.teleop, **{name: value(now, x)}))


def camera(period_s: float, **health: Callable[[float, float], Any]) -> Callable[..., GuardInputs]:
    """A camera of which this is known, beside one that is well."""
    well = CameraHealth("well", 1.0 / 30.0, 0.0)

    def see(inputs: GuardInputs, now: float, x: float) -> GuardInputs:
        ill = CameraHealth("ill", period_s, now)._replace(**{name: value(now, x) for name, value in health.items()})
        return inputs._replace(cameras=(well._replace(stamp_s=now), ill, well._replace(stamp_s=now)))

    return see


def along(direction: tuple[float, ...], x: float) -> tuple[float, ...]:
    return (*(x * d for d in direction), 9.0, 9.0, 9.0)


FAST_S, SLOW_S = LIMITS.camera_timeout_periods / 30.0, LIMITS.max_camera_age_s
FACES = [(sign, axis) for axis in range(3) for sign in (-1.0, 1.0)]
CASES = [
    *(
        Case(
            f"outside face {sign:g} {axis}",
            "the arm is measured outside",
            arm(
                "T_base_ee",
                lambda now, x, sign=sign, axis=axis: shifted(
                    POINTING_DOWN._replace(position_m=(0.0, 0.0, 0.0)),
                    tuple(sign * (1.0 + x) * (i == axis) for i in range(3)),
                ),
            ),
            LIMITS.max_workspace_excess_m,
        )
        for sign, axis in FACES
    ),
    *(
        Case(
            f"{name} along {axis}",
            says,
            arm(field, lambda now, x, axis=axis: along(axis, x)),
            limit,
            drivers,
            1.0 in map(abs, axis),
        )
        for axis in AXES
        for name, says, field, limit, drivers in (
            ("speed", "the arm moves too fast", "ee_twist", LIMITS.max_measured_speed_m_s, Case.drivers),
            ("force", "the arm presses", "wrench", LIMITS.max_force_n, Case.drivers),
            ("hit", "the arm hit", "wrench", LIMITS.max_force_to_fault_n, Case.drivers),
            ("reset force", "a reset presses", "wrench", LIMITS.max_reset_force_n, ("reset",)),
        )
    ),
    Case("old arm", "the state of the arm", arm("stamp_s", lambda now, x: now - x), LIMITS.max_arm_state_age_s),
    Case("future arm", "the state of the arm", arm("stamp_s", lambda now, x: now + x), LIMITS.max_arm_state_age_s),
    Case("stopped arm", "the arm's own", arm("stopped", lambda now, x: "reflex" if x > 0 else "")),
    Case("old reader", "the reader", person("heartbeat_s", lambda now, x: now - x), LIMITS.max_teleop_age_s),
    Case("future reader", "the reader", person("heartbeat_s", lambda now, x: now + x), LIMITS.max_teleop_age_s),
    Case("switch released", "the enable switch", person("enabled", lambda now, x: x <= 0)),
    Case("no switch", "the enable switch", person("enabled", lambda now, x: None if x > 0 else True)),
    Case("old frame, fast", "a camera's newest", camera(1 / 30, stamp_s=lambda now, x: now - x), FAST_S),
    Case("old frame, slow", "a camera's newest", camera(0.5, stamp_s=lambda now, x: now - x), SLOW_S),
    Case("future frame", "a camera's newest", camera(0.5, stamp_s=lambda now, x: now + x), SLOW_S),
    *(
        Case(
            f"frozen frame, {more} more",
            "a camera shows",
            camera(1 / 30, repeats=lambda now, x, more=more: LIMITS.identical_frames + more, moved_m=lambda now, x: x),
            LIMITS.max_frozen_motion_m,
        )
        for more in (0, 1, 1000)
    ),
    Case(
        "frames in a row",
        "a camera shows",
        camera(1 / 30, repeats=lambda now, x: LIMITS.identical_frames - (x <= 0), moved_m=lambda now, x: 1.005),
    ),
    Case(
        "old policy",
        "the policy has not",
        lambda inputs, now, x: inputs._replace(link=inputs.link._replace(policy_age_s=x)),
        LIMITS.max_policy_age_s,
        drivers=("policy",),
    ),
    Case(
        "failed disk",
        "the recording",
        lambda inputs, now, x: inputs._replace(disk=DiskHealth(1e12, failed=x > 0)),
    ),
]
