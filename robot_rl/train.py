"""Training in one process: a rollout feeds replay, the learner keeps pace with it, everything can be resumed."""

from __future__ import annotations

import dataclasses
import json
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hardware.interfaces import Source
from robot_rl.bc import ClonedPolicy, shown_by_person, train_cloned_policy
from robot_rl.checkpoint import load_checkpoint, save_checkpoint
from robot_rl.config import TrainConfig, to_dict
from robot_rl.env import RobotEnv
from robot_rl.episodes import EpisodeStore
from robot_rl.foreign import ForeignEnv
from robot_rl.metrics import MetricsLog
from robot_rl.policy import Interface, Policy, save_policy
from robot_rl.replay_buffer import Mixture, ReplayBuffer
from robot_rl.rlpd import RLPD
from robot_rl.rollout import EnvSpec, Rollout
from robot_rl.types import Episode, Step

WINDOW = 20
"""Episodes over which running rates are taken."""
Progress = Callable[[Mapping[str, float]], None]


@dataclass
class Tally:
    """What happened so far, per finished episode; saved with checkpoints."""

    successes: list[bool] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    human_steps: list[int] = field(default_factory=list)
    env_steps: int = 0
    updates: int = 0
    reset_s: float = 0.0
    wall_s: float = 0.0

    def add(self, episode: Episode) -> None:
        self.successes.append(episode.success)
        self.lengths.append(len(episode.steps))
        self.human_steps.append(episode.intervened_steps)

    def recent(self) -> dict[str, float]:
        """Rates over the last episodes. Success is the share of *all* of them that succeeded with nobody's help: among
        the autonomous ones alone it would always look well, since the person takes over those that would fail."""
        last = list(zip(self.successes, self.lengths, self.human_steps, strict=True))[-WINDOW:]
        alone = [s for s, _, human in last if human == 0]
        steps = sum(n for _, n, _ in last)
        return {
            "success": sum(alone) / max(len(last), 1),
            "autonomous_episodes": float(len(alone)),
            "intervention_rate": sum(h for _, _, h in last) / max(steps, 1),
            "episode_steps": steps / max(len(last), 1),
            "episodes": float(len(self.successes)),
        }


class Trainer:
    """One run in the folder ``out``: ``config.json``, ``metrics.jsonl``, episodes, checkpoints, and the policy."""

    def __init__(
        self,
        out: Path,
        spec: EnvSpec,
        config: TrainConfig,
        demos: Sequence[Episode] = (),
        base: ClonedPolicy | None = None,
        seed: int = 0,
        progress: Progress = lambda _: None,
        record: bool = True,
    ):
        self.out, self.spec, self.config, self.seed, self.progress = out, spec, config, seed, progress
        self.env: RobotEnv | ForeignEnv = spec.make()
        self.interface = Interface.of(self.env)
        self.demos, self.base = list(demos), base
        self.tally = Tally()
        out.mkdir(parents=True, exist_ok=True)
        resolved = {"env": dataclasses.asdict(spec), "seed": seed, "train": to_dict(config)}
        (out / "config.json").write_text(json.dumps(resolved, indent=1))
        self.metrics = MetricsLog(out)
        store = EpisodeStore(out / "episodes") if record else None
        self.rollout = Rollout(self.env, spec, out.name, seed, store=store)
        self.rng = np.random.default_rng([seed, 7])

    def run(self) -> Tally:
        """Train to the end, or until Ctrl-C: either way the last state is on disk, and the policy in ``policy/``."""
        started = time.monotonic() - self.tally.wall_s
        try:
            self._loop(started)
        finally:
            self.tally.wall_s = time.monotonic() - started
            self.rollout.abort()
            self.save()
            self.metrics.close()
            self.env.close()
        return self.tally

    def _loop(self, started: float) -> None:
        while self.tally.env_steps < self.config.env_steps:
            policy, label = self.acting_policy()
            step, episode = self.rollout.step(policy, label=label)
            self.tally.env_steps += 1
            self.tally.reset_s = self.rollout.reset_s
            values = self.learn(step, episode)
            if episode is not None:
                self.tally.add(episode)
                self.tally.wall_s = time.monotonic() - started
                self._report(values)
            if self.tally.env_steps % self.config.checkpoint_every == 0:
                self.save()

    def _report(self, values: Mapping[str, float]) -> None:
        tally = self.tally
        row = {
            "env_steps": tally.env_steps,
            "updates": tally.updates,
            "wall_s": tally.wall_s,
            **tally.recent(),
            **values,
        }
        person: Any = getattr(getattr(self.env, "robot", None), "teleop", None)
        if hasattr(person, "stats"):
            row["person_s"] = float(person.stats.driving_s)
        self.metrics.log(tally.env_steps, row)
        self.progress(row)

    # What a learner has to say; the two below do.

    def acting_policy(self) -> tuple[Policy, Source]:
        raise NotImplementedError

    def learn(self, step: Step, episode: Episode | None) -> Mapping[str, float]:
        raise NotImplementedError

    def save(self) -> None:
        raise NotImplementedError


class CloningTrainer(Trainer):
    """Behaviour cloning; with a person in the environment, HG-DAgger (arXiv 1810.02890): the novice drives, the person
    corrects, and the policy is fitted again to all that the person has shown."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        face = self.interface
        torch.manual_seed(self.seed)
        self.policy = ClonedPolicy(self.config.cloning, face.state_dim, face.action_dim, face.gripper_index)
        self.shown: list[Episode] = list(self.demos)
        self.losses = train_cloned_policy(self.policy, self.shown, self.seed)

    def acting_policy(self) -> tuple[Policy, Source]:
        return self.policy, Source.POLICY

    def learn(self, step: Step, episode: Episode | None) -> Mapping[str, float]:
        if episode is not None and episode.intervened_steps:
            self.shown.append(episode)
        if self.tally.env_steps % self.config.dagger_every == 0:
            self.losses = train_cloned_policy(self.policy, self.shown, self.seed + self.tally.env_steps)
            self.tally.updates += self.config.cloning.steps
        return self.losses

    def save(self) -> None:
        save_policy(self.out / "policy", self.policy, self.interface, self.tally.env_steps)


class RLTrainer(Trainer):
    """The off-policy learner: ``utd_ratio`` critic updates an environment step, never more, never fewer."""

    def __init__(self, *args: Any, resume: bool = True, **kwargs: Any):
        super().__init__(*args, **kwargs)
        face, learner = self.interface, self.config.learner
        self.agent = RLPD(learner, face.state_dim, face.action_dim, face.gripper_index, self.seed)
        layout = {name: (s.shape or (), np.dtype(s.dtype)) for name, s in self.env.observation_space.items()}
        self.online = ReplayBuffer(learner.replay_capacity, layout, face.action_dim)
        self.prior = ReplayBuffer(learner.replay_capacity, layout, face.action_dim)
        self.mixture = Mixture((self.online, self.prior), (1.0 - learner.prior_fraction, learner.prior_fraction))
        self.critic_updates = 0
        self._person_was_driving: Step | None = None
        self._window: deque[Mapping[str, torch.Tensor]] = deque(maxlen=1)
        if not (resume and self._resume()):
            for episode in self.demos:
                self.prior.add_episode(episode)
            if self.demos and isinstance(self.env, ForeignEnv):
                self.agent.normalize_states_by(shown_by_person(self.demos)[0])
            if self.config.pretrain_actor and self.demos:
                self._pretrain()

    def acting_policy(self) -> tuple[Policy, Source]:
        if self.tally.env_steps >= self.config.warmup_steps:
            return self.agent, Source.POLICY
        if self.config.warmup == "base" and self.base is not None:
            return self.base, Source.BASE
        return RandomPolicy(self.rng, self.interface.action_dim), Source.POLICY

    def learn(self, step: Step, episode: Episode | None) -> Mapping[str, float]:
        self._remember(step, episode)
        learner = self.config.learner
        if self.tally.env_steps < self.config.warmup_steps:
            return {}
        if self.critic_updates == 0:
            while self.critic_updates < self.config.critic_only_updates:
                self._update(train_actor=False)
        self._window.append(self._update(train_actor=True))
        if episode is None:
            return {}
        values = {name: float(value) for name, value in self._window[-1].items()}
        return values | {"utd": learner.utd_ratio * self.tally.updates / max(self.tally.env_steps, 1)}

    def _update(self, train_actor: bool) -> Mapping[str, torch.Tensor]:
        learner = self.config.learner
        batches = self.mixture.sample(
            self.rng, learner.batch_size, learner.gamma, learner.n_step, learner.reward, learner.cut_at_takeover,
            parts=learner.utd_ratio,
        )  # fmt: skip
        metrics = self.agent.update(batches, train_actor)
        self.critic_updates += learner.utd_ratio
        self.tally.updates += train_actor
        return metrics

    def _remember(self, step: Step, episode: Episode | None) -> None:
        """Every step goes online; every step the person drove goes to the prior buffer as well, whole segments with the
        observation that followed them."""
        self.online.add(step)
        before = self._person_was_driving
        if before is not None and step.source != Source.HUMAN:
            self.prior.finish(before.id, step.observation)
        self._person_was_driving = step if step.source == Source.HUMAN else None
        if step.source == Source.HUMAN:
            self.prior.add(step)
        if episode is not None:
            self.online.finish(step.id, episode.final_observation)
            if step.source == Source.HUMAN:
                self.prior.finish(step.id, episode.final_observation)
            self._person_was_driving = None

    def _pretrain(self) -> None:
        learner = self.config.learner
        for _ in range(self.config.cloning.steps):
            batch = Mixture((self.prior,), (1.0,)).sample(
                self.rng, learner.batch_size, learner.gamma, 1, learner.reward
            )[0]
            self.agent.clone(batch)

    def save(self) -> None:
        save_policy(self.out / "policy", self.agent, self.interface, self.tally.env_steps)
        online, online_counters = self.online.state()
        prior, prior_counters = self.prior.state()
        tensors = {"agent": self.agent.state_dict(), "online": online, "prior": prior, **self._optimizer_tensors()}
        metadata = {
            "env_steps": self.tally.env_steps,
            "tally": dataclasses.asdict(self.tally),
            "online": online_counters,
            "prior": prior_counters,
            "critic_updates": self.critic_updates,
            "episode": self.rollout.episode,
            "rng": self.rng.bit_generator.state,
            "config": to_dict(self.config),
        }
        tensors["generator"] = {"state": self.agent.generator.get_state()}
        save_checkpoint(self.out / "checkpoints", tensors, metadata, keep=self.config.checkpoints_kept)

    def _optimizer_tensors(self) -> dict[str, dict[str, torch.Tensor]]:
        named = {}
        for name, optimizer in self.agent.optimizers().items():
            state = optimizer.state_dict()["state"]
            named[f"optimizer.{name}"] = {
                f"{i}.{key}": value for i, entry in state.items() for key, value in entry.items()
            }
        return named

    def _resume(self) -> bool:
        """Continue from the newest valid checkpoint of this run; False when there is none."""
        if not (self.out / "checkpoints" / "LATEST").exists():
            return False
        tensors, metadata = load_checkpoint(self.out / "checkpoints")
        if metadata["config"] != json.loads(json.dumps(to_dict(self.config))) and not _only_longer(
            metadata, self.config
        ):
            raise ValueError(
                f"'{self.out}' holds a run with another configuration: give another --out, or the same options"
            )
        self.agent.load_state_dict({k: torch.as_tensor(v) for k, v in tensors["agent"].items()})
        for name, optimizer in self.agent.optimizers().items():
            state: dict[int, dict[str, torch.Tensor]] = {}
            for key, value in tensors[f"optimizer.{name}"].items():
                index, _, entry = key.partition(".")
                state.setdefault(int(index), {})[entry] = torch.as_tensor(value)
            optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
        self.agent.generator.set_state(torch.as_tensor(tensors["generator"]["state"], dtype=torch.uint8))
        for buffer, name in ((self.online, "online"), (self.prior, "prior")):
            buffer.load_state({k: np.asarray(v) for k, v in tensors[name].items()}, metadata[name])
        self.rng.bit_generator.state = metadata["rng"]
        self.tally = Tally(**metadata["tally"])
        self.critic_updates = metadata["critic_updates"]
        self.rollout.episode, self.rollout.reset_s = metadata["episode"], self.tally.reset_s
        return True


def _only_longer(metadata: Mapping[str, Any], config: TrainConfig) -> bool:
    """A run may be continued for more steps; nothing else may differ."""
    ours = json.loads(json.dumps(to_dict(config)))
    return {**metadata["config"], "env_steps": 0} == {**ours, "env_steps": 0}


@dataclass
class RandomPolicy:
    """Uniform actions, for warm-up without a base."""

    rng: np.random.Generator
    action_dim: int

    def act(self, observation: object, deterministic: bool = False) -> np.ndarray:
        return self.rng.uniform(-1.0, 1.0, self.action_dim).astype(np.float32)


def train(out: Path, spec: EnvSpec, config: TrainConfig, **options: Any) -> Tally:
    """Run ``config`` in ``out`` (options as :class:`Trainer`); continues what is there."""
    kind = RLTrainer if config.method == "rl" else CloningTrainer
    return kind(out, spec, config, **options).run()
