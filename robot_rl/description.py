"""What a learner must know of an actor: it has no robot and no environment of its own."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import numpy as np

from robot_rl.env import RobotEnv
from robot_rl.foreign import ForeignEnv
from robot_rl.policy import Interface
from robot_rl.ring_file import is_frame
from robot_rl.rollout import EnvSpec
from robot_rl.vision import Layout


@dataclass(frozen=True)
class Description:
    """An actor's side of a run, as the learner needs it."""

    interface: Interface
    layout: Layout
    """Shape and dtype of each entry of an observation."""
    spec: EnvSpec
    """Makes the environment again, to evaluate in."""
    foreign: bool = False
    """Another project's environment: its states are normalised by the demonstrations."""

    @staticmethod
    def of(env: RobotEnv | ForeignEnv, spec: EnvSpec) -> Description:
        layout = {name: (tuple(s.shape or ()), np.dtype(s.dtype)) for name, s in env.observation_space.items()}
        return Description(Interface.of(env), layout, spec, isinstance(env, ForeignEnv))

    @property
    def cameras(self) -> dict[str, int]:
        """Side of the square images (px) of each camera that it looks through."""
        return {name: shape[0] for name, (shape, dtype) in self.layout.items() if is_frame(shape, dtype)}

    def to_json(self) -> str:
        """As it is sent and kept; :meth:`from_json` is the inverse."""
        layout = {name: [list(shape), dtype.name] for name, (shape, dtype) in self.layout.items()}
        about = {"interface": asdict(self.interface), "layout": layout, "foreign": self.foreign}
        return json.dumps({**about, "env": {"id": self.spec.id, "kwargs": dict(self.spec.kwargs)}})

    @staticmethod
    def from_json(text: str) -> Description:
        """Raises ValueError for what :meth:`to_json` did not write."""
        try:
            said = json.loads(text)
            layout = {name: (tuple(shape), np.dtype(dtype)) for name, (shape, dtype) in said["layout"].items()}
            spec = EnvSpec(str(said["env"]["id"]), dict(said["env"]["kwargs"]))
            return Description(Interface(**said["interface"]), layout, spec, bool(said["foreign"]))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"not the description of an actor: {error}") from None

    def differs_from(self, other: Description) -> str:
        """Why one learner cannot serve both, in words; empty where it can."""
        if self.interface != other.interface:
            return f"this learner learns {_words(other.interface)}, the actor does {_words(self.interface)}"
        if self.layout != other.layout or self.foreign != other.foreign:
            return f"this learner observes {_seen(other.layout)}, the actor {_seen(self.layout)}"
        return ""


def _words(interface: Interface) -> str:
    return f"'{interface.task}' ({interface.state_dim} state entries, {interface.action_dim} actions)"


def _seen(layout: Layout) -> str:
    return ", ".join(f"{name} {'×'.join(map(str, shape))} {dtype}" for name, (shape, dtype) in layout.items())
