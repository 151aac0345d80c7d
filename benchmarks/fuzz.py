"""``make fuzz``: a million inputs, most of them wrong, against the guard's core. A leak is an error, not a figure.

Commands that are NaN, infinite, huge, of wrong shapes and types, duplicated, shuffled, of old and future sessions; arms
and teleop devices that report nonsense; clocks that jump; an operator who presses everything. After every tick:

* nothing was raised but ``EngageError``, and that only to the operator;
* what goes to the arm is finite, of unit quaternion, inside the box, within the stop profile's speed, acceleration and
  jerk, and from the sound arm's position no further than the lead limit;
* the policy's target moved only where a sound command of this session with a newer number arrived (an oracle of its own
  keeps the count);
* HOLD and FAULT are left only when the operator says so.
"""

from __future__ import annotations

import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from math import inf, isfinite, nan, sqrt
from typing import Any

import numpy as np
import tyro

from benchmarks.page import put
from hardware.cell import load_cell
from hardware.fakes import FakeArm, FakeClock
from hardware.geometry import pose_add
from hardware.guard import EngageError, Guard
from hardware.interfaces import ArmCommand, ArmState, ExecutedCommand, Gripper, GuardMode, Pose, Source, TeleopSample

ODD_NUMBERS: tuple[Any, ...] = (
    *(nan, inf, -inf, 1e308, -1e308, 5e-324, -0.0, 10**400, True),
    *("0.1", None, 1j, [0.1], (), b"1", np.float32(0.4), np.float64(nan), np.array([1.0, 2.0]), object()),
)
ODD_POSES: tuple[Any, ...] = (
    *(None, (), 7, "pose", {}, (1.0, 2.0), [[0.4, 0.0], [0.0, 0.0, 0.0, 1.0]], ((0.4, 0.0, 0.2), None)),
    *(((0.4, 0.0, 0.2), (0.0, 0.0, 0.0)), ((0.4, 0.0, 0.2, 0.1), (0.0, 0.0, 0.0, 1.0)), np.zeros((2, 3)), np.zeros(7)),
    ((0.4, 0.0, 0.2), (0.0, 0.0, 0.0, 0.0)),
    ((0.4, 0.0, 0.2), (0.5, 0.5, 0.5, 0.6)),
    (np.array([0.4, 0.0, 0.2]), np.array([0.0, 0.0, 0.0, nan])),
)
SLACK = 1e-6
CALM_TICKS = 200
"""How long a mood lasts: nonsense all the time would keep the guard in FAULT, where little can go wrong."""
MOODS = (0.0, 0.0, 0.003, 0.03, 1.0)
"""Shares of nonsense among what is sent and measured."""


class LeakError(AssertionError):
    """Something passed the guard that must not; the message has the seed that repeats it."""


@dataclass
class Tally:
    """What was tried and the worst that came of it; SI."""

    inputs: int = 0
    ticks: int = 0
    stops: int = 0
    driven_ticks: int = 0
    """In which the guard ran: it must not be safe by standing still."""
    worst: dict[str, float] = field(default_factory=dict)

    def note(self, name: str, value: float) -> None:
        if value > self.worst.get(name, 0.0):
            self.worst[name] = value


class Fuzzer:
    """One guard, one arm, one generator of nonsense."""

    def __init__(self, seed: int):
        self.seed, self.rng, self.tally = seed, np.random.default_rng([seed, 77]), Tally()
        self.clock = FakeClock()
        self.arm = FakeArm(self.clock, lag_s=0.005)
        cell = replace(load_cell("twin"), arm="fake", home_joint_positions_rad=())
        self.guard, self.box, self.period_s = Guard(cell), cell.workspace, cell.guard_period_s
        self.limits = self.guard.settings.limits
        self.session, self.newest = self.guard.session, -1
        """The oracle's: the session, and the greatest number of a sound command that arrived in it."""
        self.pending: list[tuple[float, ArmCommand]] = []
        self.sent: list[ArmCommand] = []
        self.numbers = 0
        self.mood = 0.0
        self._twists: list[tuple[float, ...]] = []
        self._before: ExecutedCommand | None = None
        self._operated = True

    def run(self, inputs: int) -> Tally:
        """Tick until ``inputs`` were tried; raises :class:`LeakError`."""
        while self.tally.inputs < inputs:
            try:
                self._tick()
            except LeakError:
                raise
            except Exception as error:
                raise self._leak(f"raised {type(error).__name__}: {error}") from error
        return self.tally

    # -- nonsense ----------------------------------------------------------------------------------------------------

    def _pick(self, choices: tuple[Any, ...]) -> Any:
        return choices[int(self.rng.integers(len(choices)))]

    def _pose(self) -> Any:
        """Sound as often as the mood has it; in the worst, one time in two."""
        kind = self.rng.random()
        if self.rng.random() >= self.mood or kind < 0.5:
            step = (0.02, 0.1) if kind < 0.8 else (2.0, 3.0)
            delta = self.rng.uniform(-1.0, 1.0, 6) * np.repeat(step, 3)
            return pose_add(self.guard.state.target.pose, tuple(delta.tolist()))
        if kind < 0.6:
            return self._pick(ODD_POSES)
        numbers: list[Any] = [*self.guard.state.target.pose.position_m, 0.0, 0.0, 0.0, 1.0]
        for _ in range(int(self.rng.integers(1, 4))):
            odd = self._pick(ODD_NUMBERS) if self.rng.random() < 0.6 else float(10.0 ** self.rng.uniform(-5, 308))
            numbers[int(self.rng.integers(7))] = odd
        return Pose(tuple(numbers[:3]), tuple(numbers[3:]))  # type: ignore[arg-type]

    def _command(self) -> ArmCommand:
        kind = self.rng.random()
        if (
            kind < 0.15 and self.sent and self.rng.random() < max(self.mood, 0.05)
        ):  # A duplicate, or a replay of long ago.
            return self.sent[int(self.rng.integers(len(self.sent)))]
        self.numbers += int(self.rng.integers(0, 3))
        number = self.numbers if kind < 0.85 else int(self.rng.integers(-5, self.numbers + 2))
        session = self.session if kind < 0.9 else int(self.session + self.rng.integers(-3, 4))
        odd = self.rng.random() < 0.3 * self.mood
        gripper = self._pick((5, nan, None, "open", [1]) if odd else tuple(Gripper))
        command = ArmCommand(self._pose(), gripper, number, session)
        if len(self.sent) < 1000:
            self.sent.append(command)
        else:
            self.sent[int(self.rng.integers(1000))] = command
        return command

    def _state(self) -> ArmState:
        state = self.arm.read()
        if self.rng.random() < 0.02 * self.mood:
            number = self._pick((nan, inf, -inf, 1e308))
            which = int(self.rng.integers(4))
            position = (number, *state.T_base_ee.position_m[1:])
            return (
                replace(state, T_base_ee=Pose(position, state.T_base_ee.quat_xyzw)),
                replace(state, ee_twist=(number, *state.ee_twist[1:])),
                replace(state, gripper_width_m=number),
                replace(state, stamp_s=state.stamp_s + float(self.rng.uniform(-3600.0, 3600.0))),
            )[which]
        return state

    def _sample(self, now: float) -> TeleopSample:
        if self.rng.random() < 0.97:
            return TeleopSample(now)
        twist = [float(t) for t in self.rng.uniform(-2.0, 2.0, 6)]
        if self.rng.random() < 0.3 * self.mood:
            twist[int(self.rng.integers(6))] = self._pick((nan, inf, 1e308))
        stamp = now if self.rng.random() >= 0.3 * self.mood else now + float(self.rng.uniform(-3600.0, 3600.0))
        return TeleopSample(stamp, tuple(twist), bool(self.rng.random() < 0.8), self._pick(tuple(Gripper)))  # type: ignore[arg-type]

    def _operate(self, now: float) -> None:
        """The operator presses something; only ``EngageError`` may come of it."""
        guard, kind, state = self.guard, self.rng.random(), self._state()
        self._operated = True
        try:
            if guard.mode is GuardMode.DISARMED or kind < 0.3:
                guard.engage(state, now, self._pick(tuple(Gripper)))
            elif kind < 0.7:
                guard.resume(state, now)
            elif kind < 0.8 or guard.mode is GuardMode.FAULT:
                guard.reset()
            elif kind < 0.9:
                guard.begin_session(resetting=bool(self.rng.random() < 0.3))
            else:
                guard.hold()
        except EngageError:
            pass
        if guard.session != self.session:
            self.session, self.newest = guard.session, -1
            self.pending.clear()

    # -- one tick, and its judge ---------------------------------------------------------------------------------------

    def _tick(self) -> None:
        rng, clock = self.rng, self.clock
        if self.tally.ticks % CALM_TICKS == 0:
            self.mood = self._pick(MOODS)
        passed_s = self.period_s if rng.random() >= 0.01 * self.mood else float(rng.uniform(0.0, 3600.0))
        clock.time_s += passed_s
        now = clock.now()
        if passed_s > self.limits.max_unattended_s:  # The arm's own watchdog stopped it: the guard starts anew (S3).
            self._twists.clear()
        self.arm.blocked = rng.random() < 0.005 or (self.arm.blocked and rng.random() < 0.9)
        stopped = self.guard.mode >= GuardMode.HOLD or self.guard.mode is GuardMode.DISARMED
        if rng.random() < (0.1 if stopped else 0.002):
            self._operate(now)
            self.tally.inputs += 1
        burst = 1000 if rng.random() < 1e-4 else int(rng.integers(0, 4)) if rng.random() < 0.3 else 0
        for _ in range(burst):
            command, late_s = self._command(), 0.0 if rng.random() < 0.9 else float(rng.uniform(0.0, 0.1))
            self.guard.submit(command, now + late_s)
            self.pending.append((now + late_s, command))
        state, sample = self._state(), self._sample(now)
        executed = self.guard.tick(now, state, sample)
        if executed.mode is not GuardMode.DISARMED:
            self.arm.command(executed.reference)
        self.tally.inputs += burst + 2
        self.tally.ticks += 1
        newer = self._arrived(now, heard=executed.mode is not GuardMode.DISARMED)
        self._judge(executed, state, newer)

    def _arrived(self, now: float, heard: bool) -> bool:
        """The oracle: whether a sound command of this session arrived that is newer than all before it. What comes
        while nobody hears it is gone."""
        newest = self.newest
        for arrival_s, command in self.pending:
            if arrival_s <= now + 1e-9 and heard:
                newest = max(newest, _count(command, self.session))
        self.pending = [entry for entry in self.pending if entry[0] > now + 1e-9]
        newer, self.newest = newest > self.newest, newest
        return newer

    def _judge(self, executed: ExecutedCommand, state: ArmState, newer: bool) -> None:
        before, self._before = self._before, executed
        operated, self._operated = self._operated, False
        if executed.mode is GuardMode.DISARMED:
            self._twists.clear()
            return
        self.tally.driven_ticks += executed.mode is GuardMode.RUNNING
        if before is not None and not operated:
            self.tally.stops += executed.mode >= GuardMode.HOLD > before.mode
            if before.mode >= GuardMode.HOLD and executed.mode < before.mode:
                raise self._leak(f"left {before.mode.name} for {executed.mode.name} without the operator")
            policy = executed.source is before.source is Source.POLICY and not executed.refusals
            if policy and executed.target != before.target and not newer:
                raise self._leak("the policy's target moved though no sound, new command arrived")
        self._judge_reference(executed, state)

    def _judge_reference(self, executed: ExecutedCommand, state: ArmState) -> None:
        reference, limits, box = executed.reference, self.limits, self.box
        for pose in (executed.target, reference.T_base_ee):
            numbers = (*pose.position_m, *pose.quat_xyzw)
            if not all(type(n) is float and isfinite(n) for n in numbers):
                raise self._leak(f"not finite floats: {pose}")
            norm = sqrt(sum(q * q for q in pose.quat_xyzw))
            if abs(norm - 1.0) > SLACK:
                raise self._leak(f"quaternion of length {norm}")
            if box.excess(pose.position_m) > 0.0:
                raise self._leak(f"outside the box: {pose.position_m}")
        numbers = (*reference.twist, reference.gripper_width_m)
        if not all(isfinite(n) for n in numbers):
            raise self._leak(f"not finite: {reference}")
        self._twists.append(reference.twist)
        self._check_rates(limits)
        measured = self.arm.pose.position_m
        lead = sqrt(sum((a - b) ** 2 for a, b in zip(reference.T_base_ee.position_m, measured, strict=True)))
        if executed.mode <= GuardMode.RUNNING and isfinite(sum(state.T_base_ee.position_m)):
            self._bound("lead, mm", 1000 * lead, 1000 * limits.max_lead_m)

    def _check_rates(self, limits: Any) -> None:
        del self._twists[:-3]
        twist, period = self._twists[-1], self.period_s
        self._bound("speed, mm/s", 1000 * _norm(twist[:3]), 1000 * limits.max_speed_m_s)
        self._bound("angular speed, rad/s", _norm(twist[3:]), limits.max_angular_speed_rad_s)
        if len(self._twists) < 3:
            return
        a, b, c = self._twists
        first = [y - x for x, y in zip(b, c, strict=True)]
        second = [z - 2 * y + x for x, y, z in zip(a, b, c, strict=True)]
        self._bound("acceleration, m/s^2", _norm(first[:3]) / period, limits.max_stop_acceleration_m_s2)
        self._bound("jerk, m/s^3", _norm(second[:3]) / period**2, limits.max_stop_jerk_m_s3)
        turning, jerking = limits.max_stop_angular_acceleration_rad_s2, limits.max_stop_angular_jerk_rad_s3
        self._bound("angular acceleration, rad/s^2", _norm(first[3:]) / period, turning)
        self._bound("angular jerk, rad/s^3", _norm(second[3:]) / period**2, jerking)

    def _bound(self, name: str, value: float, limit: float) -> None:
        if not value <= limit * (1.0 + SLACK) + SLACK:
            raise self._leak(f"{name}: {value:.6g} over {limit:.6g}")
        self.tally.note(name, value)

    def _leak(self, text: str) -> LeakError:
        where = f"seed {self.seed}, tick {self.tally.ticks}, {self.guard.mode.name} ({self.guard.reason})"
        return LeakError(f"{text} [{where}]")


def _norm(vector: Any) -> float:
    return sqrt(sum(x * x for x in vector))


def _count(command: ArmCommand, session: int) -> int:
    """The number of a command that counts in ``session``, judged without the guard's own code; -1 if it does not."""
    try:
        (x, y, z), (qx, qy, qz, qw) = command.T_base_ee
    except (TypeError, ValueError):
        return -1
    numbers = (x, y, z, qx, qy, qz, qw)
    if not all(isinstance(n, (int, float, np.floating)) and abs(n) < 1e300 for n in numbers):
        return -1
    named = type(command.gripper) in (int, Gripper) and command.gripper in (-1, 0, 1)
    unit = abs(_norm([float(n) for n in numbers[3:]]) - 1.0) <= 0.01
    return command.sequence if unit and named and command.session == session else -1


@dataclass
class Options:
    """Fuzz the guard's core; ends with an error at the first leak."""

    inputs: int = 1_000_000
    """How many to try."""
    seed: int = 0
    """Of the first process."""
    workers: int = 2
    """Processes."""
    page: bool = True
    """Write the table into RESULTS.md."""


def _run(task: tuple[int, int]) -> Tally:
    seed, inputs = task
    return Fuzzer(seed).run(inputs)


def main() -> None:
    options = tyro.cli(Options)
    warnings.simplefilter("ignore", RuntimeWarning)  # NumPy's scalars among the nonsense warn of their overflow.
    begin = time.monotonic()
    share = -(-options.inputs // options.workers)
    with ProcessPoolExecutor(options.workers) as pool:
        tallies = list(pool.map(_run, [(options.seed + i, share) for i in range(options.workers)]))
    total = Tally()
    for tally in tallies:
        for name in ("inputs", "ticks", "stops", "driven_ticks"):
            setattr(total, name, getattr(total, name) + getattr(tally, name))
        for name, value in tally.worst.items():
            total.note(name, value)
    body = table(total, time.monotonic() - begin)
    print(body)
    if options.page:
        put("fuzz", body)


def table(tally: Tally, seconds: float) -> str:
    """What was tried and the worst of it, in Markdown."""
    rows = [
        f"{tally.inputs:,} inputs in {tally.ticks:,} ticks ({tally.driven_ticks:,} of them running, {tally.stops:,} "
        f"stops), {seconds:.0f} s: 0 leaks, 0 exceptions.",
        "",
        "| worst seen | |",
        "|---|---|",
        *(f"| {name} | {value:.4g} |" for name, value in tally.worst.items()),
    ]
    return "\n".join(rows)


if __name__ == "__main__":
    main()
