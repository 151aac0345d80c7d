"""The update governor: how many updates the data pays for, and who waits for whom. Never free-running."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass
class UpdateGovernor:
    """Keeps the ratio of updates to data (UTD): one round of updates a step, from the last step of warm-up on.

    The learner may never be ahead of the data; the actor's data may be ahead of the learner by ``slack_steps`` rounds
    (None: by any number) before it has to wait. Both waits are counted, in seconds of whoever's clock is used.
    """

    warmup_steps: int
    slack_steps: int | None = 0
    steps: int = 0
    rounds: int = 0
    learner_wait_s: float = 0.0
    """How long the learner has waited for data."""
    actor_wait_s: float = 0.0
    """How long steps have waited for the learner."""

    @property
    def due(self) -> int:
        """Rounds of updates that the data so far pays for and that have not been done."""
        return max(0, self.steps - max(self.warmup_steps, 1) + 1 - self.rounds)

    @property
    def actor_must_wait(self) -> bool:
        """Whether the next step has to wait for updates."""
        return self.slack_steps is not None and self.due > self.slack_steps

    def state(self) -> dict[str, float]:
        """The counters, JSON-able."""
        names = ("steps", "rounds", "learner_wait_s", "actor_wait_s")
        return {name: value for name, value in asdict(self).items() if name in names}

    def load_state(self, state: dict[str, float]) -> None:
        for name in self.state():
            setattr(self, name, state[name])
