"""How good a person is at a teleop device: levels by name, or one person's numbers in a file."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from hardware.toml_dataclass import from_table, read_toml

FILE = ".toml"
"""What the name of a person's file ends with."""


def _within(minimum: float, maximum: float) -> float:
    """A field without a default that is a number within bounds."""
    number: float = field(metadata={"minimum": minimum, "maximum": maximum})
    return number


@dataclass(frozen=True)
class Skill:
    """How good a person is. Twists in units of full deflection."""

    reaction_delay_s: float = _within(0.0, 5.0)
    """From seeing that it goes wrong (or well) to taking over (or letting go)."""
    hand_delay_s: float = _within(0.0, 2.0)
    """From seeing an error to the correcting deflection, while driving."""
    speed: float = _within(0.05, 1.0)
    """Share of the guide's deflection that the person dares to use."""
    noise: float = _within(0.0, 2.0)
    """Standard deviation of the hand's wander at full deflection, an Ornstein-Uhlenbeck process an axis. Motor noise
    grows with the command (Harris & Wolpert 1998): at rest it is :data:`sim.scripted_human.REST_EFFORT` of this."""
    bias: float = _within(0.0, 1.0)
    """Standard deviation of a constant deflection an axis, drawn each episode: a hand that leans."""
    lapses_per_min: float = _within(0.0, 60.0)
    """Moments of half a second in which the hand does something else."""

    def of_one_person(self, rng: np.random.Generator) -> Skill:
        """This level's skill as one person has it: each number up to 20 % off."""
        reaction, hand, speed, noise, bias, lapses = rng.uniform(0.8, 1.2, 6).tolist()
        return Skill(
            self.reaction_delay_s * reaction,
            self.hand_delay_s * hand,
            min(1.0, self.speed * speed),
            self.noise * noise,
            self.bias * bias,
            self.lapses_per_min * lapses,
        )

    @staticmethod
    def named(name: str, seed: int) -> Skill:
        """Of somebody of the level ``name`` (:data:`SKILLS`), individual by ``seed``; or of the one person whose file
        (``.toml``) it is. ValueError, one line, for any other name and for a file that makes no sense."""
        if name.endswith(FILE):
            return from_table(Skill, read_toml(Path(name)), name)
        if name not in SKILLS:
            near = get_close_matches(name, SKILLS, 1)
            hint = f" (did you mean '{near[0]}'?)" if near else ""
            raise ValueError(
                f"no level '{name}': choose one of {', '.join(SKILLS)}{hint}, or a {FILE} file of `robot-rl fit-person`"
            )
        return SKILLS[name].of_one_person(np.random.default_rng([seed, 1]))

    def save(self, path: Path) -> None:
        """As :meth:`named` reads it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{name} = {value:.4g}\n" for name, value in asdict(self).items()), encoding="utf-8")


SKILLS = {
    "expert": Skill(0.20, 0.05, 0.9, 0.08, 0.01, 0.0),
    "intermediate": Skill(0.30, 0.10, 0.7, 0.12, 0.015, 1.0),
    "novice": Skill(0.45, 0.15, 0.5, 0.20, 0.03, 6.0),
}
"""Levels by name. Delays: simple visual reactions take 0.2 s, decisions 0.3-0.5 s."""


def require_free(path: Path) -> None:
    """ValueError, one line, where no person's numbers may be written: a name that :meth:`Skill.named` would not take
    for a file, or a file of something else, as a cell's."""
    if path.suffix != FILE:
        raise ValueError(f"'{path}' cannot be a person's file: give a name that ends with {FILE}")
    if path.exists():
        try:
            Skill.named(str(path), 0)
        except ValueError:
            raise ValueError(f"'{path}' is there and is no person's file: give another name") from None
