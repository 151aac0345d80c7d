"""The numbers the guard enforces: the one place where a limit stands.

Ids (S1, S4, ...) are those of ``docs/safety.md``, which says what each means and how it is tested; a test keeps the two
in step. Norms are Euclidean over three axes unless said otherwise.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from math import inf
from typing import Any

REDUCED_SPEED = "ISO 10218-1:2011, reduced speed of a tool centre point near people"
GENTLE = "our choice, far below what libfranka lets the arm do"
ABOVE_SPEED = "our choice: a fifth above max_speed_m_s"
OUR_CHOICE = "our choice"


def limit(
    id: str, default: float, unit: str, source: str, sentence: str, minimum: float = 0.0, maximum: float = inf
) -> Any:
    """A field that carries what the documentation and the range check need: ``minimum < value <= maximum``."""
    metadata = {
        "id": id,
        "unit": unit,
        "source": source,
        "sentence": sentence,
        "minimum": minimum,
        "maximum": maximum,
        "exclusive": True,
    }
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True)
class Limits:
    """One profile of limits; the defaults are the ``collaborative`` profile. Each field documents itself."""

    quat_norm_tolerance: float = limit(
        "S1",
        0.01,
        "-",
        OUR_CHOICE,
        "A commanded quaternion's length may differ from 1 by this; within it is normalised.",
        maximum=0.1,
    )
    bad_commands_to_fault: int = limit(
        "S1", 3, "-", OUR_CHOICE, "This many non-finite or malformed commands in the window latch FAULT."
    )
    bad_command_window_s: float = limit("S1", 10.0, "s", OUR_CHOICE, "Window in which bad commands are counted.")
    max_workspace_excess_m: float = limit(
        "S4", 0.005, "m", OUR_CHOICE, "Measured further outside the workspace box than this, on any axis: FAULT."
    )
    max_speed_m_s: float = limit("S5", 0.25, "m/s", REDUCED_SPEED, "End-effector speed of the reference.", maximum=1.7)
    max_measured_speed_m_s: float = limit(
        "S5", 0.30, "m/s", ABOVE_SPEED, "Measured end-effector speed above this for the window: FAULT.", maximum=2.0
    )
    measured_speed_window_s: float = limit(
        "S5", 0.02, "s", OUR_CHOICE, "How long the measured speed must be exceeded: one noisy sample is not motion."
    )
    max_acceleration_m_s2: float = limit("S6", 1.0, "m/s^2", GENTLE, "Acceleration of the reference.", maximum=13.0)
    max_jerk_m_s3: float = limit("S6", 20.0, "m/s^3", GENTLE, "Jerk of the reference.", maximum=6500.0)
    max_stop_acceleration_m_s2: float = limit(
        "S6", 2.0, "m/s^2", GENTLE, "Deceleration of a controlled stop (HOLD, S7).", maximum=13.0
    )
    max_stop_jerk_m_s3: float = limit("S6", 40.0, "m/s^3", GENTLE, "Jerk of a controlled stop.", maximum=6500.0)
    max_angular_speed_rad_s: float = limit("S6", 0.75, "rad/s", GENTLE, "Angular speed of the reference.", maximum=2.5)
    max_angular_acceleration_rad_s2: float = limit(
        "S6", 3.0, "rad/s^2", GENTLE, "Angular acceleration of the reference.", maximum=25.0
    )
    max_angular_jerk_rad_s3: float = limit(
        "S6", 60.0, "rad/s^3", GENTLE, "Angular jerk of the reference.", maximum=12500.0
    )
    max_stop_angular_acceleration_rad_s2: float = limit(
        "S6", 6.0, "rad/s^2", GENTLE, "Angular deceleration of a controlled stop (HOLD, S7).", maximum=25.0
    )
    max_stop_angular_jerk_rad_s3: float = limit(
        "S6", 120.0, "rad/s^3", GENTLE, "Angular jerk of a controlled stop.", maximum=12500.0
    )
    max_rotation_rad: float = limit(
        "S6",
        3.0,
        "rad",
        "below pi, where a rotation vector turns round",
        "Rotation of a target away from the orientation at engagement.",
        maximum=3.1,
    )
    max_lead_m: float = limit(
        "S7",
        0.02,
        "m",
        "20 N at 1000 N/m: bounds the spring force",
        "Lead of the reference over the measured position.",
    )
    max_lead_rad: float = limit(
        "S7", 0.1, "rad", "as the position's", "Lead of the reference over the measured orientation."
    )
    max_teleop_lead_m: float = limit(
        "S7", 0.02, "m", OUR_CHOICE, "A person's target stays this close to the reference, so that it cannot wind up."
    )
    max_teleop_lead_rad: float = limit("S7", 0.15, "rad", OUR_CHOICE, "The same for orientation.")
    engage_scale: float = limit(
        "S9",
        0.5,
        "-",
        OUR_CHOICE,
        "Speed, acceleration and jerk of the first moments after engaging are scaled by this.",
        maximum=1.0,
    )
    engage_time_s: float = limit("S9", 0.1, "s", OUR_CHOICE, "How long after engaging the scale applies.")
    max_engage_mismatch_m: float = limit(
        "S9", 0.05, "m", OUR_CHOICE, "Resuming is refused when the arm was moved further than this from the reference."
    )
    max_engage_mismatch_rad: float = limit("S9", 0.8, "rad", OUR_CHOICE, "The same for orientation.")
    max_reset_speed_m_s: float = limit(
        "S27",
        0.15,
        "m/s",
        "below S5: nobody watches a reset",
        "End-effector speed of the reference in reset moves.",
        maximum=1.0,
    )
    min_gripper_toggle_s: float = limit(
        "S28",
        0.5,
        "s",
        "a parallel gripper's stroke takes about this",
        "Time between two changes of the gripper command.",
    )

    def __post_init__(self) -> None:
        if self.max_measured_speed_m_s <= self.max_speed_m_s:
            raise ValueError(
                f"max_measured_speed_m_s is {self.max_measured_speed_m_s:g} m/s; it must exceed max_speed_m_s, "
                f"{self.max_speed_m_s:g} m/s, or ordinary motion faults"
            )
