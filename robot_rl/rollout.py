"""Rollouts: an environment, a policy, and the steps and episodes that come of them."""

from __future__ import annotations

import importlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from hardware.interfaces import Source
from robot_rl.base_policy import BasePolicy
from robot_rl.env import RobotEnv
from robot_rl.episodes import EpisodeStore
from robot_rl.foreign import ForeignEnv
from robot_rl.peoples_code import search_current_folder
from robot_rl.policy import Policy
from robot_rl.recorder import Recorder
from robot_rl.types import Episode, EpisodeHeader, Observation, Step, StepId

TRAIN_SEEDS, DEMO_SEEDS, EVALUATION_SEEDS = 0, 1, 2
"""Streams of episode seeds that never meet."""


@dataclass(frozen=True)
class EnvSpec:
    """How to make an environment again: a gymnasium id (``sim:PegInsertion-v0``) and keyword arguments.

    The id's module, or else its namespace (``gym_hil/PandaPickCube-v0``), is imported, as that is what registers it.
    """

    id: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    def files(self) -> dict[str, str]:
        """What stands in the files that arguments name (``cell``, ``task`` of a real cell), by argument."""
        named = {name: Path(value) for name, value in self.kwargs.items() if str(value).endswith(".toml")}
        return {name: file.read_text(encoding="utf-8") for name, file in named.items() if file.is_file()}

    def make(self, **changes: Any) -> RobotEnv | ForeignEnv:
        """A fresh environment; ours as it is, another project's behind :class:`ForeignEnv`. ``changes`` override
        keyword arguments. Raises ValueError where there is no such environment, or it takes no such argument."""
        try:
            self._register()
            env = gymnasium.make(self.id, disable_env_checker=True, **{**self.kwargs, **changes})
        except (gymnasium.error.Error, ModuleNotFoundError) as error:
            raise ValueError(f"no environment '{self.id}': {error}") from None
        except TypeError as error:
            if "unexpected keyword argument" not in str(error):
                raise
            cause = str(error).partition(" was raised from")[0]
            raise ValueError(f"environment '{self.id}': {cause}") from None
        return env.unwrapped if isinstance(env.unwrapped, RobotEnv) else ForeignEnv(env, self.id)

    def _register(self) -> None:
        search_current_folder()
        namespace = self.id.rpartition("/")[0]
        if namespace and ":" not in namespace and namespace not in {s.namespace for s in gymnasium.registry.values()}:
            importlib.import_module(namespace)


def episode_seed(seed: int, stream: int, episode: int) -> int:
    """The environment seed of one episode of a run: streams and runs never share one by construction."""
    return int(np.random.SeedSequence([seed, stream, episode]).generate_state(1)[0] & 0x7FFFFFFF)


class Rollout:
    """Steps one environment with whatever policy it is handed, turns results into records, and files episodes."""

    def __init__(
        self,
        env: RobotEnv | ForeignEnv,
        spec: EnvSpec,
        run: str,
        seed: int,
        stream: int = TRAIN_SEEDS,
        store: EpisodeStore | None = None,
        first_episode: int = 0,
        actor: int = 0,
        reset_options: dict[str, Any] | None = None,
    ):
        """``reset_options`` go to every reset of the environment."""
        self.reset_options = reset_options
        self.watched = True
        """Whether a person is asked to watch the episodes that begin."""
        self.env, self.spec, self.run, self.seed, self.stream, self.store = env, spec, run, seed, stream, store
        self.episode, self.actor = first_episode - 1, actor
        self._header: EpisodeHeader | None = None
        self._files = spec.files()
        self._recorder = None if store is None else Recorder(store)
        self._steps: list[Step] = []
        self.observation: Observation = {}
        """The newest observation, which the next step acts on."""
        self.reset_s = 0.0
        """Robot time spent in resets so far."""
        self.paused_s = 0.0
        """Robot time for which an operator had it wait between episodes."""
        self.actions = 0
        """Asked of the policy so far."""
        self.inference_s = 0.0
        """How long the newest took, the base's included."""

    def step(
        self, policy: Policy, deterministic: bool = False, label: Source = Source.POLICY
    ) -> tuple[Step, Episode | None]:
        """Advance one step, resetting first where an episode begins; with the last step comes the whole episode.

        A base that ``policy`` works over is asked at every step, also where a person drives, and its answer is stored.
        What policy and base had planned is dropped whenever a person drove.

        ``label`` is who the policy's own steps count for: POLICY, BASE, or DEMO for a demonstration. Raises OSError,
        before the step is taken, where it could not be recorded.
        """
        if self._recorder is not None:
            self._recorder.check()
        if self._header is None:
            self._begin(policy)
        assert self._header is not None
        observation, began_s = self.observation, time.perf_counter()
        base = base_of(policy)
        if base is None:
            base_action = np.zeros(self._header.action_dim, np.float32)
            proposed = policy.act(observation, deterministic)
        else:
            base_action = np.asarray(base.act(observation), np.float32)
            proposed = policy.act(observation, deterministic, base_action)  # type: ignore[call-arg]
        self.actions, self.inference_s = self.actions + 1, time.perf_counter() - began_s
        stamp_s = self.env.now()
        self.observation, reward, terminated, truncated, info = self.env.step(proposed)
        source = Source(info.get("source", Source.POLICY))
        if source == Source.POLICY:
            source = label
        elif source == Source.HUMAN and label == Source.DEMO:
            source = Source.DEMO
        step = Step(
            id=StepId(self.run, self._header.actor, self.episode, len(self._steps)),
            observation=observation,
            executed_action=np.asarray(info.get("executed_action", proposed), np.float32),
            proposed_action=np.asarray(proposed, np.float32),
            base_action=base_action,
            source=source,
            intervention_start=bool(info.get("intervention_start", False)),
            reward=float(reward),
            terminated=bool(terminated),
            truncated=bool(truncated),
            success=bool(info.get("success", info.get("is_success", terminated and reward > 0))),
            stamp_s=stamp_s,
            raw=self.env.latest,
            reward_inputs=info.get("reward_inputs", {}),
        )
        self._steps.append(step)
        if source in (Source.HUMAN, Source.DEMO):
            _tell(policy, "flush")
        if self._recorder is not None:
            self._recorder.add(step)
        return step, self._finish(base, bool(info.get("discarded"))) if step.is_last else None

    def episodes(
        self, policy: Policy, count: int, deterministic: bool = False, label: Source = Source.POLICY
    ) -> Iterator[Episode]:
        """Yield ``count`` whole episodes, each once it is on file."""
        for _ in range(count):
            episode = None
            while episode is None:
                _, episode = self.step(policy, deterministic, label)
            self.flush()
            yield episode

    @property
    def running(self) -> bool:
        """Whether an episode is under way."""
        return self._header is not None

    def flush(self) -> None:
        """Wait until all that happened is on file. Raises OSError where it could not be recorded."""
        if self._recorder is not None:
            self._recorder.flush()

    def abort(self) -> None:
        """Leave the open episode, if there is one, unfinished; what is on file of it stays marked as aborted, and
        nothing is left to be written. OSError where it cannot be put in order now (a full disk): that is done when the
        store is opened again."""
        self._header, self._steps = None, []
        if self._recorder is not None:
            self._recorder.abort()

    def _reset_options(self) -> dict[str, Any] | None:
        return self.reset_options if self.watched else {**(self.reset_options or {}), "watched": False}

    def _begin(self, policy: Policy) -> None:
        _tell(policy, "reset")
        self.episode += 1
        seed = episode_seed(self.seed, self.stream, self.episode)
        self.observation, info = self.env.reset(seed=seed, options=self._reset_options())
        self.reset_s += float(info.get("reset_s", 0.0))
        self.paused_s += float(info.get("paused_s", 0.0))
        task, base = self.env.task.spec, base_of(policy)
        self._header = EpisodeHeader(
            run=self.run,
            actor=self.actor,
            episode=self.episode,
            task=task.name,
            seed=seed,
            control_hz=task.control_hz,
            action_dim=len(self.env.action_scale),
            action_scale=tuple(float(s) for s in self.env.action_scale),
            setup=info.get("setup", {}),
            initial_state=info.get("initial_state"),
            environment={"id": self.spec.id, **self.spec.kwargs},
            files=self._files,
            initial_robot=self.env.latest,
            base_version="" if base is None else base.version,
            classifier_version="" if self.env.classifier is None else self.env.classifier.version,
        )
        self._steps = []
        if self._recorder is not None:
            self._recorder.begin(self._header)

    def _finish(self, base: BasePolicy | None, discarded: bool) -> Episode:
        assert self._header is not None
        # Asked before anything is reset: where the episode was cut off, the value of going on needs it.
        final_base = None if base is None else np.asarray(base.act(self.observation), np.float32)
        if self._recorder is not None:
            self._recorder.finish(self.observation, final_base)
        if self.store is not None and discarded:
            self.flush()
            self.store.label(self.store.path_of(self.run, self.episode), "discard")
        episode = Episode(self._header, self._steps, self.observation, final_base, discarded)
        self._header, self._steps = None, []
        return episode


def base_of(policy: Policy) -> BasePolicy | None:
    """The base policy that ``policy`` works over, if it does."""
    return getattr(policy, "base", None)


def _tell(policy: Policy, what: str) -> None:
    """``reset`` or ``flush`` whatever keeps a plan or a history."""
    for memory in (policy, base_of(policy)):
        if hasattr(memory, what):
            getattr(memory, what)()
