"""Demonstrations: recorded by the environment's person or by a scripted policy, kept on disk, cloned into a base."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hardware.interfaces import Source
from robot_rl.bc import make_cloned_policy, train_cloned_policy
from robot_rl.cloned_policy import ClonedPolicy
from robot_rl.cloning_config import CloningConfig
from robot_rl.env import RobotEnv
from robot_rl.episodes import EpisodeStore, load_demos
from robot_rl.feeling import require_wrench
from robot_rl.foreign import ForeignEnv
from robot_rl.peoples_code import load_callable
from robot_rl.policy import Interface, Policy, load_policy, save_policy
from robot_rl.rollout import DEMO_SEEDS, EnvSpec, Rollout
from robot_rl.types import Episode, Observation

ATTEMPTS_PER_DEMO = 5
"""Failed demonstrations are thrown away, as people do; a source that fails more often than this is refused."""


class RestingPolicy:
    """Proposes to stay: what runs under a person who drives all of the time."""

    def __init__(self, action_dim: int):
        self._action = np.zeros(action_dim, np.float32)

    def act(self, observation: Observation, deterministic: bool = False) -> np.ndarray:
        return self._action


class ScriptedPolicy:
    """``module:function`` as a demonstrator. ``function(env)`` is called at the start of each episode with the
    environment itself (its privileged state included) and returns ``observation -> action``: the observation as this
    project flattens it, the action in [-1, 1]."""

    def __init__(self, path: str, env: RobotEnv | ForeignEnv):
        self._make: Callable[[Any], Callable[[Observation], Any]] = load_callable(path)
        self._env = env.env.unwrapped if isinstance(env, ForeignEnv) else env

    def reset(self) -> None:
        self._act: Callable[[Observation], Any] | None = None

    def act(self, observation: Observation, deterministic: bool = False) -> np.ndarray:
        if self._act is None:  # only now has the environment begun the episode
            self._act = self._make(self._env)
        return np.asarray(self._act(observation), np.float32)


def collect_demos(
    folder: Path,
    spec: EnvSpec,
    count: int,
    seed: int,
    policy: str | None = None,
    progress: Callable[[int, int], None] = lambda done, wanted: None,
) -> list[Episode]:
    """``count`` successful demonstrations on the demonstration stream of ``seed``, recorded in ``folder``.

    What the folder already holds counts. The person of ``spec`` drives (a rule that takes over at once), or the
    scripted ``policy`` (``module:function``). Raises ValueError when too few attempts succeed.
    """
    env = spec.make()
    store = EpisodeStore(folder, kind="demo")
    try:
        name, action_dim = env.task.spec.name, int(env.action_space.shape[0])
        episodes = [e for e in load_demos(folder, name, action_dim) if e.success] if store.list() else []
        attempts = store.next_episode("demo")
        rollout = Rollout(env, spec, "demo", seed, DEMO_SEEDS, store, first_episode=attempts)
        demonstrator: Policy = RestingPolicy(action_dim) if policy is None else ScriptedPolicy(policy, env)
        while len(episodes) < count:
            if attempts >= ATTEMPTS_PER_DEMO * count:
                raise ValueError(
                    f"only {len(episodes)} of {attempts} demonstrations of '{name}' succeeded: {count} wanted"
                )
            episode = next(iter(rollout.episodes(demonstrator, 1, label=Source.DEMO)))
            attempts += 1
            if episode.success:
                episodes.append(episode)
                progress(len(episodes), count)
            else:
                failed = [row.path for row in store.list() if (row.run, row.episode) == ("demo", rollout.episode)]
                store.label(failed[-1], "discard")
        return episodes[:count]
    finally:
        store.close()
        env.close()


def require_entries(demos: list[Episode], shapes: Mapping[str, tuple[int, ...]], folder: Path) -> list[Episode]:
    """``demos``; raises ValueError unless their observations hold the entries of ``shapes`` in those shapes."""
    for episode in demos:
        for name, shape in shapes.items():
            found = episode.final_observation.get(name)
            if found is None or found.shape != shape:
                has = "no such entry" if found is None else f"one of {found.shape}"
                raise ValueError(
                    f"the demonstrations in '{folder}' do not fit: the observation's '{name}' here has shape {shape}, "
                    f"theirs have {has}; record them with the same --cameras, --image-size and --env-kwargs"
                )
    return demos


def clone_base(folder: Path, spec: EnvSpec, config: CloningConfig, demos: list[Episode], seed: int) -> ClonedPolicy:
    """The behaviour-cloned base of ``demos`` for the environment of ``spec``: see :func:`clone_for`. Raises ValueError
    where it has not what ``config`` needs."""
    env = spec.make()
    require_wrench(config.feel, spec, isinstance(env, ForeignEnv))
    interface = Interface.of(env)
    env.close()
    return clone_for(folder, interface, config, demos, seed)


def clone_for(
    folder: Path, interface: Interface, config: CloningConfig, demos: list[Episode], seed: int
) -> ClonedPolicy:
    """The behaviour-cloned base of ``demos``, saved in ``folder``; what is already there is loaded instead."""
    if (folder / "policy.json").exists():
        policy, made_for = load_policy(folder)
        require_fit(folder, made_for, interface)
        assert isinstance(policy, ClonedPolicy)
        return policy
    policy = make_cloned_policy(config, *interface.sizes, seed=seed)
    train_cloned_policy(policy, policy.shown_in(demos), seed)
    save_policy(folder, policy, interface)
    return policy


def require_fit(folder: Path, made_for: Interface, interface: Interface) -> None:
    """Raises ValueError unless the policy in ``folder``, made for one interface, fits the environment's."""
    if made_for != interface:
        raise ValueError(
            f"the policy in '{folder}' was made for '{made_for.task}' with {made_for.state_dim} observation entries "
            f"and {made_for.action_dim} actions, but '{interface.task}' here has {interface.state_dim} and "
            f"{interface.action_dim}: train it again, or give the environment it was trained in"
        )
