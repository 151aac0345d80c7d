"""The console over a twin: a run with a policy, and training with the person at the browser."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from hardware.local_robot import LocalRobot
from robot_rl.console.hand import BrowserHand
from robot_rl.console.operator import Operator
from robot_rl.console.page import Page, start_server
from robot_rl.console.snapshot import Slot
from robot_rl.console.viewer import Viewer
from robot_rl.demonstrations import RestingPolicy
from robot_rl.env import RobotEnv
from robot_rl.episodes import EpisodeStore
from robot_rl.foreign import ForeignEnv
from robot_rl.policy import Policy, load_policy
from robot_rl.rollout import EnvSpec, Rollout
from robot_rl.types import Episode
from sim.live import Eyes, LiveTwin
from sim.scene import scene_of
from sim.tasks.base import TwinTask


@dataclass(frozen=True)
class Address:
    """Where the console listens."""

    host: str = "127.0.0.1"
    """Another address than this machine's own needs a token."""
    port: int = 8080
    token: str | None = None
    """What a browser must show, as ?token=..., at least 16 characters."""

    @property
    def url(self) -> str:
        """What to open."""
        return f"http://{self.host}:{self.port}/" + (f"?token={self.token}" if self.token else "")


class TwinConsole:
    """A page over one environment of the twin, with the browser at its teleop device."""

    def __init__(self, env: RobotEnv | ForeignEnv, address: Address = Address(), speed: float = 1.0) -> None:
        """Raises ``ValueError`` (one line) for another kind of environment, an address that needs a token, or where
        viser is missing."""
        if not isinstance(env, RobotEnv) or not isinstance(env.task, TwinTask):
            raise ValueError("the console shows the twin's tasks: give --task (`robot-rl tasks` lists them)")
        robot = cast(LocalRobot, env.robot)
        self.server = start_server(address.host, address.port, address.token)
        self.operator = Operator(robot)
        self.hand = BrowserHand(lambda: robot.arm_state.T_base_ee, self.operator.wait)
        robot.teleop = self.hand
        self.slot = Slot()
        self.live = LiveTwin(env, self.slot, speed)
        self.page = Page(self.server, scene_of(env.task.world.model, robot.cell), self.hand, self.operator)
        self._viewer = Viewer(self.slot, self.page, Eyes(env.task.world))
        self.url = Address(address.host, self.server.get_port(), address.token).url

    def finished(self, episode: Episode, store: EpisodeStore | None) -> None:
        """Count an episode, and file the operator's word on it."""
        self.live.finished(episode.success, episode.intervened_steps > 0)
        verdict = self.hand.verdict()
        if store is not None and verdict in ("success", "failure", "discard"):
            store.label(newest(store, episode), verdict)

    def close(self) -> None:
        self._viewer.close()
        self.server.stop()


def newest(store: EpisodeStore, episode: Episode) -> str:
    """The file that ``episode`` was written to last."""
    header = episode.header
    same = [row.path for row in store.list() if (row.run, row.episode) == (header.run, header.episode)]
    return max(same, key=lambda path: (store.folder / path).stat().st_mtime_ns)


@contextmanager
def watched(spec: EnvSpec, address: Address, out: Path, seed: int, speed: float) -> Iterator[tuple[Rollout, TwinConsole]]:
    """An environment with a console over it, its episodes recorded in ``out/episodes``."""
    with ExitStack() as stack:
        env = spec.make()
        stack.callback(env.close)
        console = TwinConsole(env, address, speed)
        stack.callback(console.close)
        store = EpisodeStore(out / "episodes")
        stack.callback(store.close)
        rollout = Rollout(env, spec, out.name, seed, store=store, first_episode=store.next_episode(out.name))
        stack.callback(rollout.abort)
        yield rollout, console


def run(rollout: Rollout, console: TwinConsole, policy: Policy | None = None, episodes: int | None = None) -> int:
    """Let ``policy`` (nobody: it rests) drive ``episodes`` episodes, without end by default; returns how many."""
    done, store = 0, rollout.store
    driver = policy or RestingPolicy(int(rollout.env.action_space.shape[0]))
    while episodes is None or done < episodes:
        _, episode = rollout.step(driver, deterministic=True)
        if episode is not None:
            console.finished(episode, store)
            done += 1
    return done


def policy_of(folder: Path | None) -> Policy | None:
    """The policy saved in a run's folder, or its ``policy/``."""
    return None if folder is None else load_policy(folder)[0]


def train_watched(trainer: Any, address: Address, speed: float, say: Any) -> Any:
    """Train with a console over the trainer's environment; returns its tally."""
    console = TwinConsole(trainer.env, address, speed)
    say(f"console: {console.url}")
    trainer.attention, progress = console.hand.stats, trainer.progress

    def report(row: Mapping[str, float]) -> None:
        console.live.training = row
        progress(row)

    trainer.progress = report
    try:
        return trainer.run()
    finally:
        console.close()
