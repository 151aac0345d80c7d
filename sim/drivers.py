"""The twin's drivers: the same Protocols as a real cell's, over one :class:`sim.world.World`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil
from typing import NamedTuple

import mujoco
import numpy as np

from hardware.geometry import (
    IDENTITY_POSE,
    pose_add,
    pose_inverse,
    pose_multiply,
    quat_inverse,
    quat_normalize,
    quat_rotate,
    wxyz_from_xyzw,
)
from hardware.interfaces import ZERO6, ArmReference, ArmState, Pose, Quaternion, Vector3, Vector6
from sim.camera import SimCamera
from sim.operational_space import OperationalSpace
from sim.world import World

__all__ = ["SimArm", "SimCamera", "SimClock"]

JOINTS, FINGERS = 7, 2
IMPEDANCES = 6
EE_SENSORS = 13
"""Position, orientation and twist of the end effector, one after another."""
MAX_ACCELERATION = 5.0
"""m/s² and rad/s²: a change of the reference beyond this is a jump, not an acceleration."""


class _Periodic(NamedTuple):
    period: int
    phase: int
    call: Callable[[float], None]


class SimClock:
    """Simulated time: :meth:`sleep_until` steps the physics and makes the registered calls between steps.

    The delays are a real cell's: ``delay_s`` adds up to ``jitter_s``, uniformly, drawn from ``rng``.
    """

    def __init__(
        self,
        world: World,
        command_delay_s: float = 0.02,
        camera_delay_s: float = 0.03,
        jitter_s: float = 0.0,
        rng: np.random.Generator | None = None,
    ):
        self.world = world
        self.delays_s = {"command": command_delay_s, "camera": camera_delay_s}
        self.jitter_s = jitter_s
        self.rng = np.random.default_rng(0) if rng is None else rng
        self._periodic: list[_Periodic] = []

    def now(self) -> float:
        """Simulated seconds."""
        return self.world.time_s

    def every(self, period_s: float, call: Callable[[float], None], phase_s: float = 0.0) -> None:
        """Call ``call(now)`` at times ``phase_s`` modulo ``period_s``; both must be whole physics steps."""
        period, phase = self._whole_steps(period_s), self._whole_steps(phase_s)
        if period < 1:
            raise ValueError(f"period {period_s} s is shorter than a physics step ({self.world.timestep_s} s)")
        self._periodic.append(_Periodic(period, phase % period, call))

    def sleep_until(self, deadline_s: float) -> None:
        """Step up to ``deadline_s``, making every call that falls due on the way."""
        world, periodic = self.world, self._periodic
        last = ceil(deadline_s / world.timestep_s - 1e-6)
        while (step := world.steps) < last:
            due = min((step + p.period - (step - p.phase) % p.period for p in periodic), default=last)
            world.step(min(due, last) - step)
            if due <= last:
                now = world.time_s
                for p in periodic:
                    if (due - p.phase) % p.period == 0:
                        p.call(now)

    def delay_s(self, kind: str) -> float:
        """Latency of ``"command"`` or ``"camera"`` now, s."""
        delay = self.delays_s[kind]
        return delay + self.jitter_s * self.rng.random() if self.jitter_s > 0.0 else delay

    def _whole_steps(self, seconds: float) -> int:
        steps = seconds / self.world.timestep_s
        if abs(steps - round(steps)) > 1e-6:
            raise ValueError(f"{seconds} s is not a whole number of physics steps of {self.world.timestep_s} s")
        return round(steps)


class SimArm:
    """An arm and its gripper, under MuJoCo's own Cartesian impedance: six actuators on one site.

    ``prefix`` is what its names in the world begin with, where the world has several arms. It is ``delay_s`` more
    behind its references, to first order: where these were, had they always had the speed they have.
    """

    def __init__(
        self,
        world: World,
        watchdog_s: float = 0.1,
        reference_period_s: float = 0.01,
        prefix: str = "",
        delay_s: float = 0.0,
    ):
        self.world = world
        self._prefix = prefix
        self._watchdog_s = watchdog_s
        model, data = world.model, world.data
        mocap = int(model.body(f"{prefix}target").mocapid[0])
        self._target_position, self._target_quat = data.mocap_pos[mocap], data.mocap_quat[mocap]
        first = model.actuator(f"{prefix}impedance_x").id
        self._ctrl = data.ctrl[first : first + IMPEDANCES]
        gain, damping = model.actuator_gainprm[first : first + 6, 0], -model.actuator_biasprm[first : first + 6, 2]
        self._velocity_gain = (damping / gain).tolist()
        self._dynamics = OperationalSpace(world, f"{prefix}ee")
        self._gain = gain.tolist()
        self._rate_hz, self._max_change = 1.0 / reference_period_s, MAX_ACCELERATION * reference_period_s
        self._twist, self._generation = ZERO6, world.generation
        self._gripper = model.actuator(f"{prefix}gripper").id
        start, joint = int(model.sensor(f"{prefix}ee_position").adr[0]), model.joint(f"{prefix}joint1")
        self._sensors = data.sensordata[start : start + EE_SENSORS]
        first_position, first_velocity = int(joint.qposadr[0]), int(joint.dofadr[0])
        self._positions = data.qpos[first_position : first_position + JOINTS + FINGERS]
        self._velocities = data.qvel[first_velocity : first_velocity + JOINTS]
        self._wrench = world.wrenches[prefix]
        self._tool_weight_n, self._tool_centre = _tool_weight(model, prefix)
        self._ee_offset = tuple((model.site(f"{prefix}ee").pos - model.site(f"{prefix}wrist").pos).tolist())
        mount = world.body_pose(f"{prefix}link0")
        self._mount = None if mount == IDENTITY_POSE else mount
        """``T_world_base``; None where these are the same."""
        # References arrive in stairs; a real controller interpolates at 1 kHz between the last two: on average it is at
        # the middle of the way.
        self._behind_s = 0.5 * reference_period_s + delay_s
        self._patience = round(watchdog_s / world.timestep_s)

    @property
    def watchdog_s(self) -> float:
        """Age of the newest reference beyond which the controller stops the arm."""
        return self._watchdog_s

    def connect(self) -> None:
        """Hold still where the arm is."""
        self.hold()

    def place(self, joint_positions_rad: Sequence[float]) -> None:
        """Put the arm there at rest; call :meth:`World.refresh` and :meth:`hold` once the scene is set."""
        self._positions[:JOINTS], self._velocities[:] = joint_positions_rad, 0.0

    def close(self) -> None:
        """Hold still; the world's renderers go too."""
        self.hold()
        self.world.close()

    def read(self) -> ArmState:
        """The state now. Pose and twist are exact; the wrench is what the filtered wrist sensor says."""
        px, py, pz, qw, qx, qy, qz, *twist = self._sensors.tolist()
        quat = quat_normalize((qx, qy, qz, qw))
        pose, velocity, wrench = Pose((px, py, pz), quat), tuple(twist), self._external_wrench(quat)
        if self._mount is not None:
            to_base = pose_inverse(self._mount)
            pose = pose_multiply(to_base, pose)
            velocity, wrench = (_turned(to_base.quat_xyzw, six) for six in (velocity, wrench))
        *joints, finger1, finger2 = self._positions.tolist()
        return ArmState(
            stamp_s=self.world.time_s,
            T_base_ee=pose,
            ee_twist=velocity,
            joint_positions_rad=tuple(joints),
            joint_velocities_rad_s=tuple(self._velocities.tolist()),
            wrench=wrench,
            gripper_width_m=finger1 + finger2,
        )

    def command(self, reference: ArmReference) -> None:
        """Track ``reference``; without another for ``watchdog_s`` the arm holds."""
        target, twist, world, back_s = reference.T_base_ee, reference.twist, self.world, -self._behind_s
        if self._mount is not None:
            target, twist = pose_multiply(self._mount, target), _turned(self._mount.quat_xyzw, twist)
        vx, vy, vz, wx, wy, wz = twist
        back = (back_s * vx, back_s * vy, back_s * vz, back_s * wx, back_s * wy, back_s * wz)
        self._target_position[:], quat = pose_add(target, back)
        self._target_quat[:] = wxyz_from_xyzw(quat)
        if world.generation != self._generation:  # The arm was placed: what it tracked before is no acceleration.
            self._generation, self._twist = world.generation, twist
        before, self._twist = self._twist, twist
        if twist == before == ZERO6:
            self._ctrl[:] = 0.0
        else:
            limit, rate_hz = self._max_change, self._rate_hz
            acceleration = [rate_hz * min(max(v - u, -limit), limit) for v, u in zip(twist, before, strict=True)]
            x, y, z, rx, ry, rz = (
                0.5 * k * (v + u) + force / gain
                for k, v, u, force, gain in zip(
                    self._velocity_gain, twist, before, self._dynamics.force(acceleration), self._gain, strict=True
                )
            )
            # The actuators act along the axes of the target.
            to_target = quat_inverse(quat)
            self._ctrl[:] = quat_rotate(to_target, (x, y, z)) + quat_rotate(to_target, (rx, ry, rz))
        self.world.data.ctrl[self._gripper] = 0.5 * reference.gripper_width_m
        self.world.set_alarm(self._patience, self.hold, self._prefix)

    def recover(self) -> None:
        """This controller has no errors of its own to clear; it holds still."""
        self.hold()

    def hold(self) -> None:
        """Stay where the arm is and feed nothing forward: what a controller does when its commands stop. The spring
        must not pull a moving arm back to its last reference: that would brake three times as hard, and return."""
        pose = self.world.site_pose(f"{self._prefix}ee")
        self._target_position[:], self._target_quat[:] = pose.position_m, wxyz_from_xyzw(pose.quat_xyzw)
        self._ctrl[:] = 0.0

    def _external_wrench(self, quat: Quaternion) -> Vector6:
        """What acts on the tool, its weight apart: about the end-effector point, in the world's axes."""
        fx, fy, fz, tx, ty, tz = self._wrench.tolist()
        wx, wy, wz = quat_rotate(quat_inverse(quat), (0.0, 0.0, -self._tool_weight_n))
        cx, cy, cz = self._tool_centre
        fx, fy, fz = -fx - wx, -fy - wy, -fz - wz
        tx, ty, tz = -tx - (cy * wz - cz * wy), -ty - (cz * wx - cx * wz), -tz - (cx * wy - cy * wx)
        ox, oy, oz = self._ee_offset
        torque = (tx - (oy * fz - oz * fy), ty - (oz * fx - ox * fz), tz - (ox * fy - oy * fx))
        return quat_rotate(quat, (fx, fy, fz)) + quat_rotate(quat, torque)


def _turned(quat: Quaternion, six: Vector6) -> Vector6:
    """Both halves of ``six`` turned by ``quat``."""
    x, y, z, rx, ry, rz = six
    return quat_rotate(quat, (x, y, z)) + quat_rotate(quat, (rx, ry, rz))


def _tool_weight(model: mujoco.MjModel, prefix: str) -> tuple[float, Vector3]:
    """Weight (N) of the hand and all it carries for good, and its centre of mass in the wrist site's axes."""
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    mujoco.mj_comPos(model, data)
    hand, wrist = model.body(f"{prefix}hand").id, data.site(f"{prefix}wrist")
    centre = wrist.xmat.reshape(3, 3).T @ (data.subtree_com[hand] - wrist.xpos)
    return float(-model.opt.gravity[2] * model.body_subtreemass[hand]), tuple(centre.tolist())
