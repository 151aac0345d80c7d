"""Policies as weights on the link: packed by the learner, and put to use by the actor only after S23's checks.

SAFETY.md, S23: new weights must be the bytes that were sent (the link compares SHA-256), finite, of exactly the shapes
that the policy has, and must not change what it does by half of the range at once; else the actor keeps the old ones.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from hardware.interfaces import Source
from robot_rl.base_policy import BasePolicy
from robot_rl.bc import make_cloned_policy
from robot_rl.cloned_policy import ClonedPolicy
from robot_rl.collectors import BaseCollector, RandomPolicy
from robot_rl.config import CloningConfig, LearnerConfig, from_dict
from robot_rl.link import BASE, Weights, digest_of
from robot_rl.policy import ACTING, Interface, Policy
from robot_rl.rlpd import RLPD
from robot_rl.types import Observation

MAX_CHANGE = 0.5
"""Share of the action's range by which new weights may change what is done, on average over the probes."""
PROBES = 32


class WeightsRefused(ValueError):
    """Weights that must not act; one line that says why."""


@dataclass(frozen=True)
class Acting:
    """A policy that may act, and who its steps count for."""

    policy: Policy
    label: Source
    version: int
    finished: bool = False
    """The learner needs no more steps."""
    watched: bool = True
    """A person is to watch the episodes that begin."""


def pack_weights(
    version: int,
    policy: RLPD | ClonedPolicy,
    acting: Policy,
    interface: Interface,
    finished: bool = False,
    watched: bool = True,
) -> Weights:
    """``policy`` as it is, and who acts for now: itself, or who collects in its place."""
    collects = isinstance(acting, BaseCollector | RandomPolicy)
    about: dict[str, Any] = {"interface": asdict(interface), "config": asdict(policy.config)}
    about |= {"finished": finished, "watched": watched}
    about["collecting"] = "" if not collects else "base" if isinstance(acting, BaseCollector) else "random"
    about["noise"] = acting.noise if isinstance(acting, BaseCollector) else 0.0
    about["kind"] = "rl" if isinstance(policy, RLPD) else "cloning"
    prefixes = ACTING if isinstance(policy, RLPD) else ("",)
    tensors = {name: t for name, t in policy.state_dict().items() if name.startswith(prefixes)}
    base = policy.base if isinstance(policy, RLPD) else None
    if isinstance(acting, BaseCollector):
        base = acting.source
    if base is not None:
        if not isinstance(base, ClonedPolicy):
            raise ValueError(f"a base of the kind {type(base).__name__} cannot be sent to an actor: clone one")
        about["base"] = asdict(base.config)
        tensors |= {f"{BASE}{name}": t for name, t in base.state_dict().items()}
    arrays = {name: t.detach().cpu().numpy().copy() for name, t in tensors.items()}
    weights = Weights(version, json.dumps(about), arrays, "" if base is None else base.version)
    return replace(weights, digest=digest_of(weights))


class WeightsGate:
    """Turns weights into a policy that may act, or refuses them. ``rng`` is for collecting by chance."""

    def __init__(self, interface: Interface, rng: np.random.Generator) -> None:
        self.interface, self._rng = interface, rng
        self._agent: RLPD | ClonedPolicy | None = None
        self._base: ClonedPolicy | None = None
        self._base_version = ""
        self._probes: tuple[tuple[Observation, np.ndarray], ...] = ()  # replaced whole: another thread reads it

    def observe(self, observation: Observation, base_action: np.ndarray) -> None:
        """Something that was seen, to try new weights on."""
        self._probes = (*self._probes[1 - PROBES :], (observation, base_action))

    def accept(self, weights: Weights) -> Acting:
        """The policy that ``weights`` make. Raises :class:`WeightsRefused`, and then nothing has changed."""
        for name, array in weights.tensors.items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise WeightsRefused(f"tensor '{name}' holds values that are not finite")
        try:
            about = json.loads(weights.about)
            interface = Interface(**about["interface"])
            if interface != self.interface:
                raise WeightsRefused(f"they are made for {interface}, but the environment here is {self.interface}")
            base = self._unpack_base(about, weights)
            agent = self._unpack(about, weights, base)
            collecting, noise = about["collecting"], float(about["noise"])
            finished, watched = bool(about["finished"]), bool(about["watched"])
        except WeightsRefused:
            raise
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise WeightsRefused(f"they make no policy: {' '.join(str(error).split())[:300]}") from None
        self._probe(agent)
        self._agent, self._base, self._base_version = agent, base, weights.base
        over = agent.base if isinstance(agent, RLPD) else None
        policy, label = cast(Policy, agent), Source.POLICY
        if collecting == "random":
            policy = RandomPolicy(self._rng, self.interface.action_dim, over)
        elif collecting == "base":
            if base is None:
                raise WeightsRefused("they lack the base policy that is to collect")
            arm_dim = agent.arm_dim if isinstance(agent, RLPD) else self.interface.action_dim
            policy, label = BaseCollector(cast(BasePolicy, base), self._rng, noise, arm_dim, over), Source.BASE
        return Acting(policy, label, weights.version, finished, watched)

    def _unpack_base(self, about: Mapping[str, Any], weights: Weights) -> ClonedPolicy | None:
        if not weights.base:
            return None
        if weights.base == self._base_version:
            return self._base
        base = make_cloned_policy(from_dict(CloningConfig, about["base"]), *self.interface.sizes)
        own = {n.removeprefix(BASE): a for n, a in weights.tensors.items() if n.startswith(BASE)}
        _load(base, own, ("",))
        if base.version != weights.base:
            raise WeightsRefused(f"their base policy is {base.version}, not {weights.base}")
        return base

    def _unpack(self, about: Mapping[str, Any], weights: Weights, base: ClonedPolicy | None) -> RLPD | ClonedPolicy:
        own = {n: a for n, a in weights.tensors.items() if not n.startswith(BASE)}
        if about["kind"] == "cloning":
            cloned = make_cloned_policy(from_dict(CloningConfig, about["config"]), *self.interface.sizes)
            _load(cloned, own, ("",))
            return cloned
        agent = RLPD(from_dict(LearnerConfig, about["config"]), *self.interface.sizes, base=cast(BasePolicy, base))
        _load(agent, own, ACTING)
        if isinstance(self._agent, RLPD):
            agent.generator = self._agent.generator
        return agent

    def _probe(self, agent: RLPD | ClonedPolicy) -> None:
        """Compare what old and new weights do where the actor lately was."""
        changes = []
        for observation, base_action in self._probes:
            new = _action(agent, observation, base_action)
            if new.shape != (self.interface.action_dim,) or not np.isfinite(new).all() or np.abs(new).max() > 1.0:
                raise WeightsRefused("they make actions that are not finite or not in [-1, 1]")
            if type(self._agent) is type(agent):
                changes.append(np.abs(new - _action(cast(Any, self._agent), observation, base_action)).mean() / 2)
        if changes and (change := float(np.mean(changes))) >= MAX_CHANGE:
            raise WeightsRefused(
                f"they change the action by {change:.2f} of its range at once: {MAX_CHANGE} is allowed"
            )


def _action(policy: RLPD | ClonedPolicy, observation: Observation, base_action: np.ndarray) -> np.ndarray:
    if isinstance(policy, RLPD):
        return policy.act(observation, True, base_action)
    apart = copy.copy(policy)  # what it has planned is its own
    apart.reset()
    return apart.act(observation, True)


def _load(module: nn.Module, arrays: Mapping[str, np.ndarray], required: tuple[str, ...]) -> None:
    """Load ``arrays``; exactly the entries that begin with one of ``required`` must be there."""
    wanted = {name: t for name, t in module.state_dict().items() if name.startswith(required)}
    odd = sorted(wanted.keys() ^ arrays.keys())
    odd += [name for name in wanted.keys() & arrays.keys() if tuple(wanted[name].shape) != arrays[name].shape]
    if odd:
        raise WeightsRefused(f"tensor '{odd[0]}' is missing, unknown or of another shape")
    module.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in arrays.items()}, strict=False)
