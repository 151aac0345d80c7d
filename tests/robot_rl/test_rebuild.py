"""A replay whose files were lost is filled again from recorded episodes: the same transitions, learned from once."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from hardware.interfaces import Source
from robot_rl.batch import Rows
from robot_rl.collectors import RandomPolicy
from robot_rl.config import LearnerConfig, TrainConfig, seeing
from robot_rl.description import Description
from robot_rl.episodes import EpisodeStore
from robot_rl.learners import RLLearner
from robot_rl.link import InProcessLink, deliver
from robot_rl.replay_buffer import ReplayBuffer
from robot_rl.reward import Returns, RewardWeights
from robot_rl.rollout import EnvSpec, Rollout

SEEN = EnvSpec("tests.robot_rl.point_env:SeenPoint-v0")
CONFIG = TrainConfig(
    env_steps=1_000,
    warmup="random",
    warmup_steps=50,
    critic_only_updates=0,
    learner=LearnerConfig(width=8, batch_size=8, utd_ratio=1, replay_capacity=500),
)


class Run:
    """A learner in ``folder``, and what it is fed: episodes by chance, recorded in ``folder/episodes``."""

    def __init__(self, folder: Path):
        self.folder, self.env = folder, SEEN.make()
        self.about, self.said = Description.of(self.env, SEEN), []
        self.store = EpisodeStore(folder / "episodes")
        self.rollout = Rollout(self.env, SEEN, "run", 0, store=self.store)
        self.policy = RandomPolicy(np.random.default_rng(0), 1)

    def learner(self) -> RLLearner:
        self.said.clear()
        config = seeing(CONFIG, self.about.cameras)
        return RLLearner(self.folder / "learner", self.about, config, say=self.said.append)

    def feed(self, learner: RLLearner, steps: int, label: Source = Source.POLICY) -> None:
        link = InProcessLink()
        for _ in range(steps):
            deliver(link, *self.rollout.step(self.policy, label=label))
            for record in link.take():
                learner.take(record)
            learner.update()

    def recorded(self) -> list:
        self.rollout.abort()
        return [self.store.read(row) for row in self.store.list()]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def transitions(buffer: ReplayBuffer) -> Counter[bytes]:
    """Everything that can be sampled, with pictures."""
    slots = np.flatnonzero(buffer.sampleable(np.arange(len(buffer))))
    stored = buffer.gather(slots, Returns(0.9, 1, RewardWeights()))
    batch = stored.map(lambda part: part.gathered().numpy() if isinstance(part, Rows) else part)
    parts = [*batch.observation.values(), batch.action, batch.reward, batch.discount, *batch.next_observation.values()]
    return Counter(b"".join(part[i].tobytes() for part in parts) for i in range(len(slots)))


def test_lost_pictures_are_said_to_be_and_come_back(run: Run) -> None:
    before = run.learner()
    run.feed(before, 130)
    before.save()
    shutil.rmtree(run.folder / "learner" / "replay")
    again = run.learner()
    assert any("--rebuild" in line for line in run.said) and not transitions(again.off_policy.online)
    again.rebuild(run.recorded())
    assert transitions(again.off_policy.online) == transitions(before.off_policy.online)
    assert again.tally == before.tally and again.owed == before.owed == 0, "nothing is learned from twice"
    mine, theirs = again.policy.state_dict(), before.policy.state_dict()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    again.save()
    assert transitions(run.learner().off_policy.online) == transitions(before.off_policy.online)
    assert not any("--rebuild" in line for line in run.said)


def test_what_came_after_the_checkpoint_is_taken_and_paid_for_once(run: Run) -> None:
    learner = run.learner()
    run.feed(learner, 75)  # an episode is under way
    learner.save()
    run.feed(learner, 65)
    again = run.learner()
    recorded = run.recorded()
    again.rebuild(recorded)
    assert transitions(again.off_policy.online) == transitions(learner.off_policy.online)
    kept = sum(len(episode.steps) for episode in recorded)
    assert again.tally.env_steps == kept and again.owed == kept - 75
    for episode in recorded:
        for step in episode.steps:
            again.take(step)
    assert again.tally.env_steps == kept


def test_a_learner_without_a_checkpoint_takes_all_that_was_recorded(run: Run) -> None:
    learner = run.learner()
    run.feed(learner, 90)
    shutil.rmtree(run.folder / "learner")
    again = run.learner()
    again.rebuild(run.recorded())
    assert transitions(again.off_policy.online) == transitions(learner.off_policy.online)
    assert again.owed == again.tally.env_steps - 50 + 1
