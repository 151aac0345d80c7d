"""``robot-rl record-success`` and ``train-classifier``: what success looks like, and a classifier of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from robot_rl.classifier_config import ClassifierConfig
from robot_rl.command import Command, say

LOW_RECALL = 0.5
"""Of held-out successes: below it the classifier is warned of."""


@dataclass(kw_only=True)
class RecordSuccess(Command):
    """Record what success looks like, and what merely looks like it: the same motions in another scene."""

    cameras: tuple[str, ...] = ("front", "wrist")
    """Cameras to record."""
    episodes: int = 20
    """Episodes to record; what the folder holds counts."""
    skill: str = "expert"
    """Of the twin's scripted person, who drives: novice, intermediate, expert, or a file of `robot-rl fit-person`."""
    policy: Path | None = None
    """A run whose policy drives every third episode: its failures are those the classifier will meet."""

    def run(self) -> Mapping[str, Any]:
        from robot_rl.judged import record_success

        out = self.folder(f"success-{self.name()}")
        alone = self.env_spec(ends_on_success=False)
        driven = self.env_spec(person=self.skill, takeover="always", ends_on_success=False)
        episodes = record_success(out, driven, alone, self.policy, self.episodes, self.seed, say)
        frames = sum(len(episode.steps) for episode in episodes)
        successes = sum(step.success for episode in episodes for step in episode.steps)
        return {"out": out, "episodes": len(episodes), "frames": frames, "successes": successes}


@dataclass(kw_only=True)
class TrainClassifier(Command):
    """Train a success classifier on recorded episodes, and say how far to trust it."""

    cameras: tuple[str, ...] = ("front", "wrist")
    """Cameras it looks at."""
    episodes: Path
    """What `robot-rl record-success` recorded, or any folder of episodes."""
    config: ClassifierConfig = field(default_factory=ClassifierConfig)
    """Its settings."""

    @classmethod
    def defaults(cls, arguments: Any) -> TrainClassifier:
        import tyro

        return cls(episodes=tyro.MISSING)

    def run(self) -> Mapping[str, Any]:
        from robot_rl.demonstrations import require_entries
        from robot_rl.episodes import load_demos
        from robot_rl.success_classifier import SuccessClassifier, save_classifier, train_classifier

        env = self.env_spec().make()
        task, action_dim = env.task.spec.name, int(env.action_space.shape[0])
        env.close()
        shapes = {name: (side, side, 3) for name, side in self.views.items()}
        episodes = require_entries(load_demos(self.episodes, task, action_dim), shapes, self.episodes)
        vision = dataclasses.replace(self.config.vision, cameras=self.views)
        classifier = SuccessClassifier(dataclasses.replace(self.config, vision=vision), self.seed)
        quality = train_classifier(classifier, episodes, self.seed)
        out = self.folder(f"classifier-{self.name()}")
        save_classifier(out, classifier, quality)
        if quality.recall < LOW_RECALL:
            say(
                f"it calls {quality.recall:.0%} of the successes: a policy paid by it learns slowly; record more, or "
                f"lower --config.precision ({self.config.precision:g})"
            )
        found = {k: v for k, v in dataclasses.asdict(quality).items() if k != "reliability"}
        return {"out": out, "version": classifier.version, "threshold": float(classifier.threshold), **found}
