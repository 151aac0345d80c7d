"""What happened in a run so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from hardware.interfaces import Source
from robot_rl.types import Step

WINDOW = 20
"""Episodes over which running rates are taken."""


@dataclass
class Tally:
    """Per finished episode; saved with checkpoints."""

    successes: list[bool] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    human_steps: list[int] = field(default_factory=list)
    env_steps: int = 0
    updates: int = 0
    reset_s: float = 0.0
    person_s: float = 0.0
    """How long the person has driven, where they count it."""
    wall_s: float = 0.0

    def add(self, episode: Sequence[Step]) -> None:
        """Count a finished episode."""
        self.successes.append(episode[-1].success)
        self.lengths.append(len(episode))
        self.human_steps.append(sum(step.source == Source.HUMAN for step in episode))

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
        }
