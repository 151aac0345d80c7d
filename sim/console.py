"""The console over a twin: a run with a policy, and training with the person at the browser."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from hardware.local_robot import LocalRobot
from robot_rl.command import say
from robot_rl.config import TrainConfig
from robot_rl.console.door import LOOPBACK, Address
from robot_rl.console.hand import BrowserHand
from robot_rl.console.link import Link
from robot_rl.demonstrations import RestingPolicy
from robot_rl.env import RobotEnv
from robot_rl.episodes import EpisodeStore
from robot_rl.learner import Progress
from robot_rl.learners import RLLearner
from robot_rl.policy import Policy
from robot_rl.rollout import EnvSpec, Rollout
from robot_rl.tally import Tally
from robot_rl.train import Trainer
from sim.live import LiveTwin
from sim.tasks.base import TwinTask


class TwinConsole:
    """A page over a rollout in the twin, with the browser at its teleop device."""

    def __init__(
        self,
        rollout: Rollout,
        address: Address = LOOPBACK,
        speed: float = 1.0,
        out: Path | None = None,
        sounds: bool = True,
    ) -> None:
        """``out``: the folder whose episodes can be browsed. Raises ``ValueError`` (one line) for another kind of
        environment, an address that needs a token, or where viser is missing."""
        self.rollout, env = rollout, rollout.env
        if not isinstance(env, RobotEnv) or not isinstance(env.task, TwinTask):
            raise ValueError("the console shows the twin's tasks: give --task (`robot-rl tasks` lists them)")
        robot, task = cast(LocalRobot, env.robot), env.task
        options = {"task": task.spec.name, "cell": robot.cell.name, "episodes": None if out is None else str(out)}
        self.link = Link("sim.console_page", {**options, "address": asdict(address), "sounds": sounds})
        self.hand = BrowserHand(robot, lambda: robot.arm_state.T_base_ee, self.link.wishes)
        robot.teleop = self.hand
        self.live = LiveTwin(rollout, self.link.put, speed)
        self._said = ""

    def finished(self, success: bool, helped: bool) -> None:
        """Count the episode that was filed last, and file the operator's word on it."""
        rollout = self.rollout
        self.live.finished(success, helped)
        if self.hand.trouble not in ("", self._said):
            say(f"console: {self.hand.trouble}")
        self._said = self.hand.trouble
        verdict, store = self.hand.verdict(), rollout.store
        if store is not None and verdict in ("success", "failure"):
            rollout.flush()
            store.label(store.path_of(rollout.run, rollout.episode), verdict)

    def close(self) -> None:
        """End the page; the robot stays as it is, with nobody at the controls."""
        self.link.close()


@contextmanager
def watched(
    spec: EnvSpec, address: Address, out: Path, seed: int, speed: float = 1.0, sounds: bool = True
) -> Iterator[tuple[Rollout, TwinConsole]]:
    """An environment with a console over it, its episodes recorded in ``out/episodes``."""
    with ExitStack() as stack:
        env = spec.make()
        stack.callback(env.close)
        store = EpisodeStore(out / "episodes")
        stack.callback(store.close)
        rollout = Rollout(env, spec, out.name, seed, store=store, first_episode=store.next_episode(out.name))
        stack.callback(rollout.abort)
        console = TwinConsole(rollout, address, speed, out / "episodes", sounds)
        stack.callback(console.close)
        yield rollout, console


def run(rollout: Rollout, console: TwinConsole, policy: Policy | None = None, episodes: int | None = None) -> int:
    """Let ``policy`` (None: the arm rests) drive ``episodes`` episodes, without end by default; returns how many."""
    done = 0
    driver = policy or RestingPolicy(len(rollout.env.action_scale))
    while episodes is None or done < episodes:
        _, episode = rollout.step(driver, deterministic=True)
        if episode is not None:
            console.finished(episode.success, episode.intervened_steps > 0)
            done += 1
    return done


def train_watched(
    out: Path,
    spec: EnvSpec,
    config: TrainConfig,
    address: Address,
    speed: float,
    sounds: bool,
    progress: Progress,
    **options: Any,
) -> Tally:
    """:func:`robot_rl.train.train` with a console over the environment, and its person at the browser."""
    trainer = Trainer(out, spec, config, **options)
    console = TwinConsole(trainer.rollout, address, speed, out / "episodes", sounds)
    say(f"console: {console.link.url}")
    trainer.attention = console.hand.stats
    trainer.attention.driving_s = trainer.tally.person_s

    def report(row: Mapping[str, float]) -> None:
        tally = trainer.tally
        fill = {}
        if isinstance(trainer.learner, RLLearner):
            online = trainer.learner.off_policy.online
            fill = {"buffer": len(online) / online.capacity}
        console.live.training = {**row, **fill}
        console.finished(tally.successes[-1], tally.human_steps[-1] > 0)
        progress(row)

    trainer.learner.progress = report
    try:
        return trainer.run()
    finally:
        console.close()
