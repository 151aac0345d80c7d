"""Inverse kinematics of the twin's arm, for placing it; while it moves, the impedance controller finds the joints."""

from __future__ import annotations

import mujoco
import numpy as np

from hardware.geometry import quat_normalize, wxyz_from_xyzw
from hardware.interfaces import Pose

READY_JOINTS_RAD = (0.0, 0.2, 0.0, -2.2, 0.0, 2.4, 0.7854)
"""Elbow up, hand down over the table: where solutions are sought, so that like poses get like postures."""
DAMPING = 0.03
POSTURE_GAIN = 0.1
POSITION_TOLERANCE_M = 1e-6
ROTATION_TOLERANCE_RAD = 1e-5
MAX_ITERATIONS = 100


class InverseKinematics:
    """Damped least squares with the null space drawn to :data:`READY_JOINTS_RAD`. Deterministic; 0.1 ms a pose."""

    def __init__(self, model: mujoco.MjModel):
        self._model, self._data = model, mujoco.MjData(model)
        self._site = model.site("ee").id
        joints = len(READY_JOINTS_RAD)
        self._low, self._high = model.jnt_range[:joints].T
        self._jacobian = np.zeros((6, model.nv))
        self._joints = joints

    def __call__(self, pose: Pose) -> np.ndarray:
        """Joint positions (7,), rad, that bring the end effector to ``pose``; ``ValueError`` if it is out of reach."""
        model, data, n = self._model, self._data, self._joints
        ready = np.array(READY_JOINTS_RAD)
        joints = ready.copy()
        error = np.empty(6)
        wanted = np.array(wxyz_from_xyzw(quat_normalize(pose.quat_xyzw)))
        for _ in range(MAX_ITERATIONS):
            data.qpos[:n] = joints
            mujoco.mj_kinematics(model, data)
            mujoco.mj_comPos(model, data)
            self._error(pose, wanted, error)
            if np.abs(error[:3]).max() < POSITION_TOLERANCE_M and np.abs(error[3:]).max() < ROTATION_TOLERANCE_RAD:
                return joints
            mujoco.mj_jacSite(model, data, self._jacobian[:3], self._jacobian[3:], self._site)
            jacobian = self._jacobian[:, :n]
            # Damp only while far: near the solution full Newton steps converge in two or three.
            damping = min(DAMPING, float(np.abs(error).max())) ** 2
            inverse = jacobian.T @ np.linalg.inv(jacobian @ jacobian.T + damping * np.eye(6))
            posture = POSTURE_GAIN * (ready - joints)
            step = inverse @ (error - jacobian @ posture) + posture
            joints = np.clip(joints + np.clip(step, -0.3, 0.3), self._low, self._high)
        raise ValueError(f"the arm cannot reach {tuple(round(x, 3) for x in pose.position_m)} m in this orientation")

    def _error(self, pose: Pose, wanted_wxyz: np.ndarray, out: np.ndarray) -> None:
        """Position and rotation still missing, (6,), base axes."""
        data = self._data
        current, inverse, difference = np.empty(4), np.empty(4), np.empty(4)
        np.subtract(pose.position_m, data.site_xpos[self._site], out=out[:3])
        mujoco.mju_mat2Quat(current, data.site_xmat[self._site])
        mujoco.mju_negQuat(inverse, current)
        mujoco.mju_mulQuat(difference, wanted_wxyz, inverse)
        mujoco.mju_quat2Vel(out[3:], difference, 1.0)
