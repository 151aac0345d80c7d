"""What happened in a run so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hardware.interfaces import Source
from robot_rl.types import Episode, Step

WINDOW = 20
"""Episodes over which running rates are taken."""


@dataclass
class Tally:
    """Per finished episode; saved with checkpoints."""

    successes: list[bool] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    human_steps: list[int] = field(default_factory=list)
    in_a_row: int = 0
    """Episodes up to the last, one after another, that the learned policy brought to success with nobody's help."""
    most_in_a_row: int = 0
    env_steps: int = 0
    updates: int = 0
    reset_s: float = 0.0
    held_steps: int = 0
    """Of the finished episodes' steps, those at whose end the guard held the arm."""
    paused_s: float = 0.0
    """Robot time for which an operator had the run wait between episodes."""
    waited_s: float = 0.0
    """Wall time for which the environment stood still while the learner updated."""
    person_s: float = 0.0
    """How long the person has driven, where they count it."""
    wall_s: float = 0.0
    control_hz: float = 0.0
    """Steps a second of the robot's time; 0 where only a learner was there, which knows no robot."""

    def add(self, episode: Sequence[Step]) -> None:
        """Count a finished episode."""
        self.successes.append(episode[-1].success)
        self.lengths.append(len(episode))
        self.human_steps.append(sum(step.source == Source.HUMAN for step in episode))
        self.held_steps += sum(step.source == Source.HOLD for step in episode)
        by_itself = {step.source for step in episode} <= {Source.POLICY, Source.HOLD}
        self.in_a_row = self.in_a_row + 1 if by_itself and episode[-1].success else 0
        self.most_in_a_row = max(self.most_in_a_row, self.in_a_row)

    def robot_time(self) -> dict[str, float]:
        """What the robot did, and how long, s. Waits for updates are wall time: a twin's clock stands still then."""
        human, held = sum(self.human_steps) / self.control_hz, self.held_steps / self.control_hz
        return {
            "policy acts": self.env_steps / self.control_hz - human - held,
            "person drives": human,
            "resets": self.reset_s,
            "waits for updates": self.waited_s,
            "holds": held + self.paused_s,
        }

    def figures(self, demos: Sequence[Episode]) -> dict[str, Any]:
        """What a report says of a run that began with ``demos``. ``robot_minutes`` is the robot's time in
        demonstrations, training and resets, ``person_seconds`` time at the controls, demonstrations included; neither
        is known where ``control_hz`` is not."""
        found: dict[str, Any] = {"demos": len(demos), **self.summary()}
        if not self.control_hz:
            return found
        demo_s = sum(len(episode.steps) for episode in demos) / self.control_hz
        return found | {
            "robot_minutes": (self.env_steps / self.control_hz + demo_s + self.reset_s) / 60.0,
            "person_seconds": demo_s + sum(self.human_steps) / self.control_hz,
            "person_seconds_demos": demo_s,
            "training_robot_s": self.robot_time(),
        }

    def summary(self) -> dict[str, float]:
        """What a command says of a finished run."""
        rates = self.recent()
        return {
            "env_steps": self.env_steps,
            "updates": self.updates,
            "episodes": len(self.successes),
            "wall_s": self.wall_s,
            "recent_success": rates["success"],
            "intervention_rate": rates["intervention_rate"],
        }

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
            "in_a_row": float(self.in_a_row),
        }
