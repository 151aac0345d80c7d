"""The link between actor and learner: its two ends as Protocols, and the one inside a process.

Steps go one way, each as it happens: delivered at least once, and taken once, since a step is known by its id. Weights
go the other way, newest only. Nothing on the actor's side ever waits: a step is handed over and control goes on.
:mod:`robot_rl.link_actor` and :mod:`robot_rl.link_learner` are the same over ZMQ, with a spool on either side.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from robot_rl.types import Episode, Step
from robot_rl.wire import Final, Record

PROTOCOL = 2
"""Version of what is said on the wire; ends of different versions refuse each other."""
BASE = "base/"
"""Prefix of the frozen base policy's tensors among an actor's weights."""


@dataclass(frozen=True)
class Weights:
    """What an actor needs to act, and nothing that only learning does."""

    version: int
    """Counts up within a learner's session."""
    about: str
    """JSON: kind of policy, its configuration, the interface it was made for."""
    tensors: Mapping[str, np.ndarray] = field(repr=False)
    base: str = ""
    """Version of the frozen base it works over, whose tensors (``base/…``) are left out where the actor has them."""
    digest: str = ""
    """SHA-256 of all the above but the version; see :func:`digest_of`."""

    def without_base(self) -> Weights:
        """The same for an actor that has the base."""
        kept = {name: value for name, value in self.tensors.items() if not name.startswith(BASE)}
        light = replace(self, tensors=kept)
        return replace(light, digest=digest_of(light))


def digest_of(weights: Weights) -> str:
    """SHA-256 over description, base and every tensor's name, dtype, shape and bytes, as hex."""
    digest = hashlib.sha256(f"{weights.about}\0{weights.base}".encode())
    for name, array in sorted(weights.tensors.items()):
        digest.update(f"\0{name}\0{array.dtype}\0{array.shape}\0".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


@dataclass(frozen=True)
class LinkState:
    """How an actor's end is doing."""

    alive: bool
    """The learner was heard from lately."""
    silent_s: float
    """Since the learner was last heard from; since the start, if never."""
    backlog: int = 0
    """Records not yet confirmed."""
    behind: int = 0
    """Rounds of updates that the learner owes the data it has."""
    problem: str = ""
    """Why steps cannot be kept or delivered, in one line for people; empty when all is well."""


class ActorEnd(Protocol):
    """The actor's end."""

    def post(self, record: Record) -> None:
        """Hand over a step or an episode's end. Returns at once, whatever the learner, network or disk do."""
        ...

    def weights(self) -> Weights | None:
        """The newest weights, whole and untampered with, if they came since the last call."""
        ...

    def refuse(self, version: int, reason: str) -> None:
        """Tell the learner that weights were not put to use."""
        ...

    def state(self) -> LinkState: ...

    def close(self, flush_s: float = 2.0) -> None:
        """Wait at most ``flush_s`` for what was posted to be confirmed; what was not stays in the spool."""
        ...


def deliver(link: ActorEnd, step: Step, episode: Episode | None) -> None:
    """Hand over what :meth:`~robot_rl.rollout.Rollout.step` gave."""
    link.post(step)
    if episode is not None:
        link.post(Final(step.id, episode.final_observation, episode.final_base_action, episode.discarded))


class LearnerEnd(Protocol):
    """The learner's end."""

    def take(self, limit: int, timeout_s: float = 0.0) -> Sequence[Record]:
        """Up to ``limit`` records in order of arrival, waiting at most ``timeout_s`` for the first."""
        ...

    def publish(self, weights: Weights) -> None:
        """Make ``weights`` the newest; whatever was not yet sent of older ones never is."""
        ...

    def owe(self, rounds: int) -> None:
        """Let actors know how many rounds of updates are due."""
        ...

    def refusals(self) -> Sequence[str]:
        """Why actors refused weights, or records could not be kept or read, since the last call."""
        ...

    def close(self) -> None: ...


class InProcessLink:
    """Both ends in one process and one thread: a queue, and the newest weights."""

    def __init__(self) -> None:
        self._records: deque[Record] = deque()
        self._weights: Weights | None = None
        self._refusals: list[str] = []
        self._behind = 0

    def post(self, record: Record) -> None:
        self._records.append(record)

    def take(self, limit: int = 64, timeout_s: float = 0.0) -> Sequence[Record]:
        return [self._records.popleft() for _ in range(min(limit, len(self._records)))]

    def publish(self, weights: Weights) -> None:
        self._weights = weights

    def weights(self) -> Weights | None:
        newest, self._weights = self._weights, None
        return newest

    def refuse(self, version: int, reason: str) -> None:
        self._refusals.append(f"weights {version}: {reason}")

    def refusals(self) -> Sequence[str]:
        said, self._refusals = self._refusals, []
        return said

    def owe(self, rounds: int) -> None:
        self._behind = rounds

    def state(self) -> LinkState:
        return LinkState(alive=True, silent_s=0.0, backlog=len(self._records), behind=self._behind)

    def close(self, flush_s: float = 0.0) -> None: ...
