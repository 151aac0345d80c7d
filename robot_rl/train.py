"""Training in one process: a rollout feeds the learner, which keeps pace with it; everything can be resumed."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hardware.interfaces import Source
from robot_rl.base_policy import BasePolicy
from robot_rl.bc import make_cloned_policy, train_cloned_policy
from robot_rl.checkpoint import LATEST, Tensors, by_number, load_checkpoint, numbered, save_checkpoint
from robot_rl.cloned_policy import ClonedPolicy
from robot_rl.command import say
from robot_rl.config import TrainConfig, from_dict, to_dict
from robot_rl.env import RobotEnv
from robot_rl.episodes import EpisodeStore
from robot_rl.foreign import ForeignEnv
from robot_rl.judged import FalsePositiveAlarm
from robot_rl.metrics import MetricsLog
from robot_rl.off_policy import OffPolicyLearner
from robot_rl.policy import Interface, Policy, save_policy
from robot_rl.rlpd import RLPD
from robot_rl.rollout import EnvSpec, Rollout
from robot_rl.shown import Shown
from robot_rl.types import Episode, Observation, Step

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
    person_s: float = 0.0
    """How long the person has driven, where they count it."""
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
    """One run in the folder ``out``: ``config.json``, ``metrics.jsonl``, episodes, checkpoints, and the policy.

    Checkpoints are taken where an episode ends, so that a run that goes on from one does, bit for bit, what it would
    have done without the interruption. Ctrl-C in an episode leaves a checkpoint too; that episode is lost.
    """

    def __init__(
        self,
        out: Path,
        spec: EnvSpec,
        config: TrainConfig,
        demos: Sequence[Episode] = (),
        base: BasePolicy | None = None,
        seed: int = 0,
        progress: Progress = lambda _: None,
        record: bool = True,
    ):
        self.out, self.spec, self.config, self.seed, self.progress = out, spec, config, seed, progress
        self.env: RobotEnv | ForeignEnv = spec.make()
        self.interface = Interface.of(self.env)
        person: Any = getattr(getattr(self.env, "robot", None), "teleop", None)
        self.attention: Any = getattr(person, "stats", None)
        """The person's own count of their time; None where nobody counts."""
        self.demos, self.base = list(demos), base
        self.alarm = None if self.env.classifier is None else FalsePositiveAlarm()
        self.tally = Tally()
        self._saved_steps = 0
        out.mkdir(parents=True, exist_ok=True)
        resolved = {"env": dataclasses.asdict(spec), "seed": seed, "train": to_dict(config)}
        (out / "config.json").write_text(json.dumps(resolved, indent=1))
        self.metrics = MetricsLog(out)
        store = EpisodeStore(out / "episodes") if record else None
        self.rollout = Rollout(self.env, spec, out.name, seed, store=store)

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
            self.tally.person_s = 0.0 if self.attention is None else self.attention.driving_s
            values = self.learn(step, episode)
            if episode is None:
                continue
            self.tally.add(episode)
            if self.alarm is not None and self.alarm.rings(episode):
                say(f"{self.alarm.burst} successes that nobody confirmed: look whether the classifier is being fooled")
            self.tally.wall_s = time.monotonic() - started
            self._report(values)
            every = self.config.checkpoint_every
            if self.tally.env_steps // every > self._saved_steps // every:
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
        if self.attention is not None:
            row["person_s"] = tally.person_s
        self.metrics.log(tally.env_steps, row)
        self.progress(row)

    def save(self) -> None:
        """The policy, and a checkpoint of everything that going on needs."""
        self._saved_steps = self.tally.env_steps
        save_policy(self.out / "policy", self.policy, self.interface, self.tally.env_steps)
        tensors, metadata = self.state()
        metadata |= {
            "env_steps": self.tally.env_steps,
            "tally": dataclasses.asdict(self.tally),
            "episode": self.rollout.episode,
            "config": to_dict(self.config),
        }
        save_checkpoint(self.out / "checkpoints", tensors, metadata, keep=self.config.checkpoints_kept)

    def resume(self) -> bool:
        """Go on from the newest valid checkpoint of this run; False when there is none."""
        if not (self.out / "checkpoints" / LATEST).exists():
            return False
        tensors, metadata = load_checkpoint(self.out / "checkpoints")
        saved = to_dict(from_dict(TrainConfig, metadata["config"]))  # with defaults for what is newer than it
        mine, theirs = (json.loads(json.dumps({**c, "env_steps": 0})) for c in (to_dict(self.config), saved))
        if mine != theirs:
            raise ValueError(
                f"'{self.out}' holds a run with another configuration: give another --out, or the same options"
            )
        self.load_state(tensors, metadata)
        self.tally = Tally(**metadata["tally"])
        self._saved_steps = self.tally.env_steps
        self.rollout.episode, self.rollout.reset_s = metadata["episode"], self.tally.reset_s
        if self.attention is not None:
            self.attention.driving_s = self.tally.person_s
        return True

    # What a learner has to say; the two below do.

    @property
    def policy(self) -> RLPD | ClonedPolicy:
        """What is saved."""
        raise NotImplementedError

    def acting_policy(self) -> tuple[Policy, Source]:
        raise NotImplementedError

    def learn(self, step: Step, episode: Episode | None) -> Mapping[str, float]:
        raise NotImplementedError

    def state(self) -> tuple[Tensors, dict[str, Any]]:
        raise NotImplementedError

    def load_state(self, tensors: Tensors, metadata: Mapping[str, Any]) -> None:
        raise NotImplementedError


class CloningTrainer(Trainer):
    """Behaviour cloning; with a person in the environment, HG-DAgger (arXiv 1810.02890): the novice drives, the person
    corrects, and the policy is fitted again to all that the person has shown."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.cloned = make_cloned_policy(self.config.cloning, *self.interface.sizes, seed=self.seed)
        self.shown: list[Shown] = self.cloned.shown_in(self.demos)
        self.corrections: list[Shown] = []
        """What the person has shown in this run."""
        self.fits = 0
        """How often the policy was fitted again."""
        self.losses: dict[str, float] = {}
        if not self.resume():
            self.losses = train_cloned_policy(self.cloned, self.shown, self.seed)

    @property
    def policy(self) -> ClonedPolicy:
        return self.cloned

    def acting_policy(self) -> tuple[Policy, Source]:
        return self.cloned, Source.POLICY

    def learn(self, step: Step, episode: Episode | None) -> Mapping[str, float]:
        if episode is not None and episode.intervened_steps:
            self.corrections += self.cloned.shown_in([episode])
        if self.tally.env_steps // self.config.dagger_every > self.fits:
            shown = [*self.shown, *self.corrections]
            self.losses = train_cloned_policy(self.cloned, shown, self.seed + self.tally.env_steps)
            self.fits += 1
            self.tally.updates += self.config.cloning.steps
        return self.losses

    def state(self) -> tuple[Tensors, dict[str, Any]]:
        corrections = numbered({i: part.tensors() for i, part in enumerate(self.corrections)})
        metadata = {"losses": self.losses, "fits": self.fits, "rng": self.cloned.rng.bit_generator.state}
        return {"policy": self.cloned.state_dict(), "corrections": corrections}, metadata

    def load_state(self, tensors: Tensors, metadata: Mapping[str, Any]) -> None:
        self.cloned.load_state_dict(tensors["policy"])
        self.corrections = [Shown.of(part) for part in by_number(tensors["corrections"]).values()]
        self.losses, self.fits = metadata["losses"], metadata["fits"]
        self.cloned.rng.bit_generator.state = metadata["rng"]


class RLTrainer(Trainer):
    """The off-policy learner: ``utd_ratio`` critic updates an environment step, never more, never fewer. In one process
    the environment waits while the learner updates, and the learner while the environment steps."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        layout = {name: (s.shape or (), np.dtype(s.dtype)) for name, s in self.env.observation_space.items()}
        _, action_dim, gripper_index = self.interface.sizes
        self.learner = OffPolicyLearner(self.config, layout, action_dim, gripper_index, self.seed, self.base)
        agent, rng = self.learner.agent, self.learner.rng
        self.collector: Policy = RandomPolicy(rng, action_dim, agent.base)
        if self.config.warmup == "base" and self.base is not None:
            self.collector = BaseCollector(self.base, rng, self.config.warmup_noise, agent.arm_dim, agent.base)
        self._stepped_s: float | None = None
        if not self.resume():
            self.learner.show(self.demos, normalize=isinstance(self.env, ForeignEnv))

    @property
    def policy(self) -> RLPD:
        return self.learner.agent

    def acting_policy(self) -> tuple[Policy, Source]:
        if self.tally.env_steps >= self.config.warmup_steps:
            return self.learner.agent, Source.POLICY
        return self.collector, Source.BASE if isinstance(self.collector, BaseCollector) else Source.POLICY

    def learn(self, step: Step, episode: Episode | None) -> Mapping[str, float]:
        learner, began = self.learner, time.monotonic()
        if self._stepped_s is not None:
            learner.governor.learner_wait_s += began - self._stepped_s
        learner.remember(step)
        if episode is not None:
            learner.finish(step, episode.final_observation, episode.final_base_action)
        metrics = learner.learn()
        self.tally.updates = learner.actor_updates
        self._stepped_s = time.monotonic()
        learner.governor.actor_wait_s += self._stepped_s - began
        if episode is None or not metrics:
            return {}
        return {name: float(value) for name, value in metrics.items()} | learner.health()

    def state(self) -> tuple[Tensors, dict[str, Any]]:
        return self.learner.state()

    def load_state(self, tensors: Tensors, metadata: Mapping[str, Any]) -> None:
        self.learner.load_state(tensors, metadata)


@dataclass
class RandomPolicy:
    """Uniform actions, for warm-up without a base."""

    rng: np.random.Generator
    action_dim: int
    base: BasePolicy | None = None

    def act(self, observation: Observation, deterministic: bool = False, base_action: object = None) -> np.ndarray:
        return self.rng.uniform(-1.0, 1.0, self.action_dim).astype(np.float32)


@dataclass
class BaseCollector:
    """``source`` with uniform noise of ± ``noise`` on the arm: collects the first steps. ``base`` is the same policy
    where the actor works over it, and None where it only warms up."""

    source: BasePolicy
    rng: np.random.Generator
    noise: float
    arm_dim: int
    base: BasePolicy | None = None

    def reset(self) -> None:
        self.source.reset()

    def flush(self) -> None:
        self.source.flush()

    def act(
        self, observation: Observation, deterministic: bool = False, base_action: np.ndarray | None = None
    ) -> np.ndarray:
        action = np.array(self.source.act(observation) if base_action is None else base_action)
        if self.noise > 0:
            action[: self.arm_dim] += self.rng.uniform(-self.noise, self.noise, self.arm_dim).astype(np.float32)
        return np.clip(action, -1.0, 1.0)


def train(out: Path, spec: EnvSpec, config: TrainConfig, **options: Any) -> Tally:
    """Run ``config`` in ``out`` (options as :class:`Trainer`); continues what is there."""
    kind = RLTrainer if config.method == "rl" else CloningTrainer
    return kind(out, spec, config, **options).run()
