"""A bag that the system recorded over ROS plays back into the observation builder: bit for bit what the policy saw."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed; `make test-ros` runs this")

from hardware.fakes import FakeClock
from hardware.interfaces import ArmCommand, Clock, ResetPlan, RobotObservation, Source
from robot_rl.demonstrations import RestingPolicy
from robot_rl.env import EnvOptions, RobotEnv
from robot_rl.episodes import EpisodeStore, read_episode
from robot_rl.rollout import EnvSpec, Rollout
from robot_rl.types import Episode
from sim.tasks import make_task
from tests.ros.ros_cell import RosCell

BOTH = {Source.POLICY, Source.HUMAN}
OPTIONS = {"cameras": ("front",), "previous_action": True}


@dataclass
class Playback:
    """Implements :class:`hardware.interfaces.Robot`: reports what a bag holds, whatever it is told to do."""

    episode: Episode
    clock: Clock = field(default_factory=FakeClock)
    steps: int = 0
    teleop: None = None

    def reset(self, plan: ResetPlan) -> RobotObservation:
        return self.episode.header.initial_robot

    def command(self, command: ArmCommand) -> None: ...

    def observe(self) -> RobotObservation:
        self.steps += 1
        return self.episode.steps[self.steps - 1].raw

    def end_episode(self) -> None: ...

    def close(self) -> None: ...


def played(episode: Episode) -> RobotEnv:
    """The environment over ``episode``'s bag, in the scene that the bag names."""
    task = make_task(episode.header.task)
    task.draw = lambda rng: episode.header.setup
    return RobotEnv(Playback(episode), task, EnvOptions(**OPTIONS))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """An episode over the nodes of a twin in which the policy rests until the person takes over, as it was seen live;
    and its bag."""
    folder = tmp_path_factory.mktemp("bag")
    cell, store = RosCell(cameras=["front"], person="expert", takeover="no_progress"), EpisodeStore(folder)
    try:
        spec = EnvSpec("robot_rl_nodes.envs:Cell-v0", {"folder": str(cell.folder), **OPTIONS})
        env = spec.make()
        rollout = Rollout(env, spec, "live", seed=5, store=store)
        episodes = rollout.episodes(RestingPolicy(int(env.action_space.shape[0])), 30)
        # A computer too busy for the guard (S25) ends an episode, before anybody has taken over perhaps.
        live = next(episode for episode in episodes if {step.source for step in episode.steps} >= BOTH)
        env.close()
    finally:
        cell.close()
        store.close()
    return live, read_episode(max(folder.glob("*.mcap")))


def test_a_bag_plays_back_into_the_same_observations(recorded):
    live, bag = recorded
    assert len(bag.steps) == len(live.steps)
    env = played(bag)
    seen, _ = env.reset(seed=bag.header.seed)
    for step in live.steps:
        assert seen.keys() == step.observation.keys() == {"state", "front"}
        assert all(np.array_equal(seen[name], step.observation[name]) for name in seen)
        assert seen["state"].dtype == np.float32 and seen["front"].dtype == np.uint8
        seen, *_, info = env.step(step.proposed_action)
        assert np.array_equal(info["executed_action"], step.executed_action)
    assert all(np.array_equal(seen[name], live.final_observation[name]) for name in seen)


def test_what_it_plays_is_what_the_nodes_reported(recorded):
    live, bag = recorded
    frames = set()
    for one, other in zip(live.steps, bag.steps, strict=True):
        assert one.raw.arm == other.raw.arm and one.raw.executed == other.raw.executed
        assert one.raw.changes == other.raw.changes
        frame = other.raw.frames["front"]
        assert np.array_equal(frame.image, one.raw.frames["front"].image)
        frames.add(frame.sequence)
    assert len(frames) > len(bag.steps) // 2, "pictures that move on"
