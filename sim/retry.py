"""Another policy from where a recorded episode began: the same scene, the same physics state, nobody helping."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from hardware.interfaces import ResetPlan
from robot_rl.demonstrations import require_fit
from robot_rl.env import RobotEnv
from robot_rl.episodes import read_episode
from robot_rl.policy import Interface, load_policy
from robot_rl.rollout import EnvSpec, Rollout
from sim.replay import Film, begin, recorded_start
from sim.replay_report import Difference, parts_after_s
from sim.tasks.base import TwinTask

HELP = ("person", "takeover", "person_seed", "classifier", "reset")
"""What an environment may have been trained in that a retry does without."""


@dataclass(frozen=True)
class Retry:
    """What came of it."""

    task: str
    policy: Path
    recorded_success: bool
    success: bool
    recorded_steps: int
    steps: int
    parts_after_s: float | None
    """When the end effector was further than the bound from where it was recorded, for the first time."""
    video: Path | None = None


def retry(path: Path | str, policy: Path, spec: EnvSpec, video: Path | None = None, bound_m: float = 0.002) -> Retry:
    """Let the policy in ``policy`` act, deterministically, in ``spec`` from the start of the episode at ``path``.

    ``video`` (.mp4) shows the recording beside it, which stands where it ended. Raises ``ValueError`` (one line) for an
    episode without a physics state, or of another task than the policy's.
    """
    episode = read_episode(path)
    header, start = episode.header, recorded_start(path, episode.header)
    acting, interface = load_policy(policy)
    if interface.task != header.task:
        raise ValueError(f"{path} is of '{header.task}', the policy in '{policy}' of '{interface.task}'")
    alone = EnvSpec(spec.id, {name: value for name, value in spec.kwargs.items() if name not in HELP})
    with ExitStack() as stack:
        env = alone.make()
        stack.callback(env.close)
        require_fit(policy, interface, Interface.of(env))
        assert isinstance(env, RobotEnv) and isinstance(env.task, TwinTask)
        twin = env.task
        film = (
            stack.enter_context(Film(video, episode, twin, "the policy, from the same start"))
            if video is not None
            else None
        )
        plan = ResetPlan(start.arm.T_base_ee, start.executed.gripper, teleport=lambda: begin(twin, header))
        rollout = Rollout(env, alone, "retry", header.seed, reset_options={"plan": plan})
        again, differences = None, list[Difference]()
        while again is None:
            step, again = rollout.step(acting, deterministic=True)
            recorded = episode.steps[min(step.id.step, len(episode.steps) - 1)].raw
            assert recorded is not None and step.raw is not None
            differences.append(Difference.of(recorded.arm, step.raw.arm, step.id.step * env.period_s))
            if film is not None:
                film.add(recorded)
    parted, counts = parts_after_s(differences, bound_m), (len(episode.steps), len(again.steps))
    return Retry(header.task, policy, episode.success, again.success, *counts, parted, video)
