"""``make bench-random``: a random policy drives each task of the twin for 10,000 steps behind the guard.

Every other episode draws each action anew; in the others one lasts for up to two seconds, which goes to the limits.
The judge is the physics: every physics step's log of the arm, MuJoCo's own distances once a step, and what the guard
sends. It ends with an error where a limit was exceeded, or where the guard held for smoothing alone (S6, S7): whatever
a policy asks for, smoothing must bend it and go on. Holds that something solid caused (S8, S29) are counted and told.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from math import hypot

import numpy as np
import tyro

from benchmarks.page import put
from benchmarks.whole_arm_judge import CELL, WholeArmJudge
from hardware.geometry import pose_distance
from hardware.guard_inputs import GuardInputs
from hardware.guard_state import GuardState
from hardware.interfaces import ExecutedCommand, GuardMode, Vector6
from hardware.local_robot import LocalRobot
from robot_rl.command import task_id
from robot_rl.rollout import EnvSpec
from sim.tasks import TASKS

SMOOTHING = ("S6", "S7")
WINDOW_S = 0.02
OUTSIDE_M = 0.001
"""What S4 allows the twin's arm."""
SLACK = 1.0 + 1e-6


@dataclass
class Options:
    """A random policy behind the guard, judged by the physics."""

    steps: int = 10_000
    """Of the environment, in each task."""
    tasks: tuple[str, ...] = tuple(TASKS)
    """Which tasks."""
    seed: int = 0
    """Of scenes and actions."""
    page: bool = True
    """Write the table into RESULTS.md."""


@dataclass
class Judged:
    """One task's run: the worst of each figure, and why the guard stopped."""

    task: str
    steps: int = 0
    episodes: int = 0
    stops: Counter[str] = field(default_factory=Counter)
    """By mode and limit."""
    worst: dict[str, float] = field(default_factory=dict)
    """SI, by name."""

    def note(self, name: str, value: float) -> None:
        self.worst[name] = max(self.worst.get(name, 0.0), value)


class Watcher:
    """Writes down what the arm does in every physics step and what the guard sends in every tick."""

    def __init__(self, robot: LocalRobot, judged: Judged, timestep_s: float):
        self.robot, self.judged = robot, judged
        self.limits, self.box = robot.guard.settings.limits, robot.cell.workspace
        self.executed: ExecutedCommand | None = None
        self._engaged_s, self._mode = float("nan"), GuardMode.DISARMED
        self._twists: list[Vector6] = []
        self._speeds: list[float] = []
        self._window = round(WINDOW_S / timestep_s)
        robot.guard.recorder = self.tick
        robot.clock.every(timestep_s, self.step)

    def tick(self, inputs: GuardInputs, state: GuardState, executed: ExecutedCommand) -> None:
        """What is sent: lead over the arm (S7), acceleration and jerk (S6)."""
        self.executed = executed
        if executed.mode >= GuardMode.HOLD > self._mode:
            self.judged.stops[f"{executed.mode.name} {executed.reason.partition(':')[0]}"] += 1
        self._mode = executed.mode
        if executed.mode is GuardMode.DISARMED or state.engaged_s != self._engaged_s:
            self._engaged_s = state.engaged_s
            self._twists.clear()
        if executed.mode is GuardMode.DISARMED:
            return
        metres, radians = pose_distance(executed.reference.T_base_ee, inputs.arm.T_base_ee)
        self.judged.note("lead, m", metres)
        self.judged.note("lead, rad", radians)
        self._twists = [*self._twists[-2:], executed.reference.twist]
        if len(self._twists) == 3:
            period_s = self.robot.cell.guard_period_s
            a, b, c = (np.array(twist[:3]) for twist in self._twists)
            self.judged.note("acceleration, m/s^2", float(np.linalg.norm(c - b)) / period_s)
            self.judged.note("jerk, m/s^3", float(np.linalg.norm(c - 2.0 * b + a)) / period_s**2)

    def step(self, now: float) -> None:
        """What the arm does: speed (S5) over a window, outside the box (S4)."""
        if self._mode is GuardMode.DISARMED:
            self._speeds.clear()
            return
        arm = self.robot.arm.read()
        self._speeds = [*self._speeds[1 - self._window :], hypot(*arm.ee_twist[:3])]
        self.judged.note("speed, m/s", sum(self._speeds) / len(self._speeds))
        self.judged.note("outside, m", self.box.excess(arm.T_base_ee.position_m))


def run(task: str, options: Options) -> Judged:
    """``options.steps`` steps of random actions, resets in between."""
    env = EnvSpec(task_id(task)).make()
    robot, twin, rng = env.robot, env.task, np.random.default_rng([options.seed, 10])
    judged = Judged(task)
    watcher, judge = Watcher(robot, judged, twin.world.timestep_s), WholeArmJudge(twin, task)
    env.reset(seed=options.seed)
    kept = 0
    for _ in range(options.steps):
        if kept == 0:
            action = rng.uniform(-1.0, 1.0, env.action_space.shape).astype(np.float32)
            kept = int(rng.integers(1, 21)) if judged.episodes % 2 else 1
        kept -= 1
        _, _, terminated, truncated, _ = env.step(action)
        assert watcher.executed is not None
        judge.look(watcher.executed.reference.T_base_ee.position_m)
        judged.steps += 1
        if terminated or truncated:
            judged.episodes, kept = judged.episodes + 1, 0
            env.reset(seed=options.seed + judged.episodes)
    env.close()
    for name in ("links", "tips", "self", "joint"):
        judged.worst[f"least {name}"] = judge.worst[name]
    judged.worst |= {"joint speed, share": judge.worst["speed"], "tilt, rad": judge.worst["tilt"]}
    return judged


def exceeded(judged: Judged) -> list[str]:
    """Every limit that was exceeded, and every hold from smoothing, for people."""
    limits = CELL.profile("collaborative")
    most = {
        "lead, m": limits.max_lead_m,
        "lead, rad": limits.max_lead_rad,
        "acceleration, m/s^2": limits.max_stop_acceleration_m_s2,
        "jerk, m/s^3": limits.max_stop_jerk_m_s3,
        "speed, m/s": 1.05 * limits.max_speed_m_s,
        "outside, m": OUTSIDE_M,
        "joint speed, share": limits.max_joint_speed_share,
        "tilt, rad": limits.max_tilt_rad,
    }
    least = dict.fromkeys(("least links", "least tips", "least self"), limits.min_clearance_m)
    least["least joint"] = limits.min_joint_margin_rad
    worst = judged.worst
    found = [f"{name} {worst[name]:.4g} over {limit:g}" for name, limit in most.items() if worst[name] > limit * SLACK]
    found += [f"{name} {worst[name]:.4g} under {limit:g}" for name, limit in least.items() if worst[name] < limit]
    held = [stop for stop in judged.stops if stop.split(" ")[1] in SMOOTHING]
    return [f"{judged.task}: {text}" for text in [*found, *(f"{stop} from smoothing alone" for stop in held)]]


def table(runs: list[Judged]) -> str:
    """One row a task, Markdown."""
    names = list(runs[0].worst)
    lines = [f"| task | steps | episodes | stops | {' | '.join(names)} |", "|---" * (4 + len(names)) + "|"]
    for judged in runs:
        stops = ", ".join(f"{count} {stop}" for stop, count in judged.stops.most_common()) or "none"
        figures = " | ".join(f"{judged.worst[name]:.4g}" for name in names)
        lines.append(f"| {judged.task} | {judged.steps:,} | {judged.episodes} | {stops} | {figures} |")
    return "\n".join(lines)


def main() -> None:
    options = tyro.cli(Options)
    runs = []
    for task in options.tasks:
        runs.append(run(task, options))
        print(table(runs[-1:]), flush=True)
    body = table(runs)
    if options.page:
        put("random", body)
    if broken := [text for judged in runs for text in exceeded(judged)]:
        raise SystemExit("\n".join(broken))


if __name__ == "__main__":
    main()
