"""Who is compared. All learn with the same networks and batches, and none has settings of its own for a task."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

from robot_rl.cli import GROUP, parse
from robot_rl.config import TrainConfig

NETWORKS = ("--learner.width", "64", "--learner.batch-size", "128")
DAGGER = ("--warmup", "dagger", "--warmup-steps", "5000")
NEAR = ("--learner.residual.scale", "0.3")
LEAVING = (*DAGGER, *NEAR, "--watched-steps", "5000", "--cloning.arch", "ensemble")
FEELING = ("--learner.own-successes", "--learner.residual.noise", "0.05", "--cloning.feel", "0.15")
CAUTIOUS = (*NEAR, "--learner.residual.penalty", "0.05", "--learner.cut-at-takeover")


@dataclass(frozen=True)
class Method:
    """A preset, and what is changed in it."""

    preset: str
    options: tuple[str, ...] = ()

    @property
    def arguments(self) -> tuple[str, ...]:
        """Of ``robot-rl demo``; losses are compiled where that saves time: what is learned differs by rounding."""
        from robot_rl.compute import compiling_pays  # torch, which `--help` does without

        compiled = ("--compute.compile",) if compiling_pays() else ()
        return ("--preset", self.preset, *NETWORKS, *compiled, *self.options)

    @property
    def config(self) -> TrainConfig:
        """What they come to."""
        (demo,) = entry_points(group=GROUP, name="demo")
        command: Any = parse("demo", demo, self.arguments)
        config: TrainConfig = command.config
        return config


METHODS = {
    **{
        name: Method(name)
        for name in ("bc", "hg_dagger", "rlpd", "hil_serl", "rlif", "residual", "res_hil", "latent_noise")
    },
    "hil_serl_cut": Method("hil_serl", ("--learner.cut-at-takeover",)),
    "hil_serl_imitating": Method("hil_serl", ("--learner.imitation-weight", "0.1")),
    "res_hil_dagger": Method("res_hil", (*DAGGER, *CAUTIOUS)),
    "res_hil_leaving": Method("res_hil", LEAVING),
    "res_hil_own": Method("res_hil", (*LEAVING, "--learner.own-successes")),
    "res_hil_feeling": Method("res_hil", (*LEAVING, *FEELING)),
    "rlpd_utd20": Method("rlpd", ("--learner.utd-ratio", "20", "--learner.critics", "10")),
}
"""By name: the presets, and additions to them. ``hil_serl_cut`` bootstraps with 0 where the person takes over;
``hil_serl_imitating`` also imitates what the person did then. In ``res_hil_dagger`` the person corrects the base first,
and the residual leaves it only for more, and, here and in what follows, half as far; in ``res_hil_leaving`` they
correct an ensemble, and leave when it is frozen; in ``res_hil_own`` the policy's own successes are examples then; in
``res_hil_feeling`` the base also feels around where it presses, and noise is halved. ``rlpd_utd20`` updates as often as
the paper."""
