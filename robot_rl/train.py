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
import torch

from hardware.interfaces import Gripper, Source, Vector6
from robot_rl.base_policy import BasePolicy
from robot_rl.bc import make_cloned_policy, train_cloned_policy
from robot_rl.checkpoint import Tensors, load_checkpoint, save_checkpoint
from robot_rl.config import TrainConfig, to_dict
from robot_rl.env import RobotEnv
from robot_rl.episodes import EpisodeStore
from robot_rl.foreign import ForeignEnv
from robot_rl.metrics import MetricsLog
from robot_rl.off_policy import OffPolicyLearner
from robot_rl.policy import Interface, Policy, load_policy, save_policy
from robot_rl.rlpd import RLPD
from robot_rl.rollout import EnvSpec, Rollout
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
        self.demos, self.base = list(demos), base
        self.tally = Tally()
        self._checkpoint_due = config.checkpoint_every
        out.mkdir(parents=True, exist_ok=True)
        resolved = {"env": dataclasses.asdict(spec), "seed": seed, "train": to_dict(config)}
        (out / "config.json").write_text(json.dumps(resolved, indent=1))
        self.metrics = MetricsLog(out)
        self.store = EpisodeStore(out / "episodes") if record else None
        self.rollout = Rollout(self.env, spec, out.name, seed, store=self.store)
        self._lend_critic()

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
            if episode is None:
                continue
            self.tally.add(episode)
            self.tally.wall_s = time.monotonic() - started
            self._report(values)
            if self.tally.env_steps >= self._checkpoint_due:
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

    def _lend_critic(self) -> None:
        """Let a person with the takeover rule ``value`` know by how much a reference critic prefers what their hand
        would do to what the policy does (RLIF, arXiv 2311.12996, sec. 5)."""
        folder = self.config.value_reference
        person: Any = getattr(getattr(self.env, "robot", None), "teleop", None)
        if folder is None or not hasattr(person, "judge_by"):
            return
        reference, interface = load_policy(Path(folder))
        if not isinstance(reference, RLPD) or interface != self.interface:
            raise ValueError(
                f"'{folder}' has no critic for '{self.interface.task}': give a run of `robot-rl train` on it"
            )

        def preference(twist: Vector6, gripper: Gripper) -> float:
            observation, proposed = self.rollout.observation, self.rollout.proposed
            hand = proposed.copy()
            hand[:6] = np.clip(twist, -1.0, 1.0)
            if len(hand) > 6 and gripper != Gripper.HOLD:
                hand[6] = float(gripper)
            return reference.value(observation, hand) - reference.value(observation, proposed)

        person.judge_by(preference)

    def save(self) -> None:
        """The policy, and a checkpoint of everything that going on needs."""
        self._checkpoint_due = (self.tally.env_steps // self.config.checkpoint_every + 1) * self.config.checkpoint_every
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
        if not (self.out / "checkpoints" / "LATEST").exists():
            return False
        tensors, metadata = load_checkpoint(self.out / "checkpoints")
        if {**metadata["config"], "env_steps": 0} != {**json.loads(json.dumps(to_dict(self.config))), "env_steps": 0}:
            raise ValueError(
                f"'{self.out}' holds a run with another configuration: give another --out, or the same options"
            )
        self.load_state(tensors, metadata)
        self.tally = Tally(**metadata["tally"])
        self._checkpoint_due = (self.tally.env_steps // self.config.checkpoint_every + 1) * self.config.checkpoint_every
        self.rollout.episode, self.rollout.reset_s = metadata["episode"], self.tally.reset_s
        return True

    # What a learner has to say; the two below do.

    @property
    def policy(self) -> Any:
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
        face = self.interface
        sizes = (face.state_dim, face.action_dim, face.gripper_index)
        self.cloned = make_cloned_policy(self.config.cloning, *sizes, seed=self.seed)
        self.shown: list[Episode] = list(self.demos)
        self.corrected: list[int] = []
        """Numbers of this run's episodes that a person corrected."""
        self.losses: dict[str, float] = {}
        if not self.resume():
            self.losses = train_cloned_policy(self.cloned, self.shown, self.seed)

    @property
    def policy(self) -> Any:
        return self.cloned

    def acting_policy(self) -> tuple[Policy, Source]:
        return self.cloned, Source.POLICY

    def learn(self, step: Step, episode: Episode | None) -> Mapping[str, float]:
        if episode is not None and episode.intervened_steps:
            self.shown.append(episode)
            self.corrected.append(episode.header.episode)
        if self.tally.env_steps % self.config.dagger_every == 0:
            self.losses = train_cloned_policy(self.cloned, self.shown, self.seed + self.tally.env_steps)
            self.tally.updates += self.config.cloning.steps
        return self.losses

    def state(self) -> tuple[Tensors, dict[str, Any]]:
        """The weights, and which episodes were corrected: the episodes themselves are in the store."""
        return {"policy": self.cloned.state_dict()}, {"corrected": self.corrected, "losses": self.losses}

    def load_state(self, tensors: Tensors, metadata: Mapping[str, Any]) -> None:
        self.cloned.load_state_dict({k: torch.as_tensor(v) for k, v in tensors["policy"].items()})
        self.losses, self.corrected = metadata["losses"], metadata["corrected"]
        rows = {} if self.store is None else {r.episode: r for r in self.store.list() if r.run == self.rollout.run}
        missing = [number for number in self.corrected if number not in rows or not rows[number].complete]
        if missing:
            raise ValueError(
                f"'{self.out}' cannot be resumed: its corrected episodes {missing} are not in '{self.out / 'episodes'}'"
            )
        self.shown += [self.store.read(rows[number]) for number in self.corrected if self.store is not None]


class RLTrainer(Trainer):
    """The off-policy learner: ``utd_ratio`` critic updates an environment step, never more, never fewer. In one process
    the environment waits while the learner updates, and the learner while the environment steps."""

    def __init__(self, *args: Any, resume: bool = True, **kwargs: Any):
        super().__init__(*args, **kwargs)
        layout = {name: (s.shape or (), np.dtype(s.dtype)) for name, s in self.env.observation_space.items()}
        face = self.interface
        self.learner = OffPolicyLearner(self.config, layout, face.action_dim, face.gripper_index, self.seed, self.base)
        agent, rng = self.learner.agent, self.learner.rng
        self.collector: Policy = RandomPolicy(rng, face.action_dim, agent.base)
        if self.config.warmup == "base" and self.base is not None:
            self.collector = BaseCollector(self.base, rng, self.config.warmup_noise, agent.arm_dim, agent.base)
        self._stepped_s: float | None = None
        if not (resume and self.resume()):
            self.learner.show(self.demos, normalize=isinstance(self.env, ForeignEnv))

    @property
    def policy(self) -> Any:
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
