"""``robot-rl learner``, ``robot-rl actor`` and ``robot-rl keys``: training as two programs, on one machine or two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from robot_rl.command import TWIN, Command, Configured, say
from robot_rl.config import TrainConfig, seeing
from robot_rl.presets import preset

if TYPE_CHECKING:
    from robot_rl.description import Description
    from robot_rl.types import Episode

MAX_BEHIND = 16
"""Rounds of updates that a learner may owe before a twin's time stands still."""


@dataclass(kw_only=True)
class LearnerCommand(Configured):
    """Learn from what actors deliver: updates, checkpoints, weights. Needs no robot, no environment, no twin."""

    task: Annotated[str, tyro.conf.Suppress] = ""
    env: Annotated[str | None, tyro.conf.Suppress] = None
    cell: Annotated[Path | None, tyro.conf.Suppress] = None
    ros: Annotated[bool, tyro.conf.Suppress] = False
    env_kwargs: Annotated[str, tyro.conf.Suppress] = "{}"
    demos: Path | None = None
    """Recorded demonstrations: a folder or one file (`robot-rl record` makes them)."""
    rebuild: tuple[Path, ...] = ()
    """Fill the replay again from recorded episodes (copies of the actors' `episodes/`), where its files were lost."""
    endpoint: str | None = None
    """Where to listen: ipc:///folder/name or tcp://127.0.0.1:port; any other address needs --keys. By default a socket
    that only you can reach."""
    keys: Path | None = None
    """Folder of keys (`robot-rl keys`): encrypts, and lets in only the actors listed there."""

    def run(self) -> Mapping[str, Any]:
        from robot_rl.commands import report
        from robot_rl.keys import default_endpoint, learner_keys
        from robot_rl.learners import make_learner
        from robot_rl.metrics import TrainingProgress
        from robot_rl.serve import Serving, first_actor
        from robot_rl.stopping import Stopping

        self.require_folders()
        keys = None if self.keys is None else learner_keys(self.keys)
        endpoint = self.endpoint or default_endpoint()
        out = self.folder(f"learner-{self.preset}")
        with Stopping() as stopping:
            actor = first_actor(out, endpoint, keys, stopping, say)
            config = seeing(self.config, actor.cameras) if actor.cameras else self.config
            shown, base = self._beginning(out, actor, config)
            with TrainingProgress(config.env_steps) as progress:
                learner = make_learner(
                    out, actor, config, demos=shown, base=base, seed=self.seed, progress=progress, say=say
                )
                serving = Serving(learner, endpoint, keys, say)
                if self.rebuild:
                    serving.rebuild(self.rebuild)
                serving.run(stopping)
        about = {"task": actor.interface.task, "preset": self.preset, "seed": self.seed}
        report(out, about, learner.tally.figures(shown))
        return {"out": out, "policy": out / "policy", **learner.tally.summary()}

    @property
    def _over_base(self) -> bool:
        config = self.config
        return config.method == "rl" and (config.warmup != "random" or config.learner.actor != "gaussian")

    def require_folders(self) -> None:
        """Raises ValueError where a folder to rebuild from holds no episodes, or the preset begins with demonstrations
        and there are none."""
        for folder in self.rebuild:
            if not any(folder.glob("*.mcap")):
                raise ValueError(f"no recorded episodes in '{folder}': give an actor's episodes/, or a copy of it")
        if self.demos is None and (self._over_base or self.config.method == "cloning"):
            raise ValueError(
                f"preset '{self.preset}' begins with demonstrations: give --demos PATH (`robot-rl record` makes them)"
            )
        if self.demos is not None and not self.demos.exists():
            raise ValueError(f"no demonstrations at '{self.demos}': record some with `robot-rl record`")

    def _beginning(self, out: Path, actor: Description, config: TrainConfig) -> tuple[list[Episode], Any]:
        """The demonstrations, and the base that is cloned from them where the preset works with one."""
        from robot_rl.demonstrations import clone_for
        from robot_rl.episodes import load_demos

        interface = actor.interface
        shown = [] if self.demos is None else load_demos(self.demos, interface.task, interface.action_dim)
        if not self._over_base:
            return shown, None
        return shown, clone_for(out / "base", interface, config.cloning, shown, self.seed)


@dataclass(kw_only=True)
class ActorCommand(Command):
    """Act for a learner: step the robot or the twin, deliver every step, act by the newest good weights."""

    skill: str = "expert"
    """Of the twin's scripted person: novice, intermediate, expert, or a file of `robot-rl fit-person`."""
    takeover: str = "watchful"
    """When the twin's person takes over: watchful, no_progress, leaving_funnel, never."""
    endpoint: str | None = None
    """Where the learner listens; by default this machine's own."""
    keys: Path | None = None
    """Folder with this actor's key pair and the learner's public key (`robot-rl keys`)."""
    key_name: str = "actor"
    """Name of this actor's key pair in that folder."""
    actor: int = 0
    """Number of this actor, where several feed one learner: each sees other seeds."""
    max_steps: int | None = None
    """Stop at the end of an episode after so many steps; by default when the learner has enough."""
    keep_pace: bool | None = None
    """Wait while the learner owes many updates. By default for the twin, whose time stands still meanwhile, and never
    on a robot."""
    min_free_gb: float = 5.0
    """With less room on the disk no episode begins."""

    def run(self) -> Mapping[str, Any]:
        from robot_rl.actor import act
        from robot_rl.keys import actor_keys, default_endpoint
        from robot_rl.stopping import Stopping

        keys = None if self.keys is None else actor_keys(self.keys, self.key_name)
        watched = preset(self.preset).person and self.scripted
        spec = self.env_spec(person=self.skill, takeover=self.takeover) if watched else self.env_spec()
        keep_pace = spec.id.startswith(f"{TWIN}:") if self.keep_pace is None else self.keep_pace
        out = self.folder(f"actor-{self.name()}")
        with Stopping() as stopping:
            done = act(
                out,
                spec.make(),
                spec,
                self.endpoint or default_endpoint(),
                stopping,
                keys=keys,
                seed=self.seed,
                actor=self.actor,
                max_steps=self.max_steps,
                max_behind=MAX_BEHIND if keep_pace else None,
                min_free_bytes=int(self.min_free_gb * 1e9),
                say=say,
            )
            if stopping.asked:
                raise KeyboardInterrupt
        return {"out": out, **done}


@dataclass(kw_only=True)
class Keys:
    """Make keys for a link between two machines: the learner's, and one pair for each actor it shall let in."""

    folder: Path = Path("keys")
    """Where to put them; what is there already stays."""
    actors: tuple[str, ...] = ("actor",)
    """Names of actors."""
    json: bool = False
    """Print one JSON object on stdout and nothing else."""

    @classmethod
    def defaults(cls, arguments: Sequence[str]) -> Keys:
        return cls()

    def run(self) -> Mapping[str, Any]:
        from robot_rl.keys import make_keys

        made = make_keys(self.folder, self.actors)
        for name in self.actors:
            say(f"copy {self.folder}/learner.key and {self.folder}/{name}.key_secret to the machine of '{name}'")
        return {"folder": self.folder, "made": made}
