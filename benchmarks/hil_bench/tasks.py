"""What is measured: the tasks, frozen by ``benchmarks/frozen_tasks.json``, what they cost, and who helps.

Costs of the person are stated, not measured: the twin puts its scene back by itself and knows what succeeded, which a
lab's person has to do.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from robot_rl.command import task_id
from sim.skill import Skill

if TYPE_CHECKING:
    from robot_rl.rollout import EnvSpec

SEEN = {"fine_tracked": True}
"""Options of every environment of ours, whatever learns: what a tracker follows is seen in the task frame too."""
DEMOS = 20
"""Of a run; as ``robot-rl demo`` has it."""
TUNING_SEEDS = 100
"""From this seed on runs and people are for tuning; results are reported of seeds below it."""


@dataclass(frozen=True)
class BenchTask:
    """A task of the bench."""

    name: str
    env_steps: int
    """Of one run."""
    person_reset_s: float
    """What putting the scene back costs a person; none where the tool stays in the hand."""
    robot_reset_s: float = 3.0
    """What driving back to the start takes a robot."""
    inserts: bool = False
    """Whether a part goes into a hole."""
    label_s: float = 1.0
    """What saying whether it succeeded costs a person."""
    env: str = ""
    """Gymnasium id of a task that is not the twin's; it takes ``person``, ``takeover`` and ``person_seed``."""

    def spec(self, **kwargs: Any) -> EnvSpec:
        """How to make it; without a person nobody is there."""
        from robot_rl.rollout import EnvSpec  # torch, which `--help` does without

        return EnvSpec(self.env, kwargs) if self.env else EnvSpec(task_id(self.name), SEEN | kwargs)


TASKS = {
    task.name: task
    for task in (
        BenchTask("peg_insertion", 10_000, person_reset_s=0.0, inserts=True),
        BenchTask("connector_insertion", 10_000, person_reset_s=0.0, inserts=True),
        BenchTask("pick_and_insert", 20_000, person_reset_s=5.0, inserts=True),
        BenchTask("pick_cube", 6_000, person_reset_s=3.0),
        BenchTask("reach", 2_500, person_reset_s=0.0),
        BenchTask("fetch", 10_000, person_reset_s=3.0, env="benchmarks.hil_bench.fetch:HilFetchPickAndPlace-v0"),
        BenchTask("lift", 10_000, person_reset_s=3.0, env="benchmarks.hil_bench.robosuite_tasks:HilLift-v0"),
        BenchTask("square", 20_000, person_reset_s=3.0, env="benchmarks.hil_bench.robosuite_tasks:HilSquare-v0"),
    )
}
"""By name. ``reach`` is a quick look at whether a method works at all; ``fetch`` is gymnasium-robotics' pick and place,
``lift`` and ``square`` (NutAssemblySquare) robosuite's; they need the environment that ``make bench-outside`` makes."""

LEVELS = {"expert": 0.4, "intermediate": 0.4, "novice": 0.2}
"""How often a drawn person is of which level; each number of the level's skill is the person's own, up to 20 % off
(:meth:`sim.skill.Skill.of_one_person`)."""

DRAWN = "drawn"
FITTED = "person.toml"
"""In a real person's folder: what `robot-rl fit-person` found. Beside it a folder a task with demonstrations of theirs,
where there are any; else the scripted person shows as they would."""


@dataclass(frozen=True)
class Person:
    """Who shows, watches and corrects in a run."""

    level: str
    """Or the file that says what theirs is."""
    seed: int
    folder: Path | None = None
    """A real person's."""


def person_of(seed: int, people: str = DRAWN) -> Person:
    """The person of the runs with this ``seed``, the same for every method; of real people's folder theirs. ValueError
    for unknown ``people``, and for a folder without a :data:`FITTED` that makes sense."""
    if people not in (DRAWN, *LEVELS):
        folder = Path(people)
        if not folder.is_dir() or people_name(people) in (DRAWN, *LEVELS):
            known = f"{DRAWN}, {', '.join(LEVELS)}, and a real person's folder of another name"
            raise ValueError(f"no people '{people}'; there are {known}")
        Skill.named(fitted := str(folder / FITTED), seed)
        return Person(fitted, seed, folder)
    drawn = str(np.random.default_rng([seed, 9]).choice(list(LEVELS), p=list(LEVELS.values())))
    return Person(drawn if people == DRAWN else people, seed)


def people_name(people: str) -> str:
    """Of drawn people, a level, or a real person's folder: as results and their files have it."""
    return Path(people).resolve().name
