"""What is kept of a test's failures: how each ended, and the last picture of the first few."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from hardware.interfaces import GuardMode
from robot_rl.env import RobotEnv
from robot_rl.foreign import ForeignEnv
from robot_rl.types import Episode, Observation

SHOWN = 6
"""Failures of a test whose last pictures are kept: the first ones, so that nobody chooses."""
OUT_OF_TIME = "time ran out"


@dataclass(frozen=True)
class Failure:
    """An episode of a test that did not succeed."""

    episode: int
    """Its number in the test, from 0."""
    seed: int
    """What the environment was reset with."""
    steps: int
    ending: str
    """:data:`OUT_OF_TIME`, the guard's reason (that of a limit begins with its id), or who else ended it."""
    progress: float | None = None
    """How far the task was at the end, about 0 to 1; None where it cannot tell."""
    best_progress: float | None = None

    @staticmethod
    def of(episode: Episode, env: RobotEnv | ForeignEnv) -> Failure:
        """Of an ``episode`` of ``env``."""
        header, steps = episode.header, episode.steps
        reached = [step.reward_inputs["next_potential"] for step in steps if "next_potential" in step.reward_inputs]
        tells = any(reached)
        return Failure(
            episode=header.episode,
            seed=header.seed,
            steps=len(steps),
            ending=_ending(episode, env),
            progress=reached[-1] if tells else None,
            best_progress=max(reached) if tells else None,
        )


def _ending(episode: Episode, env: RobotEnv | ForeignEnv) -> str:
    last = episode.steps[-1]
    if last.raw is not None and last.raw.executed.mode >= GuardMode.HOLD:
        return last.raw.executed.reason or "the guard stopped"
    limit = env.max_steps if isinstance(env, RobotEnv) else env.task.spec.max_steps
    if last.truncated and len(episode.steps) >= limit:
        return OUT_OF_TIME
    return "the operator ended it" if isinstance(env, RobotEnv) else "the environment ended it"


def endings(failures: Sequence[Failure]) -> dict[str, int]:
    """How many ended how, the most frequent first; a limit's stops count together, whatever their figures."""
    return dict(Counter(failure.ending.partition(": ")[0] for failure in failures).most_common())


def last_picture(env: RobotEnv | ForeignEnv, observation: Observation) -> np.ndarray | None:
    """uint8 HWC: the scene as it is now where the task can draw it, else what the policy's cameras saw last, side by
    side; None where there is neither. Looks, and changes nothing."""
    draw: Callable[[], np.ndarray] | None = getattr(env.task, "views", None)
    if draw is not None:
        with suppress(RuntimeError):  # No renderer on this computer.
            return draw()
    seen = [image for image in observation.values() if image.ndim == 3]
    return np.hstack(seen) if seen and len({image.shape[0] for image in seen}) == 1 else None


def keep_picture(folder: Path, episode: int, picture: np.ndarray) -> None:
    """Write it where :func:`picture_of` finds it."""
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(picture_of(folder, episode), quality=88)


def picture_of(folder: Path, episode: int) -> Path:
    """Where the last picture of an episode of a test is, if there is one."""
    return folder / f"{episode:04d}.jpg"


def drop_pictures(folder: Path, kept: Sequence[Failure] = ()) -> None:
    """Remove all but those of the failures ``kept``."""
    wanted = {picture_of(folder, failure.episode) for failure in kept}
    for picture in folder.glob("*.jpg"):
        if picture not in wanted:
            picture.unlink()
