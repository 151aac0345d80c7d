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
SPRING = "20 N at 1000 N/m: bounds the spring force"
STROKE = "a parallel gripper's stroke takes about this"
OUR_CHOICE = "our choice"
TRANSIENT = "under half of the 140 N of ISO/TS 15066:2016, table A.2, for a hand held fast"


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
    command_timeout_periods: float = limit(
        "S2", 1.5, "-", OUR_CHOICE, "No command for this many of the policy's periods is stale: HOLD.", maximum=5.0
    )
    min_command_timeout_s: float = limit(
        "S2", 0.06, "s", OUR_CHOICE, "However fast the policy, its commands are not stale before this.", maximum=0.2
    )
    max_unattended_s: float = limit(
        "S3",
        0.06,
        "s",
        "no later than any arm's driver holds by itself, whose watchdog is 0.1 s at most",
        "A guard that was away longer finds its arm stopped by the arm's controller: it starts again where the arm is.",
        maximum=0.1,
    )
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
    max_lead_m: float = limit("S7", 0.02, "m", SPRING, "Lead of the reference over the measured position.")
    max_lead_rad: float = limit(
        "S7", 0.1, "rad", "as the position's", "Lead of the reference over the measured orientation."
    )
    max_teleop_lead_m: float = limit(
        "S7", 0.02, "m", OUR_CHOICE, "A person's target stays this close to the reference, so that it cannot wind up."
    )
    max_teleop_lead_rad: float = limit("S7", 0.15, "rad", OUR_CHOICE, "The same for orientation.")
    max_force_n: float = limit(
        "S8", 40.0, "N", TRANSIENT, "Measured external force above this for the window: HOLD.", maximum=140.0
    )
    force_window_s: float = limit(
        "S8", 0.05, "s", OUR_CHOICE, "How long it must be exceeded: a knock is not a press.", maximum=0.2
    )
    max_force_to_fault_n: float = limit(
        "S8", 65.0, "N", TRANSIENT, "Measured external force above this, at once: FAULT.", maximum=140.0
    )
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
    stream_before_arm_s: float = limit(
        "S10", 1.0, "s", OUR_CHOICE, "Engaging wants arm, cameras and teleop reader without a gap for this long."
    )
    max_arm_state_age_s: float = limit(
        "S10",
        0.05,
        "s",
        OUR_CHOICE,
        "An older state of the arm: HOLD; all other checks would judge the past.",
        maximum=0.1,
    )
    min_stop_s: float = limit(
        "S11", 0.5, "s", OUR_CHOICE, "Nothing engages or resumes before this long after the last cause of a stop."
    )
    max_recoveries: int = limit(
        "S12", 3, "-", OUR_CHOICE, "This many recoveries of the arm's own errors are granted in the window."
    )
    recovery_window_s: float = limit("S12", 600.0, "s", OUR_CHOICE, "Window in which recoveries are counted.")
    max_teleop_age_s: float = limit(
        "S13", 0.1, "s", OUR_CHOICE, "Heartbeat of the teleop reader older than this: HOLD.", maximum=0.5
    )
    camera_timeout_periods: float = limit(
        "S16", 2.5, "-", OUR_CHOICE, "Newest frame older than this many of the camera's periods: HOLD.", maximum=10.0
    )
    max_camera_age_s: float = limit(
        "S16", 0.2, "s", OUR_CHOICE, "However slow the camera, an older frame: HOLD.", maximum=0.5
    )
    identical_frames: int = limit(
        "S17", 5, "-", OUR_CHOICE, "From this many frames in a row with the same pixels on, the motion below: HOLD."
    )
    max_frozen_motion_m: float = limit(
        "S17", 0.005, "m", OUR_CHOICE, "How far the arm may move while a camera shows the same pixels."
    )
    max_skew_s: float = limit(
        "S18", 0.05, "s", OUR_CHOICE, "An observation whose frames were exposed further apart is dropped.", maximum=0.2
    )
    max_dropped_share: float = limit(
        "S18", 0.05, "-", OUR_CHOICE, "More than this share of the window's observations dropped: HOLD.", maximum=0.5
    )
    dropped_window_s: float = limit("S18", 10.0, "s", OUR_CHOICE, "Window in which they are counted.")
    corrupt_packets_to_hold: int = limit(
        "S21", 10, "-", OUR_CHOICE, "This many unreadable packets in the window: HOLD."
    )
    corrupt_window_s: float = limit("S21", 1.0, "s", OUR_CHOICE, "Window in which they are counted.")
    max_policy_age_s: float = limit("S22", 600.0, "s", OUR_CHOICE, "A policy in training not renewed for longer: HOLD.")
    max_missed_ticks: int = limit(
        "S25", 3, "-", OUR_CHOICE, "More ticks missed in a row than this, or a clock that runs backwards: HOLD."
    )
    min_disk_bytes: float = limit("S26", 5e9, "B", OUR_CHOICE, "Less free disk than this refuses an episode.")
    min_disk_time_s: float = limit(
        "S26", 600.0, "s", OUR_CHOICE, "Free disk for less recording than this refuses an episode."
    )
    max_reset_speed_m_s: float = limit(
        "S27",
        0.15,
        "m/s",
        "below S5: nobody watches a reset",
        "End-effector speed of the reference in reset moves.",
        maximum=1.0,
    )
    max_reset_force_n: float = limit(
        "S27",
        25.0,
        "N",
        "below S8: nobody watches a reset",
        "External force above this for the window of S8 in reset moves: HOLD.",
        maximum=140.0,
    )
    min_gripper_toggle_s: float = limit("S28", 0.5, "s", STROKE, "Time between two changes of the gripper command.")
    max_pushes: int = limit(
        "S29", 10, "-", OUR_CHOICE, "More refusals of S4 and S31 to S33 than this in the window: HOLD."
    )
    push_window_s: float = limit("S29", 5.0, "s", OUR_CHOICE, "Window in which they are counted.")
    push_interval_s: float = limit(
        "S29", 0.1, "s", OUR_CHOICE, "Refusals closer together than this count as one: a stick is refused each tick."
    )
    min_arm_distance_m: float = limit(
        "S30", 0.05, "m", OUR_CHOICE, "Two arms stay this far apart, hands in the handover zone excepted."
    )
    min_joint_margin_rad: float = limit("S31", 0.05, "rad", OUR_CHOICE, "Joints stay this far inside their range.")
    max_joint_speed_share: float = limit(
        "S31", 0.8, "-", OUR_CHOICE, "Share of its rated speed that a joint may be asked for.", maximum=1.0
    )
    min_dexterity: float = limit(
        "S31", 0.15, "-", OUR_CHOICE, "Scaled smallest singular value; speed falls with it from 1 on, to nought here."
    )
    min_clearance_m: float = limit(
        "S32", 0.01, "m", OUR_CHOICE, "The arm, its hand and what it holds stay this far from solids and themselves."
    )
    max_tilt_rad: float = limit(
        "S33", 0.7, "rad", OUR_CHOICE, "Tilt of the tool away from the task's approach.", maximum=3.1416
    )
    reason: str = ""
    """Why a cell has this profile: every profile but ``collaborative`` says so, and it is told at start."""

    def __post_init__(self) -> None:
        if self.max_measured_speed_m_s <= self.max_speed_m_s:
            raise ValueError(
                f"max_measured_speed_m_s is {self.max_measured_speed_m_s:g} m/s; it must exceed max_speed_m_s, "
                f"{self.max_speed_m_s:g} m/s, or ordinary motion faults"
            )
        if self.max_force_to_fault_n <= self.max_force_n:
            raise ValueError(
                f"max_force_to_fault_n is {self.max_force_to_fault_n:g} N; it must exceed max_force_n, "
                f"{self.max_force_n:g} N"
            )


def numbers() -> tuple[dataclasses.Field[Any], ...]:
    """The fields of :class:`Limits` that are limits."""
    return tuple(field for field in dataclasses.fields(Limits) if "id" in field.metadata)
