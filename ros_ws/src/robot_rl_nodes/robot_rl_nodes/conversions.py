"""Between what passes an arm's guard and ROS messages. Pure; what cannot be read raises ``ValueError``.

Numbers are float64 on the way and come out bit for bit. Whether they make sense is the guard's to judge: a NaN passes.
Messages of devices and for people's tools are in :mod:`robot_rl_nodes.standard_messages`.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from builtin_interfaces.msg import Time
from sensor_msgs.msg import JointState

from hardware.interfaces import (
    ArmCommand,
    ArmReference,
    ArmState,
    ExecutedCommand,
    Gripper,
    GuardMode,
    Pose,
    Refusal,
    ResetPlan,
    Source,
)

_POSE = ("x", "y", "z", "qx", "qy", "qz", "qw")
_TWIST = ("vx", "vy", "vz", "wx", "wy", "wz")
_REFUSAL, _REASON, _STOPPED = "refusal.", "reason.", "arm.stopped."
_NANO = 1_000_000_000


class Tick(NamedTuple):
    """All that a tick of the guard measured and executed."""

    arm: ArmState
    executed: ExecutedCommand
    session: int


class Proposal(NamedTuple):
    """A command as it travels to the guard."""

    command: ArmCommand
    actor: int
    """Identity of the proposing process's life (S24)."""
    skew_s: float | None
    """Skew of the observation that it answers (S18); None without cameras."""


def to_time(stamp_s: float) -> Time:
    """Rounded to nanoseconds."""
    sec, nanosec = divmod(round(stamp_s * 1e9), _NANO)
    return Time(sec=sec, nanosec=nanosec)


def from_time(stamp: Time) -> float:
    """Seconds."""
    return float(stamp.sec + stamp.nanosec / 1e9)


# -- named numbers ---------------------------------------------------------------------------------------------------


def to_numbers(stamp_s: float, names: Iterable[str], values: Iterable[float]) -> JointState:
    """``JointState`` of ``names`` and ``values``."""
    message = JointState(name=list(names), position=array("d", values))
    message.header.stamp = to_time(stamp_s)
    return message


def from_numbers(message: JointState) -> dict[str, float]:
    """By name."""
    if len(message.name) != len(message.position):
        raise ValueError(f"{len(message.name)} names for {len(message.position)} numbers")
    return dict(zip(message.name, message.position, strict=True))


def read(numbers: Mapping[str, float], names: Iterable[str]) -> tuple[Any, ...]:
    """The numbers called ``names``, as a tuple (of the length that the caller asks for)."""
    try:
        return tuple([numbers[name] for name in names])
    except KeyError as missing:
        raise ValueError(f"{missing.args[0]!r} is missing") from None


def whole(number: float) -> int:
    if number != number or number in (float("inf"), -float("inf")) or number != int(number):
        raise ValueError(f"{number!r} is no whole number")
    return int(number)


@lru_cache(maxsize=64)
def _under(prefix: str, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{prefix}.{name}" for name in names)


def _pose(numbers: Mapping[str, float], prefix: str) -> Pose:
    seven = read(numbers, _under(prefix, _POSE))
    return Pose(seven[:3], seven[3:])


@lru_cache(maxsize=8)
def _tick_names(joints: int) -> tuple[str, ...]:
    per_joint = tuple(str(i + 1) for i in range(joints))
    return (
        *("arm.stamp_s", "arm.gripper_width_m", *_under("arm.ee", _POSE), *_under("arm.ee", _TWIST)),
        *(*_under("arm.wrench", _TWIST), *_under("arm.joint", per_joint), *_under("arm.joint_rate", per_joint)),
        *("session", "stamp_s", "gripper", "source", "mode", *_under("target", _POSE)),
        *(*_under("reference", _POSE), *_under("reference", _TWIST), "reference.gripper_width_m"),
    )


def to_tick(tick: Tick) -> JointState:
    """A tick as named numbers; each refusal adds one, and so does each reason, which is all name."""
    arm, executed, session = tick
    target, reference = executed.target, executed.reference
    names = list(_tick_names(len(arm.joint_positions_rad)))
    values = [
        *(arm.stamp_s, arm.gripper_width_m, *arm.T_base_ee.position_m, *arm.T_base_ee.quat_xyzw, *arm.ee_twist),
        *(*arm.wrench, *arm.joint_positions_rad, *arm.joint_velocities_rad_s),
        *(session, executed.stamp_s, executed.gripper, executed.source, executed.mode),
        *(*target.position_m, *target.quat_xyzw, *reference.T_base_ee.position_m, *reference.T_base_ee.quat_xyzw),
        *(*reference.twist, reference.gripper_width_m),
    ]
    for refusal in executed.refusals:
        names += [f"{_REFUSAL}{refusal.limit}.{int(refusal.source)}"]
        values += [refusal.amount]
    for kind, words in ((_REASON, executed.reason), (_STOPPED, arm.stopped)):
        if words:
            names += [kind + words]
            values += [0.0]
    return to_numbers(executed.stamp_s, names, values)


def from_tick(message: JointState) -> Tick:
    """What :func:`to_tick` was given, less the pose that the policy had proposed."""
    numbers = from_numbers(message)
    joints = sum(name.startswith("arm.joint.") for name in numbers)
    values = read(numbers, _tick_names(joints))
    arm = ArmState(
        stamp_s=values[0],
        gripper_width_m=values[1],
        T_base_ee=Pose(values[2:5], values[5:9]),
        ee_twist=values[9:15],
        wrench=values[15:21],
        joint_positions_rad=values[21 : 21 + joints],
        joint_velocities_rad_s=values[21 + joints : 21 + 2 * joints],
        stopped=_words(numbers, _STOPPED),
    )
    values = values[21 + 2 * joints :]
    executed = ExecutedCommand(
        stamp_s=values[1],
        gripper=Gripper(whole(values[2])),
        source=Source(whole(values[3])),
        mode=GuardMode(whole(values[4])),
        target=Pose(values[5:8], values[8:12]),
        reference=ArmReference(Pose(values[12:15], values[15:19]), values[19:25], values[25]),
        reason=_words(numbers, _REASON),
        refusals=tuple(_refusal(name, numbers[name]) for name in numbers if name.startswith(_REFUSAL)),
    )
    return Tick(arm, executed, whole(values[0]))


def _words(numbers: Mapping[str, float], kind: str) -> str:
    return next((name.removeprefix(kind) for name in numbers if name.startswith(kind)), "")


def _refusal(name: str, amount: float) -> Refusal:
    limit, _, source = name.removeprefix(_REFUSAL).rpartition(".")
    return Refusal(limit, amount, Source(int(source)))


def to_proposal(stamp_s: float, proposal: Proposal) -> JointState:
    """A command as named numbers."""
    command, actor, skew_s = proposal
    names = ["gripper", "sequence", "session", "actor", *_under("target", _POSE)]
    values: list[float] = [command.gripper, command.sequence, command.session, actor]
    values += [*command.T_base_ee.position_m, *command.T_base_ee.quat_xyzw]
    if skew_s is not None:
        names, values = [*names, "skew_s"], [*values, skew_s]
    return to_numbers(stamp_s, names, values)


def from_proposal(message: JointState) -> Proposal:
    """What :func:`to_proposal` was given."""
    numbers = from_numbers(message)
    gripper, sequence, session, actor = map(whole, read(numbers, ("gripper", "sequence", "session", "actor")))
    command = ArmCommand(_pose(numbers, "target"), Gripper(gripper), sequence, session)
    return Proposal(command, actor, numbers.get("skew_s"))


def to_plan(stamp_s: float, plan: ResetPlan, request: int) -> JointState:
    """A reset plan as named numbers, ``request`` for its outcome to name; what teleports is not told."""
    names = ["request", "gripper", "position_tolerance_m", "rotation_tolerance_rad", "timeout_s"]
    values: list[float] = [
        request,
        plan.gripper,
        plan.position_tolerance_m,
        plan.rotation_tolerance_rad,
        plan.timeout_s,
    ]
    for index, pose in enumerate((*plan.waypoints, plan.start)):
        names += _under(f"pose{index}", _POSE)
        values += [*pose.position_m, *pose.quat_xyzw]
    return to_numbers(stamp_s, names, values)


def from_plan(message: JointState) -> tuple[ResetPlan, int]:
    """What :func:`to_plan` was given."""
    numbers = from_numbers(message)
    fixed = ("request", "gripper", "position_tolerance_m", "rotation_tolerance_rad", "timeout_s")
    request, gripper, *tolerances = read(numbers, fixed)
    count = (len(numbers) - len(fixed)) // len(_POSE)
    *waypoints, start = [_pose(numbers, f"pose{index}") for index in range(max(1, count))]
    return ResetPlan(start, Gripper(whole(gripper)), tuple(waypoints), None, *tolerances), whole(request)
