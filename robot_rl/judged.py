"""Episodes for and under a success classifier: recorded to train one, judged anew by a newer one, and an alarm for
successes that nobody confirmed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from hardware.interfaces import Source
from robot_rl.demonstrations import RestingPolicy
from robot_rl.episodes import EpisodeStore
from robot_rl.policy import Policy, load_policy
from robot_rl.rollout import DEMO_SEEDS, EnvSpec, Rollout
from robot_rl.success_classifier import SuccessClassifier
from robot_rl.types import Episode, Observation

RUN = "success"
SEED_OFFSET = 1_000_003
"""Added to the seed, so that no frame that a classifier learns from is of a demonstration's scene."""


class Motions:
    """Goes through the motions of another episode in whatever scene it is: that looks like success and is none."""

    def __init__(self, action_dim: int) -> None:
        self.actions: list[np.ndarray] = []
        """What was done elsewhere."""
        self._rest = np.zeros(action_dim, np.float32)
        self._next = 0

    def reset(self) -> None:
        self._next = 0

    def act(self, observation: Observation, deterministic: bool = False) -> np.ndarray:
        self._next += 1
        return self.actions[self._next - 1] if self._next <= len(self.actions) else self._rest


def record_success(
    folder: Path,
    driven: EnvSpec,
    alone: EnvSpec,
    policy: Path | None,
    count: int,
    seed: int,
    progress: Callable[[str], None] = lambda text: None,
) -> list[Episode]:
    """``count`` episodes in ``folder``, kept as they come; what it holds counts. The person of ``driven`` drives, then
    the same motions are gone through in the next scene, ``alone``, then the ``policy`` acts there, if there is one."""
    envs = {"person": driven.make(), "alone": alone.make()}
    action_dim = int(envs["alone"].action_space.shape[0])
    motions = Motions(action_dim)
    ways: list[tuple[EnvSpec, str, Policy]] = [
        (driven, "person", RestingPolicy(action_dim)),
        (alone, "alone", motions),
    ]
    if policy is not None:
        ways.append((alone, "alone", load_policy(policy)[0]))
    store = EpisodeStore(folder)
    try:
        episodes = [store.read(row) for row in store.list() if row.label != "discard"]
        for number in range(store.next_episode(RUN), count):
            spec, name, who = ways[number % len(ways)]
            shown = [e for e in episodes if any(step.source == Source.HUMAN for step in e.steps)]
            motions.actions = [step.executed_action for step in shown[-1].steps] if shown else []
            rollout = Rollout(envs[name], spec, RUN, seed + SEED_OFFSET, DEMO_SEEDS, store, first_episode=number)
            episodes += rollout.episodes(who, 1)
            progress(f"episodes: {number + 1}/{count}")
        return episodes
    finally:
        store.close()
        for env in envs.values():
            env.close()


def relabelled(episode: Episode, classifier: SuccessClassifier) -> Episode:
    """``episode`` as it would have been with ``classifier``: it ends at the first success that is seen, and one that is
    not seen is no termination. What a person said of a step stands: the operator's verdict, or that a demonstration
    succeeded. The file stays as it was recorded."""
    version = classifier.version
    if episode.header.classifier_version == version:
        return episode
    following = [*(step.observation for step in episode.steps[1:]), episode.final_observation]
    steps = []
    for i, step in enumerate(episode.steps):
        said = step.reward_inputs.get("key", 0.0) or float(step.source == Source.DEMO and step.success)
        called = said > 0 if said else classifier.sees_success(following[i])
        inputs = {**step.reward_inputs, "classifier": float(called)}
        ended = called or (step.terminated and not step.success)  # where the guard stopped it, it stays a failure
        cut_off = not ended and i == len(episode.steps) - 1
        judged = replace(step, reward_inputs=inputs, success=called, terminated=ended, truncated=cut_off)
        steps.append(judged)
        if called:
            break
    header = replace(episode.header, classifier_version=version)
    cut = len(steps) < len(episode.steps)
    base = episode.steps[len(steps)].base_action if cut else episode.final_base_action
    return Episode(header, steps, following[len(steps) - 1], base)


class FalsePositiveAlarm:
    """Rings where ``burst`` of the last ``window`` episodes ended with a success that nobody confirmed: a policy that
    found how to fool the classifier looks just like one that learned. A confirmed success makes it count anew."""

    def __init__(self, burst: int = 10, window: int = 20):
        self.burst = burst
        self._unconfirmed: deque[bool] = deque(maxlen=window)

    def rings(self, episode: Episode) -> bool:
        """Take note of a finished episode; whether a person should look now. One that was thrown away says nothing."""
        if episode.discarded:
            return False
        last = episode.steps[-1]
        if last.success and last.reward_inputs.get("key", 0.0) > 0:
            self._unconfirmed.clear()
            return False
        self._unconfirmed.append(last.success)
        ringing = sum(self._unconfirmed) >= self.burst
        if ringing:
            self._unconfirmed.clear()
        return ringing
