"""The twin's drivers: the same Protocols as a real cell's, over one :class:`sim.world.World`."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from difflib import get_close_matches
from math import ceil
from typing import NamedTuple

import mujoco
import numpy as np

from hardware.geometry import quat_inverse, quat_normalize, quat_rotate, wxyz_from_xyzw, xyzw_from_wxyz
from hardware.interfaces import ZERO6, ArmReference, ArmState, CameraFrame, Pose, Quaternion, Vector3, Vector6
from sim.world import World

JOINTS = 7
IMPEDANCES = 6
APPARENT_INERTIA = (10.0, 5.5, 8.0, 0.5, 0.5, 0.1)
"""kg and kg m²: the arm at its end effector over the table, base axes (the diagonal of its operational-space inertia). Fed
forward with the reference's acceleration, so that starts and stops are followed too."""
MAX_ACCELERATION = 5.0
"""m/s² and rad/s²: a change of the reference beyond this is a jump, not an acceleration."""
CAPTURE_PERIOD_S = 0.01
"""How finely a twin camera's age can be set; a frame is drawn only when it is read."""
MAX_DELAY_S = 0.5
"""The longest camera delay that can be set."""


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
    """The arm and gripper of a world, under MuJoCo's own Cartesian impedance (six actuators on the end-effector site)."""

    def __init__(self, world: World, watchdog_s: float = 0.1, reference_period_s: float = 0.01):
        self.world = world
        self._watchdog_s = watchdog_s
        model, data = world.model, world.data
        mocap = int(model.body("target").mocapid[0])
        self._target_position, self._target_quat = data.mocap_pos[mocap], data.mocap_quat[mocap]
        first = model.actuator("impedance_x").id
        self._ctrl = data.ctrl[first : first + IMPEDANCES]
        gain, damping = model.actuator_gainprm[first : first + 6, 0], -model.actuator_biasprm[first : first + 6, 2]
        self._velocity_gain = (damping / gain).tolist()
        self._acceleration_gain = (np.array(APPARENT_INERTIA) / (gain * reference_period_s)).tolist()
        self._max_change = [MAX_ACCELERATION * reference_period_s] * IMPEDANCES
        self._twist, self._generation = ZERO6, world.generation
        self._gripper = model.actuator("gripper").id
        self._sensors = data.sensordata[6 : 6 + 13]
        self._wrench = data.userdata[:6]
        self._tool_weight_n, self._tool_centre = _tool_weight(model)
        self._ee_offset = tuple((model.site("ee").pos - model.site("wrist").pos).tolist())
        # References arrive in stairs; a real controller interpolates them at 1 kHz. The mean of that is half a stair ahead.
        self._lead_s = 0.5 * reference_period_s
        self._patience = round(watchdog_s / world.timestep_s)

    @property
    def watchdog_s(self) -> float:
        """Age of the newest reference beyond which the controller stops the arm."""
        return self._watchdog_s

    def connect(self) -> None:
        """Hold still where the arm is."""
        pose = self.world.site_pose("ee")
        self._target_position[:], self._target_quat[:] = pose.position_m, wxyz_from_xyzw(pose.quat_xyzw)
        self.hold()

    def close(self) -> None:
        """Hold still; the world's renderers go too."""
        self.hold()
        self.world.close()

    def read(self) -> ArmState:
        """The state now. Pose and twist are exact; the wrench is what the filtered wrist sensor says."""
        px, py, pz, qw, qx, qy, qz, *twist = self._sensors.tolist()
        quat = quat_normalize((qx, qy, qz, qw))
        data = self.world.data
        *joints, finger1, finger2 = data.qpos[: JOINTS + 2].tolist()
        return ArmState(
            stamp_s=self.world.time_s,
            T_base_ee=Pose((px, py, pz), quat),
            ee_twist=tuple(twist),
            joint_positions_rad=tuple(joints),
            joint_velocities_rad_s=tuple(data.qvel[:JOINTS].tolist()),
            wrench=self._external_wrench(quat),
            gripper_width_m=finger1 + finger2,
        )

    def command(self, reference: ArmReference) -> None:
        """Track ``reference``; without another for ``watchdog_s`` the target freezes."""
        (x, y, z), quat = reference.T_base_ee
        twist, world = reference.twist, self.world
        vx, vy, vz = twist[:3]
        lead = self._lead_s
        self._target_position[:] = (x + lead * vx, y + lead * vy, z + lead * vz)
        self._target_quat[:] = wxyz_from_xyzw(quat)
        if world.generation != self._generation:  # The arm was placed: what it tracked before is no acceleration.
            self._generation, self._twist = world.generation, twist
        before, self._twist = self._twist, twist
        if twist == before == ZERO6:
            self._ctrl[:] = 0.0
        else:
            x, y, z, rx, ry, rz = (
                k * v + m * min(max(v - u, -limit), limit)
                for k, m, limit, v, u in zip(
                    self._velocity_gain, self._acceleration_gain, self._max_change, twist, before, strict=True
                )
            )
            # The actuators act along the axes of the target.
            to_target = quat_inverse(quat)
            self._ctrl[:] = quat_rotate(to_target, (x, y, z)) + quat_rotate(to_target, (rx, ry, rz))
        self.world.data.ctrl[self._gripper] = 0.5 * reference.gripper_width_m
        self.world.set_alarm(self._patience, self.hold)

    def hold(self) -> None:
        """Freeze the target where it is and feed nothing forward: what a controller does when its commands stop."""
        self._ctrl[:] = 0.0

    def _external_wrench(self, quat: Quaternion) -> Vector6:
        """What acts on the tool: less its weight, what the wrist has to hold; about the end-effector point, base axes."""
        fx, fy, fz, tx, ty, tz = self._wrench.tolist()
        wx, wy, wz = quat_rotate(quat_inverse(quat), (0.0, 0.0, -self._tool_weight_n))
        cx, cy, cz = self._tool_centre
        fx, fy, fz = -fx - wx, -fy - wy, -fz - wz
        tx, ty, tz = -tx - (cy * wz - cz * wy), -ty - (cz * wx - cx * wz), -tz - (cx * wy - cy * wx)
        ox, oy, oz = self._ee_offset
        torque = (tx - (oy * fz - oz * fy), ty - (oz * fx - ox * fz), tz - (ox * fy - oy * fx))
        return quat_rotate(quat, (fx, fy, fz)) + quat_rotate(quat, torque)


def _tool_weight(model: mujoco.MjModel) -> tuple[float, Vector3]:
    """Weight (N) of the hand and all it carries for good, and its centre of mass in the wrist site's axes."""
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    mujoco.mj_comPos(model, data)
    hand, wrist = model.body("hand").id, data.site("wrist")
    centre = wrist.xmat.reshape(3, 3).T @ (data.subtree_com[hand] - wrist.xpos)
    return float(-model.opt.gravity[2] * model.body_subtreemass[hand]), tuple(centre.tolist())


class _Capture(NamedTuple):
    step: int
    qpos: np.ndarray
    mocap_pos: np.ndarray
    mocap_quat: np.ndarray


class SimCamera:
    """A named camera of a world. Every 10 ms it notes where everything is; a frame is drawn when it is read, as the
    scene was one camera delay ago. So frames that nobody looks at cost nothing."""

    def __init__(self, world: World, name: str, size: int, clock: SimClock):
        self.world, self.name, self.size, self.clock = world, name, size, clock
        known = [world.model.camera(i).name for i in range(world.model.ncam)]
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise ValueError(f"no camera {name!r} in this scene; {hint}it has {', '.join(known)}")
        self._scratch = mujoco.MjData(world.model)
        self._captures: deque[_Capture] = deque(maxlen=ceil(MAX_DELAY_S / CAPTURE_PERIOD_S))
        self._generation = -1
        self._drawn: tuple[int, int, CameraFrame] | None = None
        clock.every(CAPTURE_PERIOD_S, self._capture)

    def connect(self) -> None:
        """Draw once, so that a missing renderer is found before an episode; raises ``RendererUnavailable``."""
        self.world.render(self.name, self.size, self.size)

    def close(self) -> None:
        """Nothing of its own to free: the world owns the renderers."""

    def read_latest(self, max_age_s: float) -> CameraFrame:
        """The newest frame that a camera of this delay would have delivered; ``TimeoutError`` if it is too old."""
        world = self.world
        if self._generation != world.generation:
            self._capture(world.time_s)
        newest = world.steps - self.clock.delay_s("camera") / world.timestep_s + 1e-6
        chosen = self._captures[0]  # Just after a reset no capture is old enough: the oldest since then must do.
        for capture in self._captures:
            if capture.step > newest:
                break
            chosen = capture
        frame = self._draw(chosen)
        if world.time_s - frame.stamp_s > max_age_s:
            raise TimeoutError(
                f"camera {self.name!r}: newest frame is {world.time_s - frame.stamp_s:.3f} s old, {max_age_s:g} s allowed"
            )
        return frame

    def _capture(self, now: float) -> None:
        world = self.world
        if self._generation != world.generation:
            self._captures.clear()
            self._generation = world.generation
        data = world.data
        self._captures.append(_Capture(world.steps, data.qpos.copy(), data.mocap_pos.copy(), data.mocap_quat.copy()))

    def _draw(self, capture: _Capture) -> CameraFrame:
        key = (self._generation, capture.step)
        if self._drawn is not None and self._drawn[:2] == key:
            return self._drawn[2]
        scratch, model = self._scratch, self.world.model
        scratch.qpos[:] = capture.qpos
        scratch.mocap_pos[:], scratch.mocap_quat[:] = capture.mocap_pos, capture.mocap_quat
        mujoco.mj_kinematics(model, scratch)
        mujoco.mj_camlight(model, scratch)
        image = self.world.render(self.name, self.size, self.size, scratch)
        frame = CameraFrame(capture.step * self.world.timestep_s, capture.step, image)
        self._drawn = (*key, frame)
        return frame
