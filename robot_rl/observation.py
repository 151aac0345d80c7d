"""What a policy sees of a robot: a vector with a name for every entry, about unit scale, nothing privileged in it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hardware.geometry import pose_delta, quat_inverse, quat_multiply, quat_rotate, rotvec_from_quat
from hardware.interfaces import Pose, Quaternion, RobotObservation, Vector6
from robot_rl.env_options import EnvOptions
from robot_rl.task import TaskSpec

IDENTITY: Quaternion = (0.0, 0.0, 0.0, 1.0)
ROTATION_SCALE_RAD = 0.2
FINE_M, FINE_RAD = 0.005, 0.05
"""Poses appear twice: over the whole workspace, and squashed to ± 1 about the task frame, where millimetres decide."""
LEAD_SCALE_M, LEAD_SCALE_RAD = 0.01, 0.05
FORCE_SCALE_N, TORQUE_SCALE_NM, WRENCH_LIMIT = 10.0, 1.0, 5.0
PRESSES_N = 1.0
"""Force upwards from which on the hand presses: what it carries pulls the other way."""
GRIPPER_SCALE_M = 0.08
COMMANDED_GRIPPER = "commanded_gripper"
"""The observation's entry that says what the gripper was last told: -1 close, +1 open."""
AXES = ("x", "y", "z", "rx", "ry", "rz")
GROUPS = ("pose", "fine_pose", "twist", "wrench", "lead")
"""What the state begins with, each with an entry an axis."""
PLACE = ("_x", "_y", "_z", "_yaw")
"""Endings of the features that tell where a tracked thing is from the hand."""


class Touched:
    """Memory of a search: where the hand has been pressing lately, and for how long.

    A slow average of the pose that goes on only while it presses, so that lifting off forgets nothing; what is touched
    ``ELSEWHERE_M`` away begins anew.
    """

    ELSEWHERE_M, LONG_S = 0.02, 3.0
    names = (*(f"from_touched_{axis}" for axis in AXES), "touched")

    def __init__(self, tau_s: float, control_hz: float):
        self._period_s = 1.0 / control_hz
        self._decay = np.exp(-self._period_s / tau_s)
        self.reset()

    def reset(self) -> None:
        """Nothing was touched yet."""
        self._place: np.ndarray | None = None
        self._pressed_s = 0.0

    def __call__(self, fine: np.ndarray, presses: bool) -> np.ndarray:
        """Pose in fine units (6,) → in ± 1 (7,): how far from where it pressed, zeros where it did not; how long."""
        if self._place is not None and np.abs(fine - self._place)[:3].max() * FINE_M > self.ELSEWHERE_M:
            self.reset()
        if presses:
            before = fine if self._place is None else self._place
            self._place = self._decay * before + (1.0 - self._decay) * fine
            self._pressed_s += self._period_s
        away = np.zeros(6) if self._place is None else np.tanh(fine - self._place)
        return np.append(away, 1.0 - np.exp(-self._pressed_s / self.LONG_S))


class StateVector:
    """Builds the observation's ``"state"``: pose at two scales, twist, wrench, lead of the target, gripper, and slow
    averages of pose and wrench (what a single observation does not tell, such as a hole that is not where it was
    estimated, shows in how the contact felt a moment ago, and in where it was felt for)."""

    def __init__(self, spec: TaskSpec, options: EnvOptions = EnvOptions()):
        """``options`` say which of them; ``spec`` names the task's features that are observed."""
        self.spec, self.previous_action, memory_s = spec, options.previous_action, options.memory_s
        self._decay = np.array([[np.exp(-1.0 / (spec.control_hz * tau))] for tau in memory_s])
        self._memory: np.ndarray | None = None
        self._touched = Touched(options.touched_s, spec.control_hz) if options.touched_s else None
        names = [f"{group}_{axis}" for group in GROUPS for axis in AXES]
        names += [f"previous_action_{axis}" for axis in AXES] if options.previous_action else []
        names += [COMMANDED_GRIPPER, "gripper_width"] if spec.gripper else []
        for tau in memory_s:
            names += [f"{group}_change_{tau:g}s_{axis}" for group in ("pose", "wrench") for axis in AXES]
        names += Touched.names if options.touched_s else []
        things = _tracked(spec.feature_names) if options.fine_tracked else {}
        self._tracked = list(things.values())
        fine = [f"fine_{thing}{entry}" for thing in things for entry in PLACE]
        self.names: tuple[str, ...] = (*names, *spec.feature_names, *fine)

    def reset(self) -> None:
        """Forget the last episode."""
        self._memory = None
        if self._touched is not None:
            self._touched.reset()

    def __call__(
        self,
        observation: RobotObservation,
        origin: Pose,
        axes: Quaternion,
        executed_action: np.ndarray,
        features: np.ndarray,
    ) -> np.ndarray:
        """float32 (len(names),). Positions are relative to ``origin``; twist, wrench and lead are given in ``axes``
        (a rotation of base axes); ``executed_action`` is the previous one."""
        spec, arm = self.spec, observation.arm
        to_origin, to_axes = quat_inverse(origin.quat_xyzw), quat_inverse(axes)
        (x, y, z), (ox, oy, oz) = arm.T_base_ee.position_m, origin.position_m
        position = np.array(quat_rotate(to_origin, (x - ox, y - oy, z - oz)))
        rotation = np.array(rotvec_from_quat(quat_multiply(to_origin, arm.T_base_ee.quat_xyzw)))
        speed = np.repeat([spec.max_step_m * spec.control_hz, spec.max_step_rad * spec.control_hz], 3)
        wrench = np.array(rotate6(to_axes, arm.wrench)) / np.repeat([FORCE_SCALE_N, TORQUE_SCALE_NM], 3)
        wrench = np.clip(wrench, -WRENCH_LIMIT, WRENCH_LIMIT)
        lead = np.array(rotate6(to_axes, pose_delta(arm.T_base_ee, observation.executed.target)))
        fine = np.concatenate([position / FINE_M, rotation / FINE_RAD])
        parts = [
            position / spec.position_scale_m,
            rotation / ROTATION_SCALE_RAD,
            np.tanh(fine),
            np.array(rotate6(to_axes, arm.ee_twist)) / speed,
            wrench,
            lead / np.repeat([LEAD_SCALE_M, LEAD_SCALE_RAD], 3),
        ]
        if self.previous_action:
            parts.append(executed_action[:6])
        if spec.gripper:
            parts.append(np.array([executed_action[6], arm.gripper_width_m / GRIPPER_SCALE_M]))
        if len(self._decay):
            parts.append(np.tanh(self._change(np.concatenate([fine, wrench]))).ravel())
        if self._touched is not None:
            parts.append(self._touched(fine, arm.wrench[2] > PRESSES_N))
        parts.append(features)
        for entries in self._tracked:
            *offset, turn = features[entries]
            place = position + spec.position_scale_m * np.array(offset)
            parts.append(np.tanh([*(place / FINE_M), (rotation[2] + ROTATION_SCALE_RAD * turn) / FINE_RAD]))
        return np.concatenate(parts).astype(np.float32)

    def _change(self, now: np.ndarray) -> np.ndarray:
        """``now`` less its slow averages: (averages, 12)."""
        before = np.tile(now, (len(self._decay), 1)) if self._memory is None else self._memory
        self._memory = self._decay * before + (1.0 - self._decay) * now
        return now - self._memory


def _tracked(names: Sequence[str]) -> dict[str, list[int]]:
    """The things whose place from the hand is among ``names``, and where: ``cube_x``, ``_y``, ``_z``, ``_yaw``."""
    things = [name.removesuffix("_x") for name in names if name.endswith("_x")]
    return {t: [names.index(t + e) for e in PLACE] for t in things if all(t + e in names for e in PLACE)}


def rotate6(quat: Quaternion, vector: Vector6) -> Vector6:
    """Rotate both halves of a twist, wrench or small move into other axes: a rotation, not the twist adjoint, since the
    reference point stays the end effector."""
    if quat == IDENTITY:
        return vector
    x, y, z, rx, ry, rz = vector
    return (*quat_rotate(quat, (x, y, z)), *quat_rotate(quat, (rx, ry, rz)))
