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
from dataclasses import dataclass, replace
from math import inf, nan
from typing import Any

import numpy as np
import tyro

from benchmarks.fuzz_judge import Judge, LeakError, Tally
from benchmarks.page import put
from hardware.cell import load_cell
from hardware.fakes import FakeArm, FakeClock
from hardware.geometry import pose_add
from hardware.guard import EngageError, Guard
from hardware.interfaces import ArmCommand, ArmState, Gripper, GuardMode, Pose, TeleopSample

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
CALM_TICKS = 200
"""How long a mood lasts: nonsense all the time would keep the guard in FAULT, where little can go wrong."""
MOODS = (0.0, 0.0, 0.003, 0.03, 1.0)
"""Shares of nonsense among what is sent and measured."""


class Fuzzer:
    """One guard, one arm, one generator of nonsense."""

    def __init__(self, seed: int):
        self.rng = np.random.default_rng([seed, 77])
        self.clock = FakeClock()
        self.arm = FakeArm(self.clock, lag_s=0.005)
        cell = replace(load_cell("twin"), arm="fake", home_joint_positions_rad=())
        self.guard, self.period_s = Guard(cell), cell.guard_period_s
        self.judge = Judge(seed, self.guard, self.arm, self.period_s)
        self.tally = self.judge.tally
        self.sent: list[ArmCommand] = []
        self.numbers = 0
        self.mood = 0.0

    def run(self, inputs: int) -> Tally:
        """Tick until ``inputs`` were tried; raises :class:`LeakError`."""
        while self.tally.inputs < inputs:
            try:
                self._tick()
            except LeakError:
                raise
            except Exception as error:
                raise self.judge.leak(f"raised {type(error).__name__}: {error}") from error
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
        session = self.judge.session if kind < 0.9 else int(self.judge.session + self.rng.integers(-3, 4))
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
        self.judge.asked()

    def _tick(self) -> None:
        rng, clock = self.rng, self.clock
        if self.tally.ticks % CALM_TICKS == 0:
            self.mood = self._pick(MOODS)
        passed_s = self.period_s if rng.random() >= 0.01 * self.mood else float(rng.uniform(0.0, 3600.0))
        clock.time_s += passed_s
        now = clock.now()
        if passed_s > self.guard.settings.limits.max_unattended_s:
            self.judge.restarted()
        self.arm.blocked = rng.random() < 0.005 or (self.arm.blocked and rng.random() < 0.9)
        stopped = self.guard.mode >= GuardMode.HOLD or self.guard.mode is GuardMode.DISARMED
        if rng.random() < (0.1 if stopped else 0.002):
            self._operate(now)
            self.tally.inputs += 1
        burst = 1000 if rng.random() < 1e-4 else int(rng.integers(0, 4)) if rng.random() < 0.3 else 0
        for _ in range(burst):
            command, late_s = self._command(), 0.0 if rng.random() < 0.9 else float(rng.uniform(0.0, 0.1))
            self.guard.submit(command, now + late_s)
            self.judge.sent(now + late_s, command)
        state, sample = self._state(), self._sample(now)
        executed = self.guard.tick(now, state, sample)
        if executed.mode is not GuardMode.DISARMED:
            self.arm.command(executed.reference)
        self.tally.inputs += burst + 2
        self.tally.ticks += 1
        self.judge.judge(executed, state, now)


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
