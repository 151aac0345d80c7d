"""The reference generator: what moves smoothly from where the arm is to where it should be (S5, S6).

Translation and rotation are two groups of three axes, planned by ``ruckig`` and sampled tick by tick. Limits are norms,
and an axis knows nothing of its neighbours, so each gets 1/sqrt(3) of them; axes are not synchronised, so each stops as
early as it can: an axis that could stop inside the workspace when it set off still can after any change of target.

Rotation is planned as a rotation vector about an *anchor*, the orientation at engagement. As ``|J(r)| <= 1`` in
``w = J(r) r'``, limits on the vector's motion bound the rotation's.
"""

from __future__ import annotations

from math import cos, pi, sin, sqrt
from typing import NamedTuple

from ruckig import ControlInterface, InputParameter, Ruckig, RuckigError, Synchronization, Trajectory

from hardware.geometry import quat_from_rotvec, quat_inverse, quat_multiply, quat_normalize, rotvec_from_quat
from hardware.interfaces import Quaternion, Vector3
from hardware.limits import Limits

ZERO3: Vector3 = (0.0, 0.0, 0.0)


class Profile(NamedTuple):
    """Per-axis bounds of a group: SI, radians for rotation."""

    speed: float
    acceleration: float
    jerk: float

    def scaled(self, factor: float) -> Profile:
        return Profile(self.speed * factor, self.acceleration * factor, self.jerk * factor)


class Motion(NamedTuple):
    """Position, velocity and acceleration of a group: m or rad (rotation vector) and derivatives."""

    position: Vector3
    velocity: Vector3 = ZERO3
    acceleration: Vector3 = ZERO3


class Track(NamedTuple):
    """A group on its way: the motion now and the trajectory it follows; a trajectory of None is rest."""

    motion: Motion
    target: Vector3
    profile: Profile | None = None
    trajectory: Trajectory | None = None
    elapsed_s: float = 0.0
    braking: bool = False

    @property
    def at_rest(self) -> bool:
        return self.trajectory is None


class Profiles(NamedTuple):
    """The profiles of one group."""

    normal: Profile
    engage: Profile
    reset: Profile
    stop: Profile


LEAST_SPEED = 1e-3
"""Per axis, m/s or rad/s: limits that leave less would have an arm that never moves, without a word why."""


class PlanningError(RuntimeError):
    """No trajectory was found; the one under way, which ends at rest, stays valid."""


class Planner:
    """Plans one group. Holds nothing but scratch space, so it is as good as a pure function."""

    def __init__(self) -> None:
        self._ruckig = Ruckig(3)
        self._follow = InputParameter(3)
        self._brake = InputParameter(3)
        for parameters in (self._follow, self._brake):
            parameters.synchronization = Synchronization.No
            parameters.target_velocity = parameters.target_acceleration = list(ZERO3)
        self._brake.control_interface = ControlInterface.Velocity

    def follow(self, track: Track, target: Vector3, profile: Profile) -> Track:
        """Head for rest at ``target``. A brake under way is finished first, since it may use more deceleration than
        ``profile`` has."""
        if track.braking or (target == track.target and (track.at_rest or profile is track.profile)):
            return track
        self._follow.target_position = target
        return Track(track.motion, target, profile, self._plan(self._follow, track.motion, profile))

    def brake(self, track: Track, profile: Profile) -> Track:
        """Head for rest as soon as possible; ``target`` becomes where that will be."""
        if track.braking or track.trajectory is None:
            return track
        trajectory = self._plan(self._brake, track.motion, profile)
        end = tuple(trajectory.at_time(trajectory.duration)[0])
        return Track(track.motion, end, profile, trajectory, braking=True)

    def _plan(self, parameters: InputParameter, motion: Motion, profile: Profile) -> Trajectory:
        parameters.current_position, parameters.current_velocity, parameters.current_acceleration = motion
        parameters.max_velocity = (profile.speed,) * 3
        parameters.max_acceleration = (profile.acceleration,) * 3
        parameters.max_jerk = (profile.jerk,) * 3
        trajectory = Trajectory(3)
        try:
            result = self._ruckig.calculate(parameters, trajectory)
        except RuckigError as error:
            raise PlanningError(str(error)) from error
        if result < 0:
            raise PlanningError(f"ruckig found no trajectory ({result.name})")
        return trajectory


def advance(track: Track, period_s: float) -> Track:
    """The track one tick later. Ticks, not the clock, move it: a late tick must not become a leap."""
    trajectory = track.trajectory
    if trajectory is None:
        return track
    elapsed = track.elapsed_s + period_s
    if elapsed >= trajectory.duration:
        return Track(Motion(track.target), track.target, track.profile)
    position, velocity, acceleration = trajectory.at_time(elapsed)
    motion = Motion(tuple(position), tuple(velocity), tuple(acceleration))
    return Track(motion, track.target, track.profile, trajectory, elapsed, track.braking)


def stop_distance(speed: float, acceleration: float, profile: Profile) -> float:
    """Signed distance an axis still travels when it brakes now, from ``speed`` and ``acceleration`` (signed, SI)."""
    sign = 1.0
    if speed < 0.0 or (speed == 0.0 and acceleration < 0.0):
        speed, acceleration, sign = -speed, -acceleration, -1.0
    jerk = profile.jerk
    if acceleration == 0.0:
        return sign * _stop_from(speed, profile)
    lead_in = abs(acceleration) / jerk
    # The stop is a trapezium or triangle of deceleration from `top` speed; the present acceleration puts us a lead-in
    # before its beginning, or, when already decelerating, after it.
    rise = 0.5 * acceleration * acceleration / jerk
    top = speed + rise
    if acceleration > 0.0:
        return sign * (speed * lead_in + acceleration * lead_in * lead_in / 3.0 + _stop_from(top, profile))
    if speed <= rise:
        return sign * speed * lead_in  # So little speed that letting go of the brake takes longer: an upper bound.
    return sign * (_stop_from(top, profile) - top * lead_in + jerk * lead_in**3 / 6.0)


def _stop_from(speed: float, profile: Profile) -> float:
    """Distance to rest from a constant ``speed`` >= 0."""
    _, limit, jerk = profile
    if speed * jerk <= limit * limit:
        return speed * sqrt(speed / jerk)
    return 0.5 * speed * (speed / limit + limit / jerk)


def _speed_to_stop_within(distance: float, period_s: float, normal: Profile, stop: Profile) -> float:
    """Greatest per-axis speed at which three axes stop within ``distance`` of where the arm was blocked: the guard sees
    it a tick late and brakes in the next, cruising or at the end of accelerating. Raises ValueError if that is none."""
    rise = normal.acceleration
    low, high = 0.0, normal.speed
    for _ in range(50):
        middle = 0.5 * (low + high)
        rising = max(0.0, middle - 0.5 * rise * rise / normal.jerk)
        braking = max(_stop_from(middle, stop), stop_distance(rising, rise, stop))
        travel = sqrt(3.0) * (braking + 2.0 * middle * period_s)
        low, high = (middle, high) if travel < distance else (low, middle)
    if low < LEAST_SPEED:
        raise ValueError(
            f"no speed is left at which the reference stops within {distance:g} of an arm that is blocked: raise the "
            "limit on the lead, or lower the accelerations (max_lead_*, max_*acceleration_*)"
        )
    return low


def translation_profiles(limits: Limits, period_s: float) -> Profiles:
    """Per-axis bounds of translation. Speed is held below what S7 needs: an arm that is blocked at once must not be led
    by more than ``max_lead_m``."""
    per_axis = 1.0 / sqrt(3.0)
    stop = Profile(
        limits.max_speed_m_s * per_axis,
        limits.max_stop_acceleration_m_s2 * per_axis,
        limits.max_stop_jerk_m_s3 * per_axis,
    )
    normal = Profile(stop.speed, limits.max_acceleration_m_s2 * per_axis, limits.max_jerk_m_s3 * per_axis)
    normal = normal._replace(speed=_speed_to_stop_within(limits.max_lead_m, period_s, normal, stop))
    reset = normal._replace(speed=min(normal.speed, limits.max_reset_speed_m_s * per_axis))
    return Profiles(normal, normal.scaled(limits.engage_scale), reset, stop)


def rotation_profiles(limits: Limits, period_s: float) -> Profiles:
    """Per-axis bounds of the rotation vector, as for translation; a margin pays for what ``J``'s own change adds."""
    speed = limits.max_angular_speed_rad_s
    normal = _rotational(speed, limits.max_angular_acceleration_rad_s2, limits.max_angular_jerk_rad_s3)
    stop = _rotational(speed, limits.max_stop_angular_acceleration_rad_s2, limits.max_stop_angular_jerk_rad_s3)
    normal = normal._replace(speed=_speed_to_stop_within(limits.max_lead_rad, period_s, normal, stop))
    return Profiles(normal, normal.scaled(limits.engage_scale), normal, stop)


def _rotational(speed: float, acceleration: float, jerk: float) -> Profile:
    """Per-axis bounds of the rotation vector that keep the rotation within these norms."""
    # w' = J r'' + J' r', w'' = J r''' + 2 J' r'' + J'' r', with |J| <= 1, |J'| <= |r'|/2, |J''| <= |r''|/2 + |r'|^2/3.
    per_axis = 1.0 / sqrt(3.0)
    jerk -= 1.5 * speed * acceleration + speed**3 / 3.0
    acceleration -= 0.5 * speed**2
    return Profile(speed * per_axis, acceleration * per_axis, jerk * per_axis)


def rotvec_near(quat: Quaternion, anchor: Quaternion, near: Vector3) -> Vector3:
    """Rotation vector of ``quat`` about ``anchor``, base axes, on the turn nearest ``near``: continuous beyond pi."""
    if quat == anchor:  # Exactly, as in `orientation`: the product below would leave a last bit.
        return ZERO3
    x, y, z = rotvec_from_quat(quat_multiply(quat, quat_inverse(anchor)))
    angle = sqrt(x * x + y * y + z * z)
    if angle < 1.0:  # Another turn would be more than pi away from any vector within max_rotation_rad.
        return (x, y, z)
    other = 1.0 - 2.0 * pi / angle
    same_turn = (x - near[0]) ** 2 + (y - near[1]) ** 2 + (z - near[2]) ** 2
    other_turn = (x * other - near[0]) ** 2 + (y * other - near[1]) ** 2 + (z * other - near[2]) ** 2
    return (x, y, z) if same_turn <= other_turn else (x * other, y * other, z * other)


def orientation(rotvec: Vector3, anchor: Quaternion) -> Quaternion:
    """``exp(rotvec) anchor``, the inverse of :func:`rotvec_near`."""
    if rotvec == ZERO3:
        return anchor
    return quat_normalize(quat_multiply(quat_from_rotvec(rotvec), anchor))


def angular_velocity(rotvec: Vector3, rate: Vector3) -> Vector3:
    """``w = J(r) r'`` in base axes, J the left Jacobian of SO(3) (Sola et al., arXiv 1812.01537, eq. 145)."""
    if rate == ZERO3:
        return ZERO3
    x, y, z = rotvec
    u, v, w = rate
    square = x * x + y * y + z * z
    if square < 1e-8:
        a, b = 0.5, 1.0 / 6.0
    else:
        angle = sqrt(square)
        a, b = (1.0 - cos(angle)) / square, (angle - sin(angle)) / (square * angle)
    cx, cy, cz = y * w - z * v, z * u - x * w, x * v - y * u
    return (
        u + a * cx + b * (y * cz - z * cy),
        v + a * cy + b * (z * cx - x * cz),
        w + a * cz + b * (x * cy - y * cx),
    )
