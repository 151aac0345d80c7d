"""A person at an environment of another project's: they see it by an eye made for the task, and drive in its actions.

Whoever drives instead of the policy is told as HIL-SERL's environments tell it, by ``info["intervene_action"]``. An
episode ends with success; that pays 1, all else 0.
"""

from __future__ import annotations

from typing import Any, Protocol

import gymnasium
import numpy as np

from hardware.interfaces import Gripper, Vector6
from sim.scripted_human import Guided, ScriptedHuman

POLL_S = 0.05
"""Between looks at the person's hand."""


class Eye(Guided, Protocol):
    """What a person sees of the task, and would do."""

    def see(self, observation: dict[str, np.ndarray]) -> None:
        """What the environment shows now."""
        ...


class Helped(gymnasium.Wrapper[Any, Any, Any, Any]):
    """``env``, whose steps are the person's for ``1 / hz`` seconds and whose ``info["success"]`` is its word.

    ``person`` (``expert``, ``intermediate``, ``novice``; None for nobody), ``takeover`` and ``person_seed`` are as in
    the twin; ValueError for an unknown name. ``speed`` is the share of the environment's largest translation that a
    hand at full deflection makes, ``turning`` that of the largest rotation; the action is three of either (of rotation
    where it has them) and the gripper: 1 or -1 as ``opens`` says.
    """

    def __init__(
        self,
        env: gymnasium.Env[Any, Any],
        eye: Eye,
        hz: float,
        person: str | None,
        takeover: str,
        person_seed: int,
        speed: float = 1.0,
        turning: float = 0.0,
        opens: float = 1.0,
    ) -> None:
        super().__init__(env)
        self.metadata = {**env.metadata, "render_fps": hz}
        self._eye, self._hz = eye, hz
        self._share = np.repeat([speed, turning], 3)
        self._grips = {Gripper.OPEN: opens, Gripper.CLOSE: -opens}
        self._person = None if person is None else ScriptedHuman.of_level(eye, person, takeover, person_seed)
        self._steps, self._grip = 0, 0.0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """``options["watched"]`` False: the person is away."""
        seen, info = self.env.reset(seed=seed)
        self._steps, self._grip = 0, 0.0
        self._eye.see(seen)
        person_seed = int(self.np_random.integers(2**31))
        if self._person is not None:
            self._person.rest()
            if (options or {}).get("watched", True):
                self._person.new_episode(person_seed)
        return seen, info

    def step(self, action: np.ndarray) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        taken = self._by_hand()
        seen, _, _, truncated, info = self.env.step(action if taken is None else taken)
        self._steps += 1
        self._eye.see(seen)
        success = bool(info["success"])
        info |= {} if taken is None else {"intervene_action": taken}
        return seen, float(success), success, truncated, info

    def _by_hand(self) -> np.ndarray | None:
        """The person's action, where they drive at the end of this step."""
        if self._person is None:
            return None
        polls = max(1, round(1.0 / (self._hz * POLL_S)))
        samples = [self._person.read((self._steps + n / polls) / self._hz) for n in range(polls)]
        driven = [sample for sample in samples if sample.takeover]
        if not samples[-1].takeover:
            return None
        for sample in driven:
            self._grip = self._grips.get(sample.gripper, self._grip)
        taken = np.zeros(self.action_space.shape or (), np.float32)
        moved = self._share * np.mean([sample.twist for sample in driven], axis=0)
        taken[:-1] = moved[: len(taken) - 1]
        taken[-1] = self._grip
        return taken


class GraspByEye:
    """What a person does with a hand that points down: over the object, down, close, and on to the goal."""

    ABOVE_M, LEVEL_M, GRASP_M = 0.06, 0.012, 0.015
    """How high the hand comes over the object; how well centred before it goes down, and before it closes."""
    SPAN_M, FUNNEL_M = 0.3, 0.35
    """Way at which there is no progress yet; distance of hand and object from which success is still near."""

    _turned = True
    """Whether the hand is turned as the object wants it."""

    def __init__(self, step_m: float, gripped_m: float) -> None:
        """``step_m``: way of a hand at full deflection in a step. ``gripped_m``: distance of the fingers below which
        they hold the object."""
        self._step_m, self._gripped_m = step_m, gripped_m

    def place(
        self, hand: np.ndarray, thing: np.ndarray, goal: np.ndarray, fingers_m: float, left_m: float | None = None
    ) -> None:
        """Where hand, object and the object's goal are, m, and how far apart the fingers; ``left_m`` where more of the
        way is left than to this goal."""
        self._way, self._offset = goal - thing, thing - hand
        self._left = float(np.linalg.norm(self._way)) if left_m is None else left_m
        near = float(np.linalg.norm(self._offset))
        self._held, self._near = fingers_m < self._gripped_m and near < 2.0 * self.GRASP_M, near

    def guide(self, now: float) -> tuple[Vector6, Gripper]:
        way, gripper = self._way, Gripper.CLOSE
        if not self._held:
            level = self._turned and float(np.hypot(*self._offset[:2])) < self.LEVEL_M
            way = self._offset if level else self._offset + np.array([0.0, 0.0, self.ABOVE_M])
            gripper = Gripper.CLOSE if self._near < self.GRASP_M else Gripper.OPEN
        x, y, z = np.clip(way / self._step_m, -1.0, 1.0).tolist()
        return (x, y, z, 0.0, 0.0, 0.0), gripper

    def progress(self) -> float:
        far = self._left if self._held else self._near
        return 0.5 * (1.0 + self._held - min(1.0, far / self.SPAN_M))

    def in_funnel(self) -> bool:
        return self._near < self.FUNNEL_M


def needed(package: str) -> ModuleNotFoundError:
    """What to say where ``package`` is not installed."""
    return ModuleNotFoundError(f"it needs {package}: `make bench-outside` has an environment for it")
