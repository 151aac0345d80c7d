"""What a console shows of a robot that runs: snapshots, made by the robot's clock while somebody takes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, Protocol, cast

import numpy as np

from hardware.interfaces import ArmState, Clock, ExecutedCommand, Refusal, Source
from robot_rl.console.snapshot import HELPED, SUCCESS, Snapshot
from robot_rl.console.timing import LoopTimes, Tick
from robot_rl.env import RobotEnv

SNAPSHOT_S = 0.05
"""How often the robot is looked at, by its own clock."""
PROGRESS = 0.02
"""A gain in the task's potential smaller than this is none."""


class Loop(Protocol):
    """Whoever asks the policy, step by step."""

    @property
    def running(self) -> bool:
        """Whether an episode is under way."""
        ...

    actions: int
    """Asked of the policy so far."""
    inference_s: float
    """How long the newest took."""


class Guarded(Protocol):
    """What is looked at of a robot whose guard is in this process."""

    clock: Clock
    guard: Any
    teleop: Any

    @property
    def arm_state(self) -> ArmState: ...
    @property
    def executed(self) -> ExecutedCommand: ...


@dataclass
class _Stall:
    """Since when the task has come no nearer."""

    best: float = -inf
    since_s: float = 0.0

    def seconds(self, potential: float, now: float) -> float:
        if potential > self.best + PROGRESS:
            self.best, self.since_s = potential, now
        return now - self.since_s


class Live:
    """Makes snapshots of the robot of ``env``. What only one kind of robot can tell, its subclass does."""

    def __init__(self, env: RobotEnv, loop: Loop, put: Callable[[Snapshot], None]) -> None:
        """``loop``: what steps the environment. ``put``: what takes snapshots, at once."""
        self.env, self._loop, self._put = env, loop, put
        self.robot = cast(Guarded, env.robot)
        self.training: Mapping[str, float] = {}
        """The newest row of metrics of whatever learns here."""
        self.outcomes = np.zeros(0, np.uint8)
        """Of each finished episode, as in a snapshot."""
        self._refusal: tuple[float, Refusal] | None = None
        self._episode, self._human, self._stall = 0, 0, _Stall()
        self._steps = 0
        self._info: Mapping[str, Any] = env.info
        self._times = LoopTimes(env.task.spec.control_hz)
        self._tells_progress = hasattr(env.task, "progress")

    def start(self, period_s: float, phase_s: float = 0.0) -> None:
        """Note every tick of the guard, ``phase_s`` after it is due, and make snapshots, from here on."""
        self.robot.clock.every(period_s, self._note_tick, phase_s)
        self.robot.clock.every(SNAPSHOT_S, self._capture)

    def finished(self, success: bool, helped: bool) -> None:
        """An episode ended."""
        self.outcomes = np.append(self.outcomes, np.uint8(SUCCESS * success + HELPED * helped))

    # What depends on the robot.

    def pace(self, now: float) -> float:
        """Seconds of the robot's clock a second of the operator's."""
        return 1.0

    def late(self, now: float) -> bool:
        """Whether the guard's tick of this moment is."""
        raise NotImplementedError

    def look(self) -> Mapping[str, Any]:
        """The snapshot's ``frames``, ``body_poses`` and ``positions``, as far as there are any."""
        raise NotImplementedError

    def _capture(self, now: float) -> None:
        executed, info = self.robot.executed, self.env.info
        if executed.refusals:
            self._refusal = (now, executed.refusals[-1])
        self._note_step(now, info)
        if self._refusal is not None:
            at_s, refusal = self._refusal
        snapshot = Snapshot(
            stamp_s=now,
            hand=self.robot.arm_state.T_base_ee,
            mode=executed.mode,
            reason=executed.reason,
            source=executed.source,
            gripper=executed.gripper,
            accepted=executed.target,
            proposed=executed.proposed,
            refusal=None if self._refusal is None else (refusal.limit, refusal.amount, now - at_s),
            trouble=getattr(self.robot.teleop, "trouble", ""),
            proposed_action=tuple(info["proposed_action"].tolist()) if info else (),
            executed_action=tuple(info["executed_action"].tolist()) if info else (),
            episode=self._episode,
            step=self.env.steps,
            human_steps=self._human,
            stalled_s=self._stalled_s(info, now),
            pace=self.pace(now),
            timing=self._times.newest,
            training=self.training,
            outcomes=self.outcomes,
            **self.look(),
        )
        self._put(snapshot)

    def _stalled_s(self, info: Mapping[str, Any], now: float) -> float | None:
        if not self._tells_progress:
            return None
        if not info:
            return 0.0
        return self._stall.seconds(info["reward_inputs"]["next_potential"], now)

    def _note_tick(self, now: float) -> None:
        commanded_s, loop = self.robot.guard.state.mux.commanded_s, self._loop
        if not loop.running or commanded_s is None:  # Between episodes nothing is commanded.
            return
        seen = self.env.latest
        oldest_s = min((frame.stamp_s for frame in seen.frames.values()), default=seen.arm.stamp_s)
        self._times.note(Tick(now - commanded_s, now - oldest_s, loop.inference_s, loop.actions, self.late(now)))

    def _note_step(self, now: float, info: Mapping[str, Any]) -> None:
        if self.env.steps < self._steps or (self.env.steps and not self._episode):
            self._episode, self._human, self._stall = self._episode + 1, 0, _Stall(since_s=now)
        if info and info is not self._info:
            self._human += info["source"] == Source.HUMAN
        self._steps, self._info = self.env.steps, info
